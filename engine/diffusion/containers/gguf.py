"""The GGUF container: keys and values, tensor entries, then the tensors, most of them in blocks of a few bits a number.

https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Shapes are written innermost dimension first. Blocks want
rows of 32 or 256 numbers, so some writers flatten kernels and keep their shape in ``comfy.gguf.orig_shape.NAME``.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from engine.diffusion.containers import blocks
from engine.diffusion.containers.errors import CheckpointError
from engine.diffusion.containers.file import TensorFile
from engine.diffusion.containers.packed import Packed

MAGIC = b"GGUF"
ORIGINAL = "comfy.gguf.orig_shape."
STRING, ARRAY = 8, 9
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""Value types by their numbers, as ``struct`` writes them."""

PLAIN = {
    0: torch.float32, 1: torch.float16, 24: torch.int8, 25: torch.int16, 26: torch.int32, 27: torch.int64, 28: torch.float64,
    30: torch.bfloat16,
}  # fmt: skip
LONGEST = 1 << 16
"""Entries of an array that are kept; longer ones are vocabularies, which no denoiser has a use for."""


@dataclass
class Reader:
    """Numbers and texts from where the file stands; ``CheckpointError`` where it ends too early."""

    path: Path
    file: IO[bytes]
    size: int

    def take(self, count: int) -> bytes:
        data = self.file.read(count) if count <= self.size else b""
        if len(data) < count:
            raise CheckpointError(self.path, "truncated inside its header: download it again")
        return data

    def number(self, kind: str) -> Any:
        return struct.unpack("<" + kind, self.take(struct.calcsize("<" + kind)))[0]

    def text(self) -> str:
        return self.take(self.number("Q")).decode(errors="replace")

    def value(self, kind: int, depth: int = 0) -> Any:
        """A value of that type; None for a long array."""
        if kind in SCALARS:
            return self.number(SCALARS[kind])
        if kind == STRING:
            return self.text()
        if kind != ARRAY or depth > 1:
            raise CheckpointError(self.path, f"its GGUF header has a value of unknown type {kind}: download it again")
        inner, count = self.number("I"), self.number("Q")
        if inner in SCALARS:
            data = self.take(count * struct.calcsize("<" + SCALARS[inner]))
            return list(struct.unpack(f"<{count}{SCALARS[inner]}", data)) if count <= LONGEST else None
        values = [self.value(inner, depth + 1) for _ in range(min(count, self.size))]
        return values if count <= LONGEST else None


@dataclass(frozen=True)
class Entry:
    """A tensor as the header announces it."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int


def read_gguf(path: Path, size: int) -> TensorFile:
    """Map the file; every tensor is a view of the mapping, or blocks that become numbers when they are used."""
    with path.open("rb") as file:
        facts, entries, end = _header(Reader(path, file, size))
    if not entries:
        raise CheckpointError(path, "a GGUF file without tensors: download it again")
    alignment = facts.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 1:
        raise CheckpointError(path, f"its GGUF header has alignment {alignment!r}: download it again")
    start = -(-end // alignment) * alignment
    octets = torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8)
    tensors = {entry.name: _tensor(path, entry, facts.get(ORIGINAL + entry.name), octets, start) for entry in entries}
    metadata = {key: str(value) for key, value in facts.items() if isinstance(value, str | int | float)}
    return TensorFile(path, tensors, metadata)


def _header(reader: Reader) -> tuple[dict[str, Any], list[Entry], int]:
    """Keys and values, tensor entries, and where they end."""
    reader.take(len(MAGIC))
    version = reader.number("I")
    if version not in (2, 3):
        problem = f"a GGUF file of version {version}; versions 2 and 3 can be read: use a newer conversion"
        raise CheckpointError(reader.path, problem)
    count, pairs = reader.number("Q"), reader.number("Q")
    facts = {}
    for _ in range(min(pairs, reader.size)):
        key = reader.text()
        facts[key] = reader.value(reader.number("I"))
    entries = []
    for _ in range(min(count, reader.size)):
        name, dims = reader.text(), reader.number("I")
        if dims > 8:
            raise CheckpointError(reader.path, f"tensor {name!r} claims {dims} dimensions: download the file again")
        shape = tuple(reader.number("Q") for _ in range(dims))
        entries.append(Entry(name, shape[::-1], reader.number("I"), reader.number("Q")))
    return facts, entries, reader.file.tell()


def _tensor(path: Path, entry: Entry, original: object, octets: Tensor, start: int) -> Tensor:
    """One entry as a tensor of its original shape."""
    numbers, shape = math.prod(entry.shape), entry.shape
    if isinstance(original, list) and all(isinstance(n, int) and n >= 0 for n in original):
        shape = tuple(original)
        if math.prod(shape) != numbers:
            raise CheckpointError(path, f"tensor {entry.name!r} has {numbers} numbers, which do not fit its shape {list(shape)}")
    kind = blocks.KINDS.get(entry.kind)
    if kind is None and entry.kind not in PLAIN:
        called = blocks.UNKNOWN.get(entry.kind, f"number {entry.kind}")
        known = ", ".join(known.name for known in blocks.KINDS.values())
        raise CheckpointError(path, f"tensor {entry.name!r} is of type {called}, which cannot be read: use one of {known}")
    row = entry.shape[-1] if entry.shape else 1
    if kind is not None and row % kind.numbers:
        raise CheckpointError(path, f"tensor {entry.name!r} has rows of {row}, which {kind.name} blocks do not divide")
    length = numbers // kind.numbers * kind.nbytes if kind is not None else numbers * PLAIN[entry.kind].itemsize
    first, last = start + entry.offset, start + entry.offset + length
    if last > len(octets):
        raise CheckpointError(path, f"truncated: {len(octets)} of at least {last} bytes are there; download it again")
    data = octets[first:last]
    if kind is not None:
        return Packed(data, kind, shape)
    dtype = PLAIN[entry.kind]
    return (data.view(dtype) if first % dtype.itemsize == 0 else data.clone().view(dtype)).view(shape)
