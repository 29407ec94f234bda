"""The version of ComfyUI whose contract is kept."""

__version__ = "0.3.64"
