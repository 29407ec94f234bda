"""Lazy inputs, blockers and expansion: graphs that decide at run time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from engine.execute import NodeError
from engine.node import Blocked, Lazy, Link
from engine.spec import Expand, NodeSpec, Port

from .toys import SPECS, Loom, n, switch


@pytest.mark.parametrize(("condition", "ran"), [(True, "1"), (False, "2")])
def test_only_the_branch_that_is_awaited_runs(loom: Loom, condition: bool, ran: str) -> None:
    """1 \\
          switch(3) -> show(4)
       2 /"""
    prompt = {
        "1": n("Number", value=1),
        "2": n("Number", value=2),
        "3": n("Switch", condition=condition, on_true=("1", 0), on_false=("2", 0)),
        "4": n("Show", value=("3", 0)),
    }
    results = loom.run(prompt)
    assert results.ui == {"4": {"value": [int(ran)]}}
    assert set(results.ran) == {ran, "3", "4"}


def test_a_lazy_input_may_be_a_literal_or_absent(loom: Loom) -> None:
    assert loom.shown({"1": n("Switch", condition=True, on_true=9), "2": n("Show", value=("1", 0))}) == {"2": 9}
    assert loom.shown({"1": n("Switch", condition=False, on_true=9), "2": n("Show", value=("1", 0))}) == {"2": None}


async def test_a_lazy_node_is_called_directly_with_ready_values() -> None:
    assert await switch(True, Lazy(1), Lazy(2)) == 1


def test_a_chain_of_a_thousand_switches_is_evaluated(loom: Loom) -> None:
    prompt = {"0": n("Number", value=7)}
    prompt |= {str(i): n("Switch", condition=True, on_true=(i - 1, 0)) for i in range(1, 1001)}
    assert loom.shown(prompt | {"out": n("Show", value=(1000, 0))}) == {"out": 7}


def test_a_list_passes_a_switch_as_a_list(loom: Loom) -> None:
    prompt = {"1": n("Range", n=3), "2": n("Switch", condition=True, on_true=("1", 0)), "3": n("Show", value=("2", 0))}
    assert loom.shown(prompt) == {"3": [0, 1, 2]}


def asking(names: list[list[str]]) -> NodeSpec:
    """A foreign node that asks for its lazy inputs in rounds, and adds up what it got."""
    seen: list[Mapping[str, Any]] = []

    def needs(inputs: Mapping[str, Any], run: Any) -> list[str]:
        seen.append(dict(inputs))
        return names[min(len(seen), len(names)) - 1]

    def call(inputs: Mapping[str, Any], run: Any) -> tuple[Any, ...]:
        return (sum(value for value in inputs.values() if value is not None),)

    ports = tuple(Port(name=name, type="*", lazy=True) for name in "abc")
    return NodeSpec(type="Asking", call=call, inputs=ports, outputs=SPECS["Add"].outputs, needs=needs)


def test_a_foreign_node_is_asked_until_it_needs_no_more(loom: Loom) -> None:
    """It asks for a, then for a and b, never for c."""
    loom.specs = {**SPECS, "Asking": asking([["a"], ["a", "b"]])}
    loom.executor.specs = loom.specs
    prompt = {str(i): n("Number", value=10**i) for i in range(3)}
    prompt |= {"x": n("Asking", a=("0", 0), b=("1", 0), c=("2", 0)), "y": n("Show", value=("x", 0))}
    results = loom.run(prompt)
    assert results.ui == {"y": {"value": [11]}}
    assert "2" not in results.ran


def test_a_blocker_stops_what_is_behind_it_and_nothing_else(loom: Loom) -> None:
    """1 -> gate(2) -> +(3) -> show(4)    1 -> show(5)"""
    prompt = {
        "1": n("Number", value=1),
        "2": n("Gate", value=("1", 0), shut=True, why="it is late"),
        "3": n("Add", a=("2", 0)),
        "4": n("Show", value=("3", 0)),
        "5": n("Show", value=("1", 0)),
    }
    assert loom.shown(prompt) == {"5": 1}
    blocked = loom.kinds("step_blocked")
    assert [(event.node, event.message) for event in blocked] == [("3", "it is late")]
    assert loom.events[-1].kind == "finished"
    assert loom.shown(prompt) == {"5": 1}
    assert [event.message for event in loom.kinds("step_blocked")] == ["it is late"], "whoever runs it again is told again"


def test_a_blocked_item_leaves_the_others(loom: Loom) -> None:
    loom.specs = {
        **SPECS,
        "Odd": replace(SPECS["Same"], type="Odd", call=lambda i, r: (i["value"] if i["value"] % 2 else Blocked(),)),
    }
    loom.executor.specs = loom.specs
    prompt = {"1": n("Range", n=5), "2": n("Odd", value=("1", 0)), "3": n("Show", value=("2", 0))}
    assert loom.shown(prompt) == {"3": [1, 3]}


def test_an_expansion_takes_its_nodes_place(loom: Loom) -> None:
    prompt = {"1": n("Number", value=4), "2": n("Countdown", n=3, value=("1", 0)), "3": n("Show", value=("2", 0))}
    results = loom.run(prompt)
    assert results.ui == {"3": {"value": [7]}}
    inner = next(event for event in loom.events if event.kind == "step_started" and event.node.startswith("2.0.1"))
    assert (inner.display, inner.parent) == ("2", "2")
    assert loom.run(prompt).ran == ()


def test_two_hundred_expansions_deep(loom: Loom) -> None:
    assert loom.shown({"1": n("Countdown", n=200), "2": n("Show", value=("1", 0))}) == {"2": 200}


def test_parts_of_an_expansion_are_cached_on_their_own(loom: Loom) -> None:
    """Counting down from 12 meets, after two steps, what counting down from 10 left, but for the value it starts with."""
    loom.run({"1": n("Countdown", n=10, value=0), "2": n("Show", value=("1", 0))})
    assert loom.run({"7": n("Countdown", n=10, value=0), "8": n("Show", value=("7", 0))}).ran == ()


def test_an_expansion_may_use_a_link_it_never_read(loom: Loom) -> None:
    prompt = {"1": n("Number", value=21), "2": n("Twice", value=("1", 0)), "3": n("Show", value=("2", 0))}
    assert loom.shown(prompt) == {"3": 42}


def test_an_expansion_may_pass_live_objects(loom: Loom) -> None:
    prompt = {"1": n("Number", value=3), "2": n("Live", value=("1", 0)), "3": n("Show", value=("2", 0))}
    assert loom.shown(prompt) == {"3": {"held": object, "value": 3}}
    assert loom.run(prompt).ran == ()


def expanding(nodes: dict[str, Any], *results: Any) -> NodeSpec:
    return replace(SPECS["Number"], type="Bad", call=lambda inputs, run: Expand(nodes, results))


def test_a_node_can_look_at_all_steps_there_are(loom: Loom) -> None:
    seen: list[set[str]] = []

    def look(inputs: Mapping[str, Any], run: Any) -> tuple[Any, ...]:
        seen.append(set(run.job.steps))
        return (inputs["value"],)

    loom.specs = {**SPECS, "Look": replace(SPECS["Same"], type="Look", call=look)}
    loom.executor.specs = loom.specs
    loom.run({"1": n("Countdown", n=1), "2": n("Look", value=("1", 0)), "3": n("Show", value=("2", 0))})
    assert seen == [{"1", "2", "3", "1.0.1", "1.0.2"}]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (expanding({"1": {"class_type": "Nonsense", "inputs": {}}}, Link("1")), "unknown"),
        (expanding({"1": n("Number")}, Link("1", 3)), "does not exist"),
        (expanding({}, Link("9")), "does not exist"),
        (expanding({"a": n("Add", a=["b", 0]), "b": n("Add", a=["a", 0])}, Link("a")), "cycle"),
    ],
)
def test_an_impossible_expansion_is_the_nodes_error(loom: Loom, spec: NodeSpec, said: str) -> None:
    loom.specs = {**SPECS, "Bad": spec}
    loom.executor.specs = loom.specs
    with pytest.raises(NodeError, match=said):
        loom.run({"1": n("Bad"), "2": n("Show", value=("1", 0))})


def test_an_expansion_that_waits_for_itself_is_an_error_not_a_hang(loom: Loom) -> None:
    loom.specs = {**SPECS, "Bad": expanding({"1": n("Add", a=["x", 0])}, Link("1"))}
    loom.executor.specs = loom.specs
    with pytest.raises(RuntimeError, match="wait for each other"):
        loom.run({"x": n("Bad"), "y": n("Show", value=("x", 0))})
    assert loom.events[-1].kind == "failed"


def test_output_nodes_inside_an_expansion_show_too(loom: Loom) -> None:
    spec = expanding({"1": n("Number", value=5), "2": n("Show", value=["1", 0])}, Link("1"))
    loom.specs = {**SPECS, "Bad": spec}
    loom.executor.specs = loom.specs
    assert loom.shown({"x": n("Bad"), "y": n("Show", value=("x", 0))}) == {"x.0.2": 5, "y": 5}
