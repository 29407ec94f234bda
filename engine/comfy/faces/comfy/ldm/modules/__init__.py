"""Pieces of networks."""

from engine.comfy.finder import missing

__getattr__ = missing(__name__)
