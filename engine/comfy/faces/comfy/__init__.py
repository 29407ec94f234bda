"""ComfyUI's main package: networks, sampling, helpers. ``comfy.utils`` and the like are there without being imported first."""

from engine.comfy.finder import missing

__getattr__ = missing(__name__)
