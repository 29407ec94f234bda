"""Models to files: in the layout they came in, patches worked in, one tensor in memory at a time."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from engine.diffusion.clip import Clip
from engine.diffusion.containers.safetensors import DTYPES
from engine.diffusion.merging import Blend
from engine.diffusion.model import Model
from engine.diffusion.parts import Part
from engine.diffusion.patches import Patch, patched, touching
from engine.diffusion.precision import return_memory
from engine.diffusion.text.stacks import STACKS
from engine.diffusion.vae import Vae

HELD = 256 << 20
"""Bytes written between two times the files' pages are let go."""

NAMES = {dtype: name for name, dtype in DTYPES.items()}


class Entry(NamedTuple):
    """A tensor as a header announces it."""

    dtype: torch.dtype
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Piece:
    """A part, the patches to work into it, and the prefix its tensors get."""

    prefix: str
    part: Part
    patches: tuple[Patch, ...] = ()

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Name and value of every tensor, patched, in the stored type."""
        weights = self.part.weights()
        for name, tensor in self.part.originals(lambda target: self._patched(weights[target], target)):
            yield self.prefix + name, tensor

    def _patched(self, weight: Tensor, target: str) -> Tensor:
        patches = touching([patch for patch in self.patches if patch.adapter.role == self.part.role], target)
        return patched(weight, patches, target) if patches else weight


def pieces(model: Model | None = None, clip: Clip | None = None, vae: Vae | None = None) -> list[Piece]:
    """What a checkpoint of these holds, under the prefixes their authors use."""
    found = [] if model is None else [Piece("model.diffusion_model.", model.part, model.patches)]
    if clip is not None:
        stack = next(slots for slots in STACKS.values() if [s.name for s in slots] == [t.name for t in clip.towers])
        found += [Piece(slot.prefixes[0], tower.part, clip.patches) for slot, tower in zip(stack, clip.towers, strict=True)]
    if vae is not None:
        found.append(Piece("first_stage_model.", vae.part))
    return found


def stream(
    what: list[Piece], flags: Mapping[str, Tensor] | None = None, metadata: Mapping[str, str] | None = None
) -> Iterator[bytes]:
    """A safetensors file of these, piece by piece: the header, then each tensor as it is computed."""
    flags = flags or {}
    stored: dict[str, Tensor] = {}
    for piece in what:
        sources = dict.fromkeys(row.source for row in piece.part.keymap)
        stored |= {piece.prefix + name: piece.part.stored[name] for name in sources}
    entries = {name: Entry(tensor.dtype, tuple(tensor.shape)) for name, tensor in {**stored, **flags}.items()}
    values = (tensor for piece in what for _, tensor in piece.tensors())
    mapped = [tensor for part in _read_from(what) for tensor in part.stored.values()]
    return stream_tensors(entries, chain(values, flags.values()), metadata or {}, mapped)


def stream_tensors(
    entries: Mapping[str, Entry], values: Iterable[Tensor], metadata: Mapping[str, str], mapped: Sequence[Tensor] = ()
) -> Iterator[bytes]:
    """A safetensors file, piece by piece; ``values`` come in the order of ``entries`` and are cast to their types.

    The pages of ``mapped``, the files they are made from, are let go now and then: no file need be in memory whole.
    """
    header = _header(entries, metadata)
    yield len(header).to_bytes(8, "little") + header
    held = 0
    for entry, value in zip(entries.values(), values, strict=True):
        data = _bytes(value.to(entry.dtype))
        held += len(data)
        yield data
        if held > HELD:
            return_memory(mapped)
            held = 0


def _read_from(what: Iterable[Piece]) -> set[Part]:
    """The parts whose files are read: the pieces' own, and those merged into them."""
    found = set()
    for piece in what:
        found.add(piece.part)
        deltas = (delta for patch in piece.patches for some in patch.adapter.deltas.values() for delta in some)
        found |= {other.part for delta in deltas if isinstance(delta, Blend) for other in delta.others}
    return found


def stream_checkpoint(
    model: Model, clip: Clip | None = None, vae: Vae | None = None, metadata: Mapping[str, str] | None = None
) -> Iterator[bytes]:
    """A checkpoint that loads as what it was made of."""
    return stream(pieces(model, clip, vae), model.family.flags(), metadata)


def write(path: Path, data: Iterable[bytes]) -> None:
    """Write a file in pieces, whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            for piece in data:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _header(tensors: Mapping[str, Entry], metadata: Mapping[str, str]) -> bytes:
    """The JSON header, padded so that the data is aligned."""
    entries: dict[str, Any] = {"__metadata__": {"format": "pt", **metadata}}
    end = 0
    for name, entry in tensors.items():
        start, end = end, end + math.prod(entry.shape) * entry.dtype.itemsize
        entries[name] = {"dtype": NAMES[entry.dtype], "shape": list(entry.shape), "data_offsets": [start, end]}
    text = json.dumps(entries, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8)


def _bytes(tensor: Tensor) -> bytes:
    """A tensor's bytes as they lie in memory."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
