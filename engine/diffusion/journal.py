"""What a sampling run has computed so far, so that a killed run goes on where it was and ends in the same bits.

A run is a pure function of its inputs and of what the network said. The journal keeps the latter: replaying it rebuilds
the sampler's state, noise generators and history exactly, at the price of the cheap arithmetic between network calls.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from torch import Tensor

SECONDS = 1.0
"""So much work a killed process may lose. Every file is waited for until the disk has it: 5 to 100 ms."""


class Journal(Protocol):
    """The evaluations of one run, numbered from 0 in the order they were made."""

    def get(self, i: int) -> Mapping[str, Tensor] | None:
        """What evaluation ``i`` gave, or None if it was not made yet."""
        ...

    def put(self, i: int, tensors: Mapping[str, Tensor]) -> None: ...

    def flush(self) -> None:
        """See to it that nothing put so far is lost."""
        ...


class MemoryJournal:
    """Kept as long as this object lives."""

    def __init__(self) -> None:
        self.entries: dict[int, dict[str, Tensor]] = {}

    def get(self, i: int) -> Mapping[str, Tensor] | None:
        return self.entries.get(i)

    def put(self, i: int, tensors: Mapping[str, Tensor]) -> None:
        self.entries[i] = {name: tensor.clone() for name, tensor in tensors.items()}

    def flush(self) -> None:
        return


class FolderJournal:
    """A safetensors file for the evaluations of about ``seconds``, complete or not there.

    What was not written yet, or was cut off by a crash, is simply computed again.
    """

    def __init__(self, folder: Path, seconds: float = SECONDS) -> None:
        self.folder, self.seconds = folder, seconds
        self._waiting: dict[int, dict[str, Tensor]] = {}
        self._written_at = time.monotonic()
        self._places: dict[int, Path] | None = None
        self._read: tuple[Path, dict[str, Tensor]] | None = None

    def get(self, i: int) -> Mapping[str, Tensor] | None:
        if i in self._waiting:
            return self._waiting[i]
        if self._places is None:
            self._places = {i: path for path in self.folder.glob("*.safetensors") for i in numbers(path)}
        path = self._places.get(i)
        if path is None:
            return None
        if self._read is None or self._read[0] != path:
            self._read = path, load(path)
        found = {name: tensor for key, tensor in self._read[1].items() for n, _, name in [key.partition("/")] if n == str(i)}
        return found or None

    def put(self, i: int, tensors: Mapping[str, Tensor]) -> None:
        self._waiting[i] = {name: tensor.to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
        if time.monotonic() - self._written_at >= self.seconds:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        from safetensors.torch import save

        self._written_at = time.monotonic()
        if not self._waiting:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        data = save({f"{i}/{name}": tensor for i, tensors in self._waiting.items() for name, tensor in tensors.items()})
        path = self.folder / f"{min(self._waiting):06d}-{max(self._waiting):06d}.safetensors"
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        if self._places is not None:
            self._places |= dict.fromkeys(self._waiting, path)
        self._read = None
        self._waiting.clear()
        self._written_at = time.monotonic()

    def clear(self) -> None:
        """Remove the files: the run is done."""
        self._waiting.clear()
        self._places = self._read = None
        for path in self.folder.glob("*.safetensors"):
            path.unlink(missing_ok=True)


def numbers(path: Path) -> range:
    """The evaluations that a file is named after."""
    first, _, last = path.stem.partition("-")
    return range(int(first), int(last) + 1) if first.isdigit() and last.isdigit() else range(0)


def load(path: Path) -> dict[str, Tensor]:
    """The tensors of a file; none where it is torn."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (FileNotFoundError, SafetensorError):
        return {}
