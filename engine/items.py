"""Lists on edges: a node runs once an item unless it takes whole lists. Pure functions between a step's sources and its calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.spec import Blocked, NodeSpec


class Items(list[Any]):
    """A list output: each item is a value of the edge's type. Any other list is one value."""


def calls(spec: NodeSpec, inputs: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The arguments of each call that ``inputs`` ask for; None if that is one call with ``inputs`` as they are.

    Lists run in parallel, a shorter one repeating its last item; an empty one means no call at all.
    """
    if spec.input_is_list:
        return [{name: list(value) if isinstance(value, Items) else [value] for name, value in inputs.items()}]
    lists = {name: value for name, value in inputs.items() if type(value) is Items}
    if not lists:
        return None
    count = 0 if any(not value for value in lists.values()) else max(map(len, lists.values()))
    return [
        {name: value[min(i, len(value) - 1)] if name in lists else value for name, value in inputs.items()} for i in range(count)
    ]


def blocker(spec: NodeSpec, arguments: Mapping[str, Any]) -> Blocked | None:
    """The first argument that forbids the call."""
    for value in arguments.values():
        if type(value) is list and spec.input_is_list:
            value = next((item for item in value if isinstance(item, Blocked)), None)
        if isinstance(value, Blocked):
            return value
    return None


def single(spec: NodeSpec, values: Sequence[Any]) -> tuple[Any, ...]:
    """What one unmapped call leaves on the edges."""
    if not any(output.is_list for output in spec.outputs):
        return tuple(values)
    return tuple(
        Items(value) if output.is_list and not isinstance(value, Blocked) else value
        for output, value in zip(spec.outputs, values, strict=True)
    )


def joined(spec: NodeSpec, results: Sequence[Sequence[Any]]) -> tuple[Any, ...]:
    """What several calls leave on the edges: list outputs end to end, others as a list of one value a call."""
    columns = []
    for i, output in enumerate(spec.outputs):
        column = Items()
        for result in results:
            if (output.is_list and not isinstance(result[i], Blocked)) or isinstance(result[i], Items):
                column.extend(result[i])
            else:
                column.append(result[i])
        columns.append(column)
    return tuple(columns)
