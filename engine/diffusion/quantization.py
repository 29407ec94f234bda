"""Weights in eight bits with a scale beside them, as ComfyUI and others write them, made plain numbers.

A file says so by ``X.scale_weight`` or ``X.weight_scale`` beside ``X.weight``, newer ones also by ``X.comfy_quant``, a JSON
text in bytes. They are read at once and kept in bfloat16: half of what computing needs, twice the file.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from engine.diffusion.containers import CheckpointError
from engine.diffusion.parts import Tensors

SCALES = (".scale_weight", ".weight_scale")
BESIDE = (*SCALES, ".scale_input", ".input_scale", ".comfy_quant")
MARK = "scaled_fp8"
EIGHT_BITS = (torch.float8_e4m3fn, torch.float8_e5m2)


def plain(path: Path, tensors: Tensors, *, multiply: bool = True) -> dict[str, Tensor]:
    """The tensors with every scaled weight multiplied out; the same tensors if there is none.

    Without ``multiply`` only what stands beside the weights is left out.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name.endswith(BESIDE) or name.rpartition(".")[2] == MARK:
            continue
        value = numbers(path, name, tensors) if multiply else tensor
        found[name] = value if value is tensor else value.to(torch.bfloat16)
    return found


def numbers(path: Path, name: str, tensors: Tensors) -> Tensor:
    """The tensor of that name, a scaled weight multiplied out, in float32."""
    scale = _scale(path, name, tensors)
    return tensors[name] if scale is None else tensors[name].float() * scale


def scaled(tensors: Tensors) -> set[str]:
    """Names of the weights that have a scale beside them."""
    modules = {name.removesuffix(ending) for name in tensors for ending in SCALES if name.endswith(ending)}
    return {f"{module}.weight" for module in modules} & {name for name, tensor in tensors.items() if tensor.dtype in EIGHT_BITS}


def _scale(path: Path, name: str, tensors: Tensors) -> Tensor | None:
    """What a weight is to be multiplied with: one number, or one a row."""
    module, _, leaf = name.rpartition(".")
    if leaf != "weight":
        return None
    about = tensors.get(f"{module}.comfy_quant")
    form = "float8" if about is None else _format(about)
    if not form.startswith("float8"):
        raise CheckpointError(path, f"its weights are in format {form!r}, which cannot be read: use an fp8 or fp16 version")
    scale = next((tensors[module + ending] for ending in SCALES if module + ending in tensors), None)
    if scale is None or tensors[name].dtype not in EIGHT_BITS:
        return None
    return scale.float().reshape(-1, *[1] * (tensors[name].ndim - 1)) if scale.numel() > 1 else scale.float().reshape(())


def _format(about: Tensor) -> str:
    """The number format a ``comfy_quant`` tensor names."""
    try:
        said = json.loads(bytes(about.to(torch.uint8).flatten().tolist()))
    except ValueError:
        return "unknown"
    return str(said.get("format")) if isinstance(said, dict) else "unknown"
