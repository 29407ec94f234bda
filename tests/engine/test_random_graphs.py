"""Random graphs against an evaluator too simple to be wrong."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from .toys import Loom, n


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, Any]:
    """A layered graph of additions, splits, switches and countdowns; a third of the nodes are shown."""
    count = draw(st.integers(1, 14))
    nodes: dict[str, Any] = {"0": n("Number", value=draw(st.integers(0, 9)))}
    slots = [("0", 0)]
    for i in range(1, count):
        a, b = draw(st.sampled_from(slots)), draw(st.sampled_from(slots))
        kind = draw(st.sampled_from(["Add", "Split", "Switch", "Countdown", "Number", "Twice"]))
        match kind:
            case "Add":
                nodes[str(i)] = n("Add", a=a, b=b)
            case "Split":
                nodes[str(i)] = n("Split", value=a)
                slots.append((str(i), 1))
            case "Switch":
                nodes[str(i)] = n("Switch", condition=draw(st.booleans()), on_true=a, on_false=b)
            case "Countdown":
                nodes[str(i)] = n("Countdown", n=draw(st.integers(0, 3)), value=a)
            case "Twice":
                nodes[str(i)] = n("Twice", value=a)
            case _:
                nodes[str(i)] = n("Number", value=draw(st.integers(0, 9)))
        slots.append((str(i), 0))
    shown = draw(st.lists(st.sampled_from(slots), min_size=1, max_size=4, unique=True))
    return nodes | {f"show{i}": n("Show", value=slot) for i, slot in enumerate(shown)}


def naive(nodes: dict[str, Any], id: str, slot: int = 0) -> int:
    """The value at one output, by recursion and without memory."""
    inputs = {k: naive(nodes, *v) if isinstance(v, list) else v for k, v in nodes[id]["inputs"].items()}
    match nodes[id]["class_type"]:
        case "Add":
            return int(inputs["a"] + inputs["b"])
        case "Split":
            low = inputs["value"] // 2
            return int(inputs["value"] - low if slot else low)
        case "Switch":
            return int(inputs["on_true"] if inputs["condition"] else inputs["on_false"])
        case "Countdown":
            return int(inputs["n"] + inputs["value"])
        case "Twice":
            return int(2 * inputs["value"])
        case _:
            return int(inputs["value"])


@given(graphs(), st.data())
@settings(max_examples=150, deadline=None)
def test_any_graph_gives_what_the_naive_evaluator_gives(prompt: dict[str, Any], data: st.DataObject) -> None:
    loom = Loom()
    try:
        expected = {id: naive(prompt, id) for id in prompt if id.startswith("show")}
        assert loom.shown(prompt) == expected
        assert loom.run(prompt).ran == ()
        numbers = [id for id, node in prompt.items() if node["class_type"] == "Number"]
        changed = data.draw(st.sampled_from(numbers))
        prompt[changed]["inputs"]["value"] += 100
        assert loom.shown(prompt) == {id: naive(prompt, id) for id in expected}
        loom.cache.max_bytes = 0
        loom.cache.clear()
        assert loom.shown(prompt) == {id: naive(prompt, id) for id in expected}
    finally:
        loom.executor.close()


@given(graphs())
@settings(max_examples=60, deadline=None)
def test_a_change_reruns_nothing_that_does_not_depend_on_it(prompt: dict[str, Any]) -> None:
    loom = Loom()
    try:
        loom.run(prompt)
        changed = next(id for id, node in prompt.items() if node["class_type"] == "Number")
        prompt[changed]["inputs"]["value"] += 100
        touched = {changed}
        for id, node in prompt.items():
            if any(isinstance(v, list) and v[0] in touched for v in node["inputs"].values()):
                touched.add(id)
        ran = {id.split(".")[0] for id in loom.run(prompt).ran}
        assert ran <= touched
    finally:
        loom.executor.close()
