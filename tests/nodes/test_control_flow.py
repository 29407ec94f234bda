"""What loops, tries, switches and workflows within workflows mean: one law a test."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.events import Event
from engine.execute import NodeError
from engine.folders import Folders
from engine.node import Run, node
from engine.registry import load
from engine.run import Cancel, CancelledError
from engine.signature import spec_of

from ..engine.toys import SPECS, Loom

RAN: list[Any] = []


@node("Work", category="test")
def work(value: Any, plus: int = 0) -> Any:
    """Notes that it ran; fails at 13."""
    RAN.append(value)
    if isinstance(value, int) and value == 13:
        raise ValueError("thirteen")
    return value + plus if isinstance(value, int) else value


@node("Wait", category="test")
def wait(value: int, run: Run) -> int:
    """Waits at 5 until it is stopped."""
    RAN.append(value)
    if value == 5:
        BEGUN.set()
        while True:
            run.check()
    return value


@node("Keep", category="test", output=True)
def keep(value: Any) -> None:
    """Notes what it is given."""
    RAN.append(value)


BEGUN = threading.Event()


@pytest.fixture(scope="module")
def specs() -> dict[str, Any]:
    return {**load().specs, **SPECS, **{one.type: one for one in (spec_of(work), spec_of(wait), spec_of(keep))}}


@pytest.fixture
def loom(specs: dict[str, Any], tmp_path: Path) -> Iterator[Loom]:
    RAN.clear()
    loom = Loom(specs=specs, folders=Folders(base=tmp_path))
    yield loom
    loom.executor.close()


def n(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def over(items: Any, **end: Any) -> dict[str, Any]:
    """For each number of a JSON list, one more than it."""
    return {
        "list": n("JsonRead", text=json.dumps(items)),
        "each": n("ForEach", items=["list", 0]),
        "work": n("Work", value=["each", 1], plus=1),
        "end": n("ForEachEnd", **{"loop": ["each", 0], "value": ["work", 0], **end}),
        "list of results": n("ListJoin", list=["end", 0]),
        "show": n("PreviewAny", source=["list of results", 0]),
    }


def shown(loom: Loom, nodes: dict[str, Any], **how: Any) -> Any:
    return json.loads(loom.run(nodes, **how).ui["show"]["text"][0])


@pytest.mark.parametrize("items", [[], [4], [1, 2, 3], list(range(20, 60))])
def test_a_loop_runs_once_an_item(loom: Loom, items: list[int]) -> None:
    assert shown(loom, over(items)) == [item + 1 for item in items]
    assert items == RAN


def test_an_edited_item_alone_runs_again(loom: Loom) -> None:
    shown(loom, over(list(range(10))))
    RAN.clear()
    assert shown(loom, over([0, 1, 2, 3, 4, 5, 6, 70, 8, 9]))[7] == 71
    assert RAN == [70]


def test_items_that_are_no_scalars_are_known_by_their_content(loom: Loom) -> None:
    shown(loom, over([[1, 2], [3, 4], {"a": 5}]))
    RAN.clear()
    assert shown(loom, over([[1, 2], [9, 4], {"a": 5}])) == [[1, 2], [9, 4], {"a": 5}]
    assert RAN == [[9, 4]]


def test_a_range_carries_a_value_on(loom: Loom) -> None:
    nodes = {
        "zero": n("Number", value=0),
        "each": n("ForRange", start=1, stop=11, step=3, carry=["zero", 0]),
        "add": n("Add", a=["each", 3], b=["each", 1]),
        "end": n("ForEachEnd", loop=["each", 0], carry=["add", 0]),
        "show": n("PreviewAny", source=["end", 1]),
    }
    assert shown(loom, nodes) == 1 + 4 + 7 + 10


def frames(*colours: int) -> dict[str, Any]:
    """A batch of pictures, each worked on by itself, and joined again."""
    nodes: dict[str, Any] = {
        f"picture {i}": n("EmptyImage", width=8, height=4, batch_size=1, color=colour) for i, colour in enumerate(colours)
    }
    nodes["batch 0"] = n("RepeatImageBatch", image=["picture 0", 0], amount=1)
    for i in range(1, len(colours)):
        nodes[f"batch {i}"] = n("ImageBatch", image1=[f"batch {i - 1}", 0], image2=[f"picture {i}", 0])
    return nodes | {
        "each": n("ForEachInBatch", batch=[f"batch {len(colours) - 1}", 0]),
        "work": n("Work", value=["each", 1]),
        "invert": n("ImageInvert", image=["work", 0]),
        "end": n("ForEachEnd", loop=["each", 0], value=["invert", 0]),
        "joined": n("RebatchImages", images=["end", 0], batch_size=4096),
        "look": n("Keep", value=["joined", 0]),
    }


def test_a_map_over_a_batch_sees_one_picture_at_a_time_and_only_the_changed_one_again(loom: Loom) -> None:
    loom.run(frames(0x000000, 0x800000, 0xFFFFFF))
    assert [tuple(value.shape) for value in RAN[:3]] == [(1, 4, 8, 3)] * 3
    joined = RAN[3]
    assert joined.shape == (3, 4, 8, 3)
    assert joined[:, 0, 0, 0].tolist() == pytest.approx([1.0, 1 - 0x80 / 255, 0.0])
    RAN.clear()
    loom.run(frames(0x000000, 0x400000, 0xFFFFFF))
    assert [tuple(value.shape) for value in RAN] == [(1, 4, 8, 3), (3, 4, 8, 3)]
    assert float(RAN[0][0, 0, 0, 0]) == pytest.approx(0x40 / 255)


def test_a_while_in_a_for_each_and_a_break_in_the_inner_loop_alone(loom: Loom) -> None:
    nodes = over([2, 0, 3])
    nodes |= {
        "zero": n("Number", value=0),
        "while": n("While", value=["zero", 0]),
        "below": n("Compare", a=["while", 1], b=["each", 1], how="<"),
        "more": n("Add", a=["while", 1], b=1),
        "while end": n("WhileEnd", loop=["while", 0], condition=["below", 0], next_value=["more", 0]),
    }
    nodes["end"]["inputs"]["value"] = ["while end", 0]
    assert shown(loom, nodes) == [2, 0, 3]
    inner = over([0, 1])
    inner["work"]["inputs"]["value"] = ["inner end", 2]
    inner |= {
        "range": n("ForRange", start=0, stop=9),
        "two": n("Compare", a=["range", 1], b=["limit", 0], how=">="),
        "limit": n("Number", value=2),
        "sum": n("Add", a=["range", 1], b=["each", 1]),
        "inner end": n("ForEachEnd", loop=["range", 0], value=["sum", 0], break_if=["two", 0]),
    }
    assert shown(loom, inner) == [4, 4]


def test_loops_nest(loom: Loom) -> None:
    nodes = {
        "outer": n("ForRange", start=0, stop=3),
        "inner": n("ForRange", start=0, stop=["outer", 1]),
        "add": n("Add", a=["outer", 1], b=["inner", 1]),
        "inner end": n("ForEachEnd", loop=["inner", 0], value=["add", 0]),
        "whole": n("ListJoin", list=["inner end", 0]),
        "end": n("ForEachEnd", loop=["outer", 0], value=["whole", 0]),
        "all": n("ListJoin", list=["end", 0]),
        "show": n("PreviewAny", source=["all", 0]),
    }
    assert shown(loom, nodes) == [[], [1], [2, 3]]


def test_a_loop_within_a_loop_may_not_depend_on_it(loom: Loom) -> None:
    nodes = over([1, 2])
    nodes["inner"] = n("ForRange", start=0, stop=2)
    nodes["add"] = n("Add", a=["each", 1], b=["inner", 1])
    nodes["inner end"] = n("ForEachEnd", loop=["inner", 0], value=["add", 0])
    nodes["joined"] = n("ListJoin", list=["inner end", 0])
    nodes["end"]["inputs"]["value"] = ["joined", 0]
    assert shown(loom, nodes) == [[1, 2], [2, 3]]


def test_break_makes_this_iteration_the_last(loom: Loom) -> None:
    nodes = over(list(range(10)), break_if=["big", 0])
    nodes["big"] = n("Compare", a=["work", 0], b=["three", 0], how=">=")
    nodes["three"] = n("Number", value=3)
    assert shown(loom, nodes) == [1, 2, 3]
    assert RAN == [0, 1, 2]


def test_an_error_in_item_3_ends_the_job_and_names_it(loom: Loom) -> None:
    with pytest.raises(NodeError, match="thirteen") as caught:
        loom.run(over([1, 2, 3, 13, 5]))
    assert caught.value.display == "work"
    assert ".3." in caught.value.node
    assert RAN == [1, 2, 3, 13]
    RAN.clear()
    shown(loom, over([1, 2, 3, 4, 5]))
    assert RAN == [4, 5]


def test_a_cancel_in_item_5_stops_there(loom: Loom) -> None:
    nodes = over(list(range(10)))
    nodes["work"] = n("Wait", value=["each", 1])
    cancel = Cancel()
    BEGUN.clear()
    threading.Thread(target=lambda: BEGUN.wait(10) and cancel(), daemon=True).start()
    with pytest.raises(CancelledError):
        loom.run(nodes, cancel=cancel)
    assert RAN == [0, 1, 2, 3, 4, 5]


def test_progress_counts_iterations(loom: Loom) -> None:
    loom.run(over([1, 2, 3]))
    told: list[Event] = [event for event in loom.kinds("progress") if event.node == "end"]
    assert told
    assert {event.total for event in told} == {3}  # type: ignore[union-attr]


def test_what_shows_something_inside_shows_it_each_time(loom: Loom) -> None:
    nodes = over([1, 2, 3])
    nodes["look"] = n("PreviewAny", source=["work", 0])
    loom.run(nodes)
    seen = [event.ui["text"][0] for event in loom.kinds("step_finished") if event.display == "look" and event.ui]
    assert sorted(seen) == ["2", "3", "4"]


@pytest.mark.parametrize(("limit", "expected"), [(0, [0, 0]), (1, [1, 1]), (6, [6, 6])])
def test_while_its_condition_holds(loom: Loom, limit: int, expected: list[int]) -> None:
    nodes = {
        "zero": n("Number", value=0),
        "limit": n("Number", value=limit),
        "while": n("While", value=["zero", 0]),
        "below": n("Compare", a=["while", 1], b=["limit", 0], how="<"),
        "more": n("Work", value=["while", 1], plus=1),
        "end": n("WhileEnd", loop=["while", 0], condition=["below", 0], next_value=["more", 0]),
        "both": n("CreateList", **{"inputs.input0": ["end", 0], "inputs.input1": ["end", 1]}),
        "joined": n("ListJoin", list=["both", 0]),
        "show": n("PreviewAny", source=["joined", 0]),
    }
    assert shown(loom, nodes) == expected
    assert list(range(limit)) == RAN


def test_an_endless_while_is_an_error(loom: Loom) -> None:
    nodes = {
        "one": n("Number", value=1),
        "while": n("While", value=["one", 0]),
        "true": n("Compare", a=["while", 1], b=["while", 1]),
        "end": n("WhileEnd", loop=["while", 0], condition=["true", 0], next_value=["while", 1], max_iterations=5),
    }
    with pytest.raises(NodeError, match="after 5 iterations"):
        loom.run(nodes)


def test_accumulate_keeps_a_list(loom: Loom) -> None:
    nodes = over([3, 4], carry=["list so far", 0])
    nodes["list so far"] = n("Accumulate", value=["each", 1], carry=["each", 3])
    nodes["show"] = n("PreviewAny", source=["end", 1])
    assert shown(loom, nodes) == [3, 4]


def tried(value: int) -> dict[str, Any]:
    return {
        "value": n("Number", value=value),
        "work": n("Work", value=["value", 0]),
        "after": n("Add", a=["work", 0], b=0),
        "other": n("Number", value=-1),
        "other work": n("Work", value=["other", 0]),
        "try": n("TryCatch", value=["after", 0], otherwise=["other work", 0]),
        "show": n("PreviewAny", source=["try", 0]),
        "error": n("PreviewAny", source=["try", 2]),
    }


def test_a_try_gives_the_value_where_nothing_fails(loom: Loom) -> None:
    assert shown(loom, tried(5)) == 5
    assert RAN == [5]


def test_a_try_catches_what_fails_before_it(loom: Loom) -> None:
    results = loom.run(tried(13))
    assert results.ui["show"]["text"] == ["-1"]
    assert "thirteen" in results.ui["error"]["text"][0]
    assert len(loom.kinds("failed")) == 0
    assert len(loom.kinds("finished")) == 1


def test_a_failure_that_somebody_else_needs_still_ends_the_job(loom: Loom) -> None:
    nodes = tried(13)
    nodes["direct"] = n("PreviewAny", source=["after", 0])
    with pytest.raises(NodeError, match="thirteen"):
        loom.run(nodes)


def test_two_tries_of_one_failure(loom: Loom) -> None:
    nodes = tried(13)
    nodes["again"] = n("TryCatch", value=["work", 0], otherwise=["try", 0])
    nodes["show"] = n("PreviewAny", source=["again", 0])
    assert shown(loom, nodes) == -1


def test_a_try_inside_a_loop_and_a_loop_inside_a_try(loom: Loom) -> None:
    nodes = over([1, 13, 3])
    nodes["none"] = n("Number", value=0)
    nodes["try"] = n("TryCatch", value=["work", 0], otherwise=["none", 0])
    nodes["end"]["inputs"]["value"] = ["try", 0]
    assert shown(loom, nodes) == [2, 0, 4]
    nodes = over([1, 13, 3])
    nodes["none"] = n("Number", value=-1)
    nodes["outside"] = n("TryCatch", value=["list of results", 0], otherwise=["none", 0])
    nodes["show"] = n("PreviewAny", source=["outside", 0])
    assert shown(loom, nodes) == -1


def test_a_switch_computes_one_side(loom: Loom) -> None:
    for truth, expected in ((True, 1), (False, 2)):
        nodes = {
            "yes": n("Work", value=1), "no": n("Work", value=2),
            "x": n("ComfySwitchNode", switch=truth, on_true=["yes", 0], on_false=["no", 0]),
            "show": n("PreviewAny", source=["x", 0]),
        }  # fmt: skip
        assert shown(loom, nodes) == expected
    assert RAN == [1, 2]


def start_loop(accumulate: bool, **mode: Any) -> dict[str, Any]:
    return {
        "start": n("StartLoop", **{f"mode.{name}" if name != "mode" else name: value for name, value in mode.items()},
                   initial_iteration_value=100),
        "work": n("Work", value=["start", 0], plus=10),
        "carry": n("Add", a=["start", 4], b=["start", 0]),
        "end": n("EndLoop", output_value=["work", 0], next_iteration_value=["carry", 0], accumulate=accumulate),
        "joined": n("ListJoin", list=["end", 0]),
        "show": n("PreviewAny", source=["joined", 0]),
    }  # fmt: skip


def test_the_references_loop_by_its_names(loom: Loom) -> None:
    assert shown(loom, start_loop(True, mode="simple", num_iterations=3)) == [10, 11, 12]
    assert shown(loom, start_loop(False, mode="simple", num_iterations=3)) == [12]
    assert shown(loom, start_loop(True, mode="For", start_iteration_index=2, max_iteration=7, step=2)) == [12, 14, 16]
    assert shown(loom, start_loop(True, mode="simple", num_iterations=0)) == []
    nodes = start_loop(True, mode="List", list=["items", 0])
    nodes["items"] = n("CreateList", **{"inputs.input0": 5, "inputs.input1": 6})
    nodes["end"]["inputs"]["output_value"] = ["start", 3]
    assert shown(loom, nodes) == [5, 6]
    nodes = start_loop(False, mode="simple", num_iterations=4)
    nodes["end"]["inputs"]["output_value"] = ["carry", 0]
    assert shown(loom, nodes) == [106]


def test_the_references_loops_nest(loom: Loom) -> None:
    nodes = {
        "outer": n("StartLoop", **{"mode": "simple", "mode.num_iterations": 2}),
        "inner": n("StartLoop", **{"mode": "simple", "mode.num_iterations": 2}, parent_iteration=["outer", 0]),
        "add": n("Add", a=["outer", 0], b=["inner", 0]),
        "inner end": n("EndLoop", output_value=["add", 0], accumulate=True),
        "whole": n("ListJoin", list=["inner end", 0]),
        "end": n("EndLoop", output_value=["whole", 0], accumulate=True),
        "joined": n("ListJoin", list=["end", 0]),
        "show": n("PreviewAny", source=["joined", 0]),
    }
    assert shown(loom, nodes) == [[0, 1], [1, 2]]


def test_a_saved_workflow_is_a_node(loom: Loom, tmp_path: Path) -> None:
    folder = tmp_path / "user" / "default" / "workflows"
    folder.mkdir(parents=True)
    inner = {
        "1": n("WorkflowInput", name="number"), "2": n("Add", a=["1", 0], b=5),
        "3": n("WorkflowOutput", name="sum", value=["2", 0]),
    }  # fmt: skip
    (folder / "plus five.json").write_text(json.dumps(inner))
    nodes = {
        "seven": n("Number", value=7),
        "call": n("CallWorkflow", workflow="plus five.json", number=["seven", 0]),
        "show": n("PreviewAny", source=["call", 0]),
    }
    assert shown(loom, nodes) == 12
    inner["2"]["inputs"]["b"] = 6
    (folder / "plus five.json").write_text(json.dumps(inner))
    assert shown(loom, nodes) == 13


def test_a_workflow_that_calls_itself_ends_in_an_error(loom: Loom, tmp_path: Path) -> None:
    folder = tmp_path / "user" / "default" / "workflows"
    folder.mkdir(parents=True)
    own = {"1": n("CallWorkflow", workflow="me.json"), "2": n("WorkflowOutput", value=["1", 0])}
    (folder / "me.json").write_text(json.dumps(own))
    with pytest.raises(NodeError, match="32 deep"):
        loom.run({"1": n("CallWorkflow", workflow="me.json"), "show": n("PreviewAny", source=["1", 0])})
