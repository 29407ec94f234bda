"""The node contract of ComfyUI, kept across the border of a process: the packs of ``tests/comfy``, isolated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.folders import Folders
from engine.packs.confinement import supported
from engine.packs.isolation import Cell
from engine.problems import GraphError
from engine.registry import Failure, load
from engine.workflow.definitions import describe

from ..engine.toys import Loom

pytestmark = pytest.mark.skipif(supported() is not None, reason=str(supported()))
PACKS = Path(__file__).parents[1] / "comfy" / "packs"


@pytest.fixture(scope="module")
def loom(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loom]:
    folders = Folders(base=tmp_path_factory.mktemp("base"))
    cells = [Cell(PACKS / name, folders) for name in ("contract", "schema")]
    found = [spec for cell in cells for spec in cell.specs()]
    assert [one.module for one in found if isinstance(one, Failure)] == ["custom_nodes.contract.Contract NoNode"]
    loom = Loom(specs={**load().specs, **{one.type: one for one in found if not isinstance(one, Failure)}}, folders=folders)
    yield loom
    loom.executor.close()
    for cell in cells:
        cell.stop()


def n(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind if kind.startswith("Schema ") else f"Contract {kind}", "inputs": inputs}


def result(loom: Loom, **nodes: dict[str, Any]) -> Any:
    values = loom.run({**nodes, "shown": n("Shown", value=["x", 0])}).ui["shown"]["value"]
    return values[0] if len(values) == 1 else values


def test_what_clients_see(loom: Loom) -> None:
    info = describe(loom.specs["Contract Everything"], loom.folders)
    assert info["essentials_category"] == "Basics"
    assert info["input"]["required"]["many"][1]["multi_select"] == {"chip": True, "placeholder": "x"}
    assert info["python_module"] == "custom_nodes.contract"
    assert describe(loom.specs["Contract Combo"], loom.folders)["output"] == ["STRING", ["x", "y"]]


def test_lists_that_grow_and_choices_that_bring_inputs_are_told_as_such(loom: Loom) -> None:
    spec = loom.specs["Schema Grown"]
    kinds = {"numbers": "COMFY_AUTOGROW_V3", "how": "COMFY_DYNAMICCOMBO_V3"}
    assert {one.name: one.type for one in spec.declared} == kinds
    told = describe(spec, loom.folders)["input"]["required"]
    assert list(told) == ["numbers", "how"]
    assert [option["key"] for option in told["how"][1]["options"]] == ["sum", "scaled"]


def test_values_lists_and_defaults(loom: Loom) -> None:
    assert result(loom, a=n("Value", value=3), x=n("Sum", a=["a", 0], b=4)) == 7
    assert result(loom, s=n("Spread", count=3), x=n("Sum", a=["s", 0], b=10)) == [10, 11, 12]
    assert result(loom, s=n("Spread", count=3), x=n("Whole", values=["s", 0], scale=2)) == "[0, 1, 2] [2] ['x']"
    assert result(loom, v=n("Value", value=2), x=n("Gathered", b=["v", 0], a="text")) == "a=text, b=2"


def test_validation(loom: Loom) -> None:
    with pytest.raises(GraphError, match="low is above high"):
        result(loom, x=n("Validated", low=3, high=2))
    with pytest.raises(GraphError, match="cannot take STRING"):
        result(loom, v=n("Bare"), x=n("ChecksTypes", value=["v", 0]))
    with pytest.raises(GraphError, match="3 is odd"):
        result(loom, x=n("Schema Picky", n=3))


def test_state_and_fingerprints(loom: Loom) -> None:
    nodes = {"x": n("Counter")}
    assert [result(loom, **nodes) for _ in range(2)] == [1, 2]
    assert result(loom, x=n("Fingerprinted", value=1)) == 1


@pytest.mark.parametrize(("share", "expected"), [(0.0, 5.0), (1.0, 7.0), (0.5, 6.0)])
def test_lazy_inputs(loom: Loom, share: float, expected: float) -> None:
    mix = n("LazyMix", a=["a", 0], b=["b", 0], share=share)
    assert result(loom, a=n("Value", value=5), b=n("Value", value=7), x=mix) == expected


def test_blockers_and_hidden_values(loom: Loom) -> None:
    results = loom.run({"x": n("Stopped", value=3, stop=True, why="not today"), "shown": n("Shown", value=["x", 0])})
    assert results.ui == {}
    assert [event.message for event in loom.kinds("step_blocked")] == ["not today"]
    assert result(loom, x=n("Hidden")) == "['shown', 'x'] None x"


def test_expansion_and_a_loop_of_the_packs_own(loom: Loom) -> None:
    assert result(loom, x=n("Expanded", times=3, start=4)) == 7
    assert result(loom, x=n("Schema Expand", n=4)) == 4.0
    nodes = {
        "open": n("LoopOpen", condition=True, value=0), "add": n("Sum", a=["open", 1], b=1),
        "below": n("Below", a=["add", 0], b=3), "x": n("LoopClose", flow=["open", 0], condition=["below", 0], value=["add", 0]),
    }  # fmt: skip
    assert result(loom, **nodes) == 3


def test_progress_is_told(loom: Loom) -> None:
    assert result(loom, x=n("Slow", value=4)) == 4
    assert {event.node for event in loom.kinds("progress")} == {"x"}


def test_growing_inputs_and_pictures_of_schemas(loom: Loom) -> None:
    assert result(loom, x=n("Schema Grown", **{"numbers.n0": 1, "numbers.n1": 2, "how": "scaled", "how.by": 5})) == 15
    (saved,) = loom.run({"x": n("Schema Shows", what="wav")}).ui["x"]["audio"]
    assert (loom.folders.work("output") / saved["subfolder"] / saved["filename"]).is_file()
