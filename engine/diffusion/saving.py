"""Models to files: in their authors' layout, patches worked in, one tensor in memory at a time."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from engine.diffusion import published
from engine.diffusion.clip import Clip
from engine.diffusion.containers.safetensors import DTYPES
from engine.diffusion.merging import Blend
from engine.diffusion.model import Model
from engine.diffusion.modelspec import HASHES, UNKNOWN, flags
from engine.diffusion.parts import Part
from engine.diffusion.patches import Patch, patched, touching
from engine.diffusion.precision import return_memory
from engine.diffusion.text.stacks import STACKS
from engine.diffusion.vae import Vae

HELD = 256 << 20
"""Bytes written between two times the files' pages are let go."""

NAMES = {dtype: name for name, dtype in DTYPES.items()}


TYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16, "fp8": torch.float8_e4m3fn}

DENOISER = re.compile(
    r"^(model\.diffusion_model\.|model\.model\.)|^(input_blocks|middle_block|output_blocks|down_blocks|up_blocks)\."
)


class Over(bytes):
    """Bytes to be written over earlier ones, at ``offset``: what is only known when all has been written."""

    offset: int

    @classmethod
    def at(cls, offset: int, data: bytes) -> Over:
        made = cls(data)
        made.offset = offset
        return made


class Entry(NamedTuple):
    """A tensor as a header announces it."""

    dtype: torch.dtype
    shape: tuple[int, ...]


def dtype_of(name: str, tensor: Tensor, wanted: str | None) -> torch.dtype:
    """What a tensor of that name becomes if a file is wanted in fp32, fp16, bf16 or fp8; whole numbers stay as they are.

    fp8 is for the matrices of the denoiser, all else becomes fp16.
    """
    if wanted is None or not tensor.is_floating_point():
        return tensor.dtype
    if wanted == "fp8" and (tensor.ndim < 2 or not DENOISER.match(name)):
        return torch.float16
    return TYPES[wanted]


@dataclass(frozen=True)
class Piece:
    """A part, the patches to work into it, and the prefix its tensors get."""

    prefix: str
    part: Part
    patches: tuple[Patch, ...] = ()

    def stored(self) -> dict[str, Tensor]:
        """Name and unpatched value of every tensor."""
        sources = dict.fromkeys(row.source for row in self.part.keymap)
        return {self.prefix + name: self.part.stored[name] for name in sources} | self.beside()

    def tensors(self) -> Iterator[Tensor]:
        """The value of every tensor, patched; float32 where it is."""
        weights = self.part.weights()
        for _, tensor in self.part.originals(lambda target: self._patched(weights[target], target)):
            yield tensor
        yield from self.beside().values()

    def beside(self) -> dict[str, Tensor]:
        """Name and value of what is no weight."""
        there = published.beside(self.part) if self.part.role.startswith("clip_") else {}
        return {self.prefix + name: tensor for name, tensor in there.items()}

    def _patched(self, weight: Tensor, target: str) -> Tensor:
        patches = touching([patch for patch in self.patches if patch.adapter.role == self.part.role], target)
        return patched(weight, patches, target) if patches else weight


def pieces(model: Model | None = None, clip: Clip | None = None, vae: Vae | None = None) -> list[Piece]:
    """What a checkpoint of these holds, under the names and prefixes their authors use."""
    found = [] if model is None else [Piece("model.diffusion_model.", model.part, model.patches)]
    if clip is not None:
        stack = next(slots for slots in STACKS.values() if [s.name for s in slots] == [t.name for t in clip.towers])
        towers = zip(stack, clip.towers, strict=True)
        found += [Piece(slot.prefixes[0], published.in_checkpoint(tower.part), clip.patches) for slot, tower in towers]
    if vae is not None:
        if vae.latent is not None:
            raise ValueError("a TAESD is no VAE of a checkpoint: connect the model's own, or save the parts by themselves")
        found.append(Piece("first_stage_model.", published.in_checkpoint(vae.part)))
    return found


def stream(
    what: list[Piece],
    loose: Mapping[str, Tensor] | None = None,
    metadata: Mapping[str, str] | None = None,
    dtype: str | None = None,
) -> Iterator[bytes]:
    """A safetensors file of these, piece by piece: the header, then each tensor as it is computed.

    ``loose`` are tensors beside them, kept as they are; ``dtype`` as for ``dtype_of``.
    """
    loose = loose or {}
    stored = {name: tensor for piece in what for name, tensor in piece.stored().items()}
    entries = {name: Entry(dtype_of(name, tensor, dtype), tuple(tensor.shape)) for name, tensor in stored.items()}
    entries |= {name: Entry(tensor.dtype, tuple(tensor.shape)) for name, tensor in loose.items()}
    values = (tensor for piece in what for tensor in piece.tensors())
    mapped = [tensor for part in _read_from(what) for tensor in part.stored.values()]
    return stream_tensors(entries, chain(values, loose.values()), metadata or {}, mapped)


def stream_tensors(
    entries: Mapping[str, Entry], values: Iterable[Tensor], metadata: Mapping[str, str], mapped: Sequence[Tensor] = ()
) -> Iterator[bytes]:
    """A safetensors file, piece by piece; ``values`` come in the order of ``entries`` and are cast to their types.

    Numbers too large for a narrow type become its largest. Hashes that ``metadata`` leaves open are filled in at the end.
    The pages of ``mapped``, the files they are made from, are let go now and then: no file need be in memory whole.
    """
    header = _header(entries, metadata)
    yield len(header).to_bytes(8, "little") + header
    held, digest = 0, hashlib.sha256()
    left_open = _left_open(header, metadata)
    for entry, value in zip(entries.values(), values, strict=True):
        data = _bytes(narrowed(value, entry.dtype))
        held += len(data)
        if left_open:
            digest.update(data)
        yield data
        if held > HELD:
            return_memory(mapped)
            held = 0
    for offset in left_open:
        yield Over.at(8 + offset, digest.hexdigest().encode())


def _left_open(header: bytes, metadata: Mapping[str, str]) -> list[int]:
    """Where in the header the digits of hashes begin that are not known yet."""
    found = []
    for key in HASHES:
        said = metadata.get(key, "")
        if said.endswith(UNKNOWN):
            beginning = f'"{key}":"{said.removesuffix(UNKNOWN)}'.encode()
            found.append(header.index(beginning) + len(beginning))
    return found


def narrowed(value: Tensor, dtype: torch.dtype) -> Tensor:
    """``value`` in another type, where what is too large for it becomes its largest."""
    if value.is_floating_point() and dtype.is_floating_point and value.dtype != dtype:
        most = torch.finfo(dtype).max
        if most < torch.finfo(value.dtype).max and most < 1e6:
            value = value.float().clamp(-most, most)
    return value.to(dtype)


def _read_from(what: Iterable[Piece]) -> set[Part]:
    """The parts whose files are read: the pieces' own, and those merged into them."""
    found = set()
    for piece in what:
        found.add(piece.part)
        deltas = (delta for patch in piece.patches for some in patch.adapter.deltas.values() for delta in some)
        found |= {other.part for delta in deltas if isinstance(delta, Blend) for other in delta.others}
    return found


def stream_checkpoint(
    model: Model,
    clip: Clip | None = None,
    vae: Vae | None = None,
    metadata: Mapping[str, str] | None = None,
    dtype: str | None = None,
    more: Sequence[Piece] = (),
) -> Iterator[bytes]:
    """A checkpoint that loads as what it was made of; ``more`` is what else lies in it, such as an image encoder."""
    return stream([*pieces(model, clip, vae), *more], flags(model), metadata, dtype)


def write(path: Path, data: Iterable[bytes]) -> None:
    """Write a file in pieces, whole or not at all. OSError says in a sentence what is in the way."""
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            for piece in data:
                file.seek(piece.offset if isinstance(piece, Over) else 0, os.SEEK_SET if isinstance(piece, Over) else os.SEEK_END)
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise OSError(error.errno, f"{path.absolute()} cannot be written: {error.strerror}") from error
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
