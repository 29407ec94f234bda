"""Files that hold tensors: safetensors, GGUF and torch pickles, told apart by their first bytes, never by their name."""

from __future__ import annotations

from pathlib import Path

from engine.diffusion.containers.errors import CheckpointError
from engine.diffusion.containers.file import TensorFile
from engine.diffusion.containers.gguf import MAGIC, read_gguf
from engine.diffusion.containers.pickles import read_pickle
from engine.diffusion.containers.safetensors import looks_like_safetensors, read_safetensors

__all__ = ["CheckpointError", "TensorFile", "read_tensors"]

PICKLE, ZIP = b"\x80", b"PK\x03\x04"

STRANGERS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself: fetch it with `git lfs pull`"),
    (b"<", "a web page, not a model: the download asked for a login or failed; download it again"),
    (b"PK", "an empty or damaged zip archive: download it again"),
    (b"7z\xbc\xaf", "a 7z archive: unpack it"),
    (b"Rar!", "a RAR archive: unpack it"),
    (b"\x1f\x8b", "a gzip archive: unpack it"),
    (b"{", "a JSON text, not a model: perhaps an error message saved as a file"),
    (b"\x89HDF", "an HDF5 (Keras) file, which cannot be read: use the safetensors version"),
)


def read_tensors(path: Path) -> TensorFile:
    """The tensors of a safetensors or GGUF file or a torch pickle, mapped: none is read before it is used."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise CheckpointError(path, f"cannot be opened: {error.strerror}") from error
    if not start:
        raise CheckpointError(path, "the file is empty: download it again")
    if looks_like_safetensors(start):
        return read_safetensors(path, size)
    if start.startswith(MAGIC):
        return read_gguf(path, size)
    if start.startswith((ZIP, PICKLE)):
        return read_pickle(path)
    for magic, kind in STRANGERS:
        if start.lstrip().startswith(magic):
            raise CheckpointError(path, f"this is {kind}")
    raise CheckpointError(path, "this is no model file (safetensors, GGUF or torch): choose another or download it again")
