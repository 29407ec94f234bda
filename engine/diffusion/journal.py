"""What a sampling run has computed so far, so that a killed run goes on where it was and ends in the same bits.

A run is a pure function of its inputs and of what the network said. The journal keeps the latter: replaying it rebuilds
the sampler's state, noise generators and history exactly, at the price of the cheap arithmetic between network calls.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from torch import Tensor


class Journal(Protocol):
    """The evaluations of one run, numbered from 0 in the order they were made."""

    def get(self, i: int) -> Mapping[str, Tensor] | None:
        """What evaluation ``i`` gave, or None if it was not made yet."""
        ...

    def put(self, i: int, tensors: Mapping[str, Tensor]) -> None: ...


class MemoryJournal:
    """Kept as long as this object lives."""

    def __init__(self) -> None:
        self.entries: dict[int, dict[str, Tensor]] = {}

    def get(self, i: int) -> Mapping[str, Tensor] | None:
        return self.entries.get(i)

    def put(self, i: int, tensors: Mapping[str, Tensor]) -> None:
        self.entries[i] = {name: tensor.clone() for name, tensor in tensors.items()}


class FolderJournal:
    """One small safetensors file an evaluation, complete or not there; what was cut off by a crash is simply computed again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, i: int) -> Mapping[str, Tensor] | None:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(self._path(i))
        except (FileNotFoundError, SafetensorError):
            return None

    def put(self, i: int, tensors: Mapping[str, Tensor]) -> None:
        from safetensors.torch import save

        self.folder.mkdir(parents=True, exist_ok=True)
        data = save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()})
        partial = self._path(i).with_suffix(".partial")
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._path(i))

    def clear(self) -> None:
        """Remove the files: the run is done."""
        for path in self.folder.glob("*.safetensors"):
            path.unlink(missing_ok=True)

    def _path(self, i: int) -> Path:
        return self.folder / f"{i:06d}.safetensors"
