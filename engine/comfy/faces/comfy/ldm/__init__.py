"""Networks, as far as packs import their pieces."""

from engine.comfy.finder import missing

__getattr__ = missing(__name__)
