"""The safetensors container: a JSON header that says where each tensor lies, then the tensors.

https://github.com/huggingface/safetensors#format. Read here rather than by its library to map the file privately (a
write never reaches it), to say what is wrong with a bad one, and because a header is all that recognising a file needs.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.diffusion.containers.errors import CheckpointError
from engine.diffusion.containers.file import TensorFile

MAX_HEADER = 100_000_000  # bytes, as in the format's own library

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def looks_like_safetensors(start: bytes) -> bool:
    """Whether a file's first bytes are a header length and an opening brace."""
    return start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 1 << 40


def read_header(path: Path, size: int) -> tuple[dict[str, Any], int]:
    """The header's entries and where the data begins."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > MAX_HEADER:
            raise CheckpointError(path, f"its header claims {length} bytes, more than the {MAX_HEADER} that are allowed")
        if 8 + length > size:
            raise CheckpointError(path, f"truncated inside its header ({size} of at least {8 + length} bytes): download it again")
        text = file.read(length)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(path, f"its safetensors header is not JSON ({error}): download it again") from error
    if not isinstance(header, dict):
        raise CheckpointError(path, "its safetensors header is not an object: download it again")
    return header, 8 + length


def read_safetensors(path: Path, size: int) -> TensorFile:
    """Map the file; every tensor is a view of the mapping."""
    header, start = read_header(path, size)
    metadata = header.pop("__metadata__", None)
    entries = {name: _entry(path, name, entry) for name, entry in header.items()}
    end = start + max((last for _, _, _, last in entries.values()), default=0)
    if end > size:
        raise CheckpointError(path, f"truncated: {size} of {end} bytes are there; download it again")
    octets = torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8)
    tensors = {
        name: _view(octets[start + first : start + last], dtype, shape) for name, (dtype, shape, first, last) in entries.items()
    }
    facts = metadata if isinstance(metadata, dict) else {}
    texts = {str(key): value if isinstance(value, str) else json.dumps(value) for key, value in facts.items()}
    return TensorFile(path, tensors, texts)


def _entry(path: Path, name: str, entry: Any) -> tuple[torch.dtype, tuple[int, ...], int, int]:
    """One header entry checked: dtype, shape, and first and last byte relative to the data."""
    try:
        kind, shape, (first, last) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        whole = all(isinstance(number, int) and number >= 0 for number in (*shape, first, last))
    except (TypeError, KeyError, ValueError) as error:
        raise CheckpointError(path, f"its header has no dtype, shape and offsets for tensor {name!r}") from error
    if not isinstance(kind, str) or kind not in DTYPES:
        raise CheckpointError(path, f"tensor {name!r} is of type {kind!r}, which cannot be read")
    dtype = DTYPES[kind]
    if not whole or last - first != math.prod(shape) * dtype.itemsize:
        raise CheckpointError(path, f"tensor {name!r} has offsets {first} to {last} that do not fit its shape {list(shape)}")
    return dtype, shape, first, last


def _view(octets: Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    """Bytes (n,) as a tensor; copied only when they are not aligned to the type."""
    aligned = octets.storage_offset() % dtype.itemsize == 0
    return (octets if aligned else octets.clone()).view(dtype).view(shape)
