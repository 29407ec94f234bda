"""A model file made into another: safe format, narrower numbers, nothing in it that is of no use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from engine.diffusion import prefixes
from engine.diffusion.containers import read_tensors
from engine.diffusion.parts import Tensors
from engine.diffusion.saving import Entry, stream_tensors

TYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16, "fp8": torch.float8_e4m3fn}

FLAGS = re.compile(r"^(v_pred|ztsnr|edm_mean|edm_std|edm_vpred\..*|noise_augmentor\.data_(mean|std))$")
"""Names that are no weights but say what the weights are: pruning keeps them."""

DENOISER = re.compile(
    r"^(model\.diffusion_model\.|model\.model\.)|^(input_blocks|middle_block|output_blocks|down_blocks|up_blocks)\."
)


def convert(path: Path, dtype: str | None = None, *, prune: bool = False, average: bool = False) -> Iterator[bytes]:
    """The safetensors file, piece by piece, of any model file; one tensor is in memory at a time.

    ``dtype``: fp32, fp16, bf16 or fp8; fp8 is for the matrices of the denoiser, all else becomes fp16. ``prune`` leaves out what
    nothing is made from. ``average`` takes the running average of training in place of the weights, where a file has one.
    """
    file = read_tensors(path)
    tensors = averaged(file.tensors) if average else file.tensors
    kept = {name: tensor for name, tensor in tensors.items() if not prune or FLAGS.match(name) or prefixes.strangers([name])}
    entries = {name: Entry(_dtype(name, tensor, dtype), tuple(tensor.shape)) for name, tensor in kept.items()}
    return stream_tensors(entries, kept.values(), file.metadata, list(kept.values()))


def averaged(tensors: Tensors) -> dict[str, Tensor]:
    """The tensors with every weight replaced by its running average; their names are the weights' without dots."""
    found = dict(tensors)
    for name in tensors:
        average = "model_ema." + name.removeprefix("model.").replace(".", "")
        if name.startswith("model.diffusion_model.") and average in tensors:
            found[name] = tensors[average]
    return found


def _dtype(name: str, tensor: Tensor, wanted: str | None) -> torch.dtype:
    """What a tensor is to become; whole numbers stay as they are."""
    if wanted is None or not tensor.is_floating_point():
        return tensor.dtype
    if wanted == "fp8" and (tensor.ndim < 2 or not DENOISER.match(name)):
        return torch.float16
    return TYPES[wanted]
