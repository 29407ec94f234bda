"""A model file made into another: safe format, narrower numbers, nothing in it that is of no use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from engine.diffusion import prefixes
from engine.diffusion.containers import read_tensors
from engine.diffusion.modelspec import HASHES, UNKNOWN
from engine.diffusion.parts import Tensors
from engine.diffusion.quantization import numbers, plain
from engine.diffusion.saving import Entry, dtype_of, stream_tensors

FLAGS = re.compile(r"^(v_pred|ztsnr|edm_mean|edm_std|edm_vpred\..*|noise_augmentor\.data_(mean|std))$")
"""Names that are no weights but say what the weights are: pruning keeps them."""


def convert(path: Path, dtype: str | None = None, *, prune: bool = False, average: bool = False) -> Iterator[bytes]:
    """The safetensors file, piece by piece, of any model file; one tensor is in memory at a time.

    ``dtype``: fp32, fp16, bf16 or fp8; fp8 is for the matrices of the denoiser, all else becomes fp16. ``prune`` leaves out what
    nothing is made from. ``average`` takes the running average of training in place of the weights, where a file has one.
    """
    file = read_tensors(path)
    tensors: dict[str, Tensor] = averaged(file.tensors) if average else dict(file.tensors)
    beside = dict(tensors)
    if dtype is not None:
        tensors = plain(path, tensors, multiply=False)
    kept = {name: tensor for name, tensor in tensors.items() if not prune or FLAGS.match(name) or prefixes.strangers([name])}
    entries = {name: Entry(dtype_of(name, tensor, dtype), tuple(tensor.shape)) for name, tensor in kept.items()}
    values = (tensor if dtype is None else numbers(path, name, beside) for name, tensor in kept.items())
    said = {key: re.sub("[0-9a-f]{64}$", UNKNOWN, value) if key in HASHES else value for key, value in file.metadata.items()}
    return stream_tensors(entries, values, said, list(kept.values()))


def folder(path: Path, dtype: str | None = None) -> Iterator[bytes]:
    """A folder of diffusers as one checkpoint file, in the names its authors would give."""
    from engine.diffusion.modelspec import about
    from engine.diffusion.pipeline_folder import load_folder
    from engine.diffusion.saving import stream_checkpoint

    found = load_folder(path)
    said = about(found.family.name, path.absolute().name, found.model)
    return stream_checkpoint(found.model, found.clip, found.vae, said, dtype)


def averaged(tensors: Tensors) -> dict[str, Tensor]:
    """The tensors with every weight replaced by its running average; their names are the weights' without dots.

    ValueError if there is none.
    """
    found, replaced = dict(tensors), 0
    for name in tensors:
        average = "model_ema." + name.removeprefix("model.").replace(".", "")
        if name.startswith("model.diffusion_model.") and average in tensors:
            found[name] = tensors[average]
            replaced += 1
    if not replaced:
        raise ValueError("the file has no running average of its training (model_ema.*): leave --average out")
    return found
