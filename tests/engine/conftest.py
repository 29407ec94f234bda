"""A loom for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.folders import Folders

from .toys import Loom


@pytest.fixture
def loom(tmp_path: Path) -> Iterator[Loom]:
    loom = Loom(folders=Folders(base=tmp_path))
    yield loom
    loom.executor.close()
