"""Building graphs from within nodes, and following their progress."""

from engine.comfy.finder import missing

__getattr__ = missing(__name__)
