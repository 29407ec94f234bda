"""Networks of the first Stable Diffusion."""

from engine.comfy.finder import missing

__getattr__ = missing(__name__)
