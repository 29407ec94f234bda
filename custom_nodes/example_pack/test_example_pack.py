"""Tests of the example: a node is a function, and is tested as one."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.node import Run


@pytest.fixture(scope="module")
def pack() -> Any:
    spec = importlib.util.spec_from_file_location("example_pack", Path(__file__).with_name("__init__.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_vignette_leaves_the_middle_and_darkens_the_corners(pack: Any) -> None:
    dark = pack.vignette(torch.ones(1, 3, 3, 3), strength=1.0)
    assert dark[0, 1, 1, 0] == 1
    assert dark[0, 0, 0, 0] == 0


def test_case(pack: Any) -> None:
    assert pack.change_case("a Cat", "title") == "A Cat"


def test_count(pack: Any) -> None:
    run = Run()
    pack.count(3, run=run)
    assert run.ui == {"text": ["counted to 3"]}
