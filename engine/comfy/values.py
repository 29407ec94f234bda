"""Values on their way into a foreign node and back: networks get ComfyUI's methods there, all else is the same object."""

from __future__ import annotations

import importlib
from typing import Any

FACES = {
    "engine.diffusion.model.Model": ("engine.comfy.faces.comfy.model_patcher", "ModelPatcher"),
    "engine.diffusion.clip.Clip": ("engine.comfy.faces.comfy.sd", "CLIP"),
    "engine.diffusion.vae.Vae": ("engine.comfy.faces.comfy.sd", "VAE"),
    "engine.diffusion.clip_vision.ClipVision": ("engine.comfy.faces.comfy.clip_vision", "ClipVisionModel"),
    "engine.diffusion.control.ControlNet": ("engine.comfy.faces.comfy.controlnet", "ControlNet"),
    "engine.diffusion.samplers.Sampler": ("engine.comfy.faces.comfy.samplers", "KSAMPLER"),
    "engine.diffusion.hooks.Hooks": ("engine.comfy.faces.comfy.hooks", "HookGroup"),
    "engine.diffusion.hooks.Keyframes": ("engine.comfy.faces.comfy.hooks", "HookKeyframeGroup"),
    "engine.diffusion.guidance.Guider": ("engine.comfy.faces.comfy.samplers", "CFGGuider"),
}


def inward(value: Any) -> Any:
    """What a foreign node is handed for ``value``."""
    face = _face(value)
    if face is None:
        return value
    module, name = face
    return getattr(importlib.import_module(module), name).of_engine(value)


def outward(value: Any) -> Any:
    """What the engine is handed for a value a foreign node made."""
    turn = getattr(type(value), "to_engine", None)
    return turn(value) if turn is not None else value


def _face(value: Any) -> tuple[str, str] | None:
    kind = type(value)
    if not kind.__module__.startswith("engine.diffusion"):
        return None
    return FACES.get(f"{kind.__module__}.{kind.__qualname__}")
