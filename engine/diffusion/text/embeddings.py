"""Textual inversion: vectors a prompt can name as ``embedding:name``."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from engine.diffusion.containers import CheckpointError, read_tensors
from engine.diffusion.parts import Tensors

MARK = "embedding:"

FindEmbedding = Callable[[str], "Path | Tensors | None"]
"""The file of an embedding by the name a prompt uses, or its tensors if it is in no file of its own, or None."""

log = logging.getLogger(__name__)


def vectors(source: Path | Tensors, tower: str, width: int) -> Tensor | None:
    """The vectors (n, width) of a file, or of its tensors, for the tower of that name, float32; None and a warning if not there.

    Layouts: one tensor a tower (``clip_l``, ``clip_g``), ``emb_params``, AUTOMATIC1111's ``string_to_param``, or just a tensor.
    """
    try:
        tensors = read_tensors(source).tensors if isinstance(source, Path) else source
    except CheckpointError as error:
        log.warning("embedding ignored: %s", error)
        return None
    towers = any(name.startswith("clip_") for name in tensors)
    names = [f"clip_{tower}"] if towers else ["emb_params", "*", "string_to_param.*", *tensors]
    found = next((tensors[name] for name in names if name in tensors), None)
    if found is None or found.ndim > 2 or found.shape[-1] != width:
        shape = "nothing" if found is None else str(tuple(found.shape))
        name = source.name if isinstance(source, Path) else "the LoRA"
        log.warning("embedding ignored: %s holds %s, text encoder %r takes vectors of %d", name, shape, tower, width)
        return None
    return found.detach().float().reshape(-1, width)


def lookup(words: str, find: FindEmbedding, tower: str, width: int) -> tuple[Tensor | None, str]:
    """What follows ``embedding:`` -> the vectors it names and the text after the name.

    A comma glued to the name belongs to the text, unless a file is called so. A name nobody knows is dropped, with a warning.
    """
    name, *others = words.split() or [""]
    rest = " ".join(others)
    source = find(name)
    if source is None and (bare := name.strip(",")) != name:
        source, rest = find(bare), f"{name[len(bare) :]} {rest}"
    if source is None:
        log.warning("embedding %r was not found and is ignored", name.strip(","))
        return None, rest
    return vectors(source, tower, width), rest
