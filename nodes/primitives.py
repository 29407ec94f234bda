"""Plain values, and values shown as text."""

from __future__ import annotations

import json
from typing import Annotated, Any

from annotated_types import Interval

from engine.node import ControlAfterGenerate, Multiline, Run, node

LARGEST = 2**63 - 1


@node("PrimitiveString", category="utils/primitive", title="String")
def primitive_string(value: str) -> str:
    """A line of text."""
    return value


@node("PrimitiveStringMultiline", category="utils/primitive", title="String (Multiline)")
def primitive_string_multiline(value: Annotated[str, Multiline()]) -> str:
    """Text."""
    return value


@node("PrimitiveInt", category="utils/primitive", title="Int")
def primitive_int(value: Annotated[int, Interval(ge=-LARGEST, le=LARGEST), ControlAfterGenerate()]) -> int:
    """A whole number."""
    return value


@node("PrimitiveFloat", category="utils/primitive", title="Float")
def primitive_float(value: Annotated[float, Interval(ge=-float(LARGEST), le=float(LARGEST))]) -> float:
    """A number."""
    return value


@node("PrimitiveBoolean", category="utils/primitive", title="Boolean")
def primitive_boolean(value: bool) -> bool:
    """Yes or no."""
    return value


def _shown(source: Any) -> str:
    if isinstance(source, str):
        return source
    if isinstance(source, int | float | bool):
        return str(source)
    if source is None:
        return "None"
    try:
        return json.dumps(source)
    except (TypeError, ValueError):
        return str(source)


@node("PreviewAny", category="utils", title="Preview Any", output=True)
def preview_any(source: Any, *, run: Run) -> None:
    """Show any value as text."""
    run.emit_ui(text=(_shown(source),))
