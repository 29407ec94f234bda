"""Samplers in k-diffusion's form."""

from engine.comfy.finder import missing

__getattr__ = missing(__name__)
