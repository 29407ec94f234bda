"""Packs are found; one that is broken is reported and stops nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.registry import is_foreign, load, load_pack, pack_paths

NATIVE = """
from __future__ import annotations
from engine.node import node

@node("{name}", category="pack")
def it(a: int = 0) -> int:
    return a
"""


@pytest.fixture
def packs(tmp_path: Path) -> Path:
    (tmp_path / "single.py").write_text(NATIVE.format(name="Single"))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "__init__.py").write_text("from engine.node import node\n")
    (tmp_path / "folder" / "inner.py").write_text(NATIVE.format(name="Inner"))
    (tmp_path / "broken.py").write_text("from engine.node import node\nimport nothing_of_that_name\n")
    (tmp_path / "off.py.disabled").write_text("boom")
    (tmp_path / "_private.py").write_text("boom")
    (tmp_path / "foreign.py").write_text("NODE_CLASS_MAPPINGS = {}\n")
    return tmp_path


def test_packs_are_files_and_packages(packs: Path) -> None:
    assert [path.name for path in pack_paths(packs)] == ["broken.py", "folder", "foreign.py", "single.py"]
    assert pack_paths(packs / "none") == []


def test_native_packs_are_loaded_and_broken_ones_reported(packs: Path) -> None:
    registry = load(packs=[packs], foreign=lambda path: [])
    assert {"Single", "Inner"} <= set(registry.specs)
    assert [failure.module.split(".")[-1] for failure in registry.failures] == ["broken"]
    assert "nothing_of_that_name" in registry.failures[0].message
    assert "broken.py" in registry.failures[0].traceback


def test_only_the_packs_that_are_named(packs: Path) -> None:
    registry = load(packs=[packs], only=["single"], foreign=lambda path: [])
    assert "Single" in registry.specs
    assert "Inner" not in registry.specs


def test_a_taken_name_stays_with_the_first(packs: Path) -> None:
    (packs / "thief.py").write_text(NATIVE.format(name="Single"))
    registry = load(packs=[packs], only=["single", "thief"])
    assert registry.specs["Single"].module == "custom_nodes.single"
    assert "is taken by custom_nodes.single" in registry.failures[0].message


def test_foreign_packs_are_told_by_what_they_define(packs: Path) -> None:
    assert is_foreign(packs / "foreign.py")
    assert not is_foreign(packs / "single.py")
    assert not is_foreign(packs / "folder")


def test_a_changed_file_is_other_code(packs: Path) -> None:
    (before,) = load_pack(packs / "single.py")
    (packs / "other.py").write_text(NATIVE.format(name="Single") + "\n# changed\n")
    (after,) = load_pack(packs / "other.py")
    assert before.version != after.version


def test_all_our_own_nodes_load() -> None:
    assert load().failures == []
