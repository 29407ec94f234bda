"""Nodes of ComfyUI that are ours as well."""

from engine.comfy.faces.comfy_extras import classes

__getattr__ = classes(__name__)
