"""ComfyUI's versioned interface for packs: ``latest`` and its numbered names."""

from engine.comfy.finder import missing

__getattr__ = missing(__name__)
