"""A numbered version of the interface; later ones only added to it."""

from engine.comfy.faces.comfy_api.latest import IO, UI, ComfyAPI, ComfyAPISync, ComfyExtension, io, ui
from engine.comfy.finder import missing

__all__ = ["IO", "UI", "ComfyAPI", "ComfyAPISync", "ComfyExtension", "io", "ui"]
__getattr__ = missing(__name__)
