"""Why an input will not do, in words for people and in ComfyUI's for its clients."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.spec import NodeSpec, Output, Port

SHORT = 60


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a literal will not do; graph.py adds which node."""

    error: str
    message: str
    details: str
    expected: str
    received: str
    cure: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


def short(value: Any) -> str:
    """A value for a message: a few words of it."""
    try:
        text = json.dumps(value) if isinstance(value, dict | list | str | int | float | bool | None) else repr(value)
    except (TypeError, ValueError):
        text = repr(type(value))
    return text if len(text) <= SHORT else f"{text[: SHORT - 3]}..."


def missing(port: Port) -> Refusal:
    kind = f"a link to {port.type}" if not port.widget else f"a value or a link ({port.type})"
    return Refusal("required_input_missing", "Required input is missing", port.name, kind, "nothing")


def bad_link(port: Port, value: Any) -> Refusal:
    message = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
    cure = 'Write a list that is a value as {"__value__": [...]}.'
    details = f"{port.name}, received: {short(value)}"
    return Refusal("bad_linked_input", message, details, 'a link ["id", slot]', short(value), cure)


def converter(output: Output, port: Port, specs: Mapping[str, NodeSpec]) -> str:
    """The node that would make the link fit, if there is one that does just that."""
    for spec in specs.values():
        links = [p for p in spec.inputs if p.required and not p.widget]
        if spec.outputs and spec.outputs[0].type == port.type and links and links[0].type == output.type and len(links) <= 2:
            return f"Connect a {spec.title or spec.type} between."
    return ""
