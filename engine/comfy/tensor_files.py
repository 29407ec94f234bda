"""Tensors that remember their file: packs read a file and hand its tensors on to a loader that takes paths."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class FileTensors(dict[str, Any]):
    """What ``load_torch_file`` gives: a dict, and the path it came from."""

    path: Path | None = None

    @classmethod
    def read(cls, path: Path, tensors: Mapping[str, Any]) -> FileTensors:
        made = cls(tensors)
        made.path, made._count = path, len(made)
        return made

    _count = 0

    @property
    def untouched(self) -> bool:
        """Whether it still has what its file has, as far as a count tells."""
        return self.path is not None and len(self) == self._count


def as_file(tensors: Mapping[str, Any]) -> Path:
    """The file of ``tensors``; of others, one that is written for the purpose."""
    if isinstance(tensors, FileTensors) and tensors.untouched and tensors.path is not None:
        return tensors.path
    from safetensors.torch import save_file

    with tempfile.NamedTemporaryFile(suffix=".safetensors", delete=False) as file:
        path = Path(file.name)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path
