"""What every container is read into."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor


@dataclass(frozen=True, eq=False)
class TensorFile:
    """A file's tensors by name, views of its mapping, and what it says about itself."""

    path: Path
    tensors: dict[str, Tensor]
    metadata: dict[str, str] = field(default_factory=dict)
