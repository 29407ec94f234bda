"""What a foreign node returned, as the engine takes it: values, something to show, new nodes, or a stop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.comfy.values import outward
from engine.run import Run
from engine.spec import Blocked, Expand, Outcome, Output


def outcome_of(returned: Any, outputs: Sequence[Output], run: Run) -> Outcome:
    """A tuple, ``{"ui", "result"}``, ``{"expand", "result"}``, a blocker or nothing."""
    if isinstance(returned, Blocked):
        return returned
    if isinstance(returned, Mapping):
        show(returned.get("ui"), run)
        result = returned.get("result")
        if isinstance(result, Blocked):
            return result
        if returned.get("expand") is not None:
            return Expand(nodes_of(returned["expand"]), padded(result, outputs))
        return padded(result, outputs)
    return padded(returned, outputs)


def show(ui: Any, run: Run) -> None:
    if isinstance(ui, Mapping):
        run.emit_ui(**{str(name): items if isinstance(items, list | tuple) else [items] for name, items in ui.items()})


def padded(returned: Any, outputs: Sequence[Output]) -> tuple[Any, ...]:
    """One value an output: what is missing is None, what is too much is left out."""
    if returned is None:
        values: tuple[Any, ...] = ()
    elif isinstance(returned, tuple | list):
        values = tuple(returned)
    else:
        values = (returned,)
    values = values[: len(outputs)] + (None,) * (len(outputs) - len(values))
    return tuple(_listed(value) if output.is_list else outward(value) for output, value in zip(outputs, values, strict=True))


def nodes_of(graph: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The new nodes, with their live values as native nodes take them."""
    return {
        str(id): {**node, "inputs": {name: outward(value) for name, value in (node.get("inputs") or {}).items()}}
        for id, node in graph.items()
    }


def _listed(value: Any) -> Any:
    if isinstance(value, Blocked):
        return value
    if value is None:
        return []
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int):
        return value  # a link of an expansion, or two items: the engine resolves the former
    return [outward(item) for item in value] if isinstance(value, list | tuple) else [outward(value)]
