"""The contract pack, loaded as a user's pack is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from engine.comfy.finder import close_door
from engine.comfy.host import host
from engine.folders import Folders
from engine.registry import Registry, load

from ..engine.toys import Loom

PACKS = Path(__file__).parent / "packs"


@pytest.fixture(scope="session")
def registry() -> Iterator[Registry]:
    yield load(package="tests.comfy.no_nodes", packs=[PACKS], only=["contract", "schema"])
    close_door()
    host.cache_clear()


@pytest.fixture
def loom(registry: Registry, tmp_path: Path) -> Iterator[Loom]:
    loom = Loom(specs=registry.specs, folders=Folders(base=tmp_path))
    yield loom
    loom.executor.close()


@pytest.fixture
def pack(registry: Registry) -> ModuleType:
    module = sys.modules["custom_nodes.contract"]
    module.CALLS.clear()
    return module
