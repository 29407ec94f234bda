"""Decisions, comparisons and lists."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, NamedTuple

from annotated_types import Interval

from engine.node import Lazy, Many, Multiline, Name, OptionalInput, node


@node("ComfySwitchNode", category="utilities/logic", title="If/Else Switch", outputs=("output",), search_aliases=("if", "branch"))
async def switch(switch: bool, on_false: Lazy[Any] | None = None, on_true: Lazy[Any] | None = None) -> Any:
    """``on_true`` or ``on_false``; only the one that is chosen is computed."""
    chosen = on_true if switch else on_false
    return await chosen if chosen is not None else None


@node("ComfySoftSwitchNode", category="utilities/logic", title="Soft Switch", outputs=("output",), experimental=True)
async def soft_switch(switch: bool, on_false: Lazy[Any] | None = None, on_true: Lazy[Any] | None = None) -> Any:
    """As If/Else Switch; with only one side connected it is always that side."""
    chosen = on_true if (switch and on_true is not None) or on_false is None else on_false
    if chosen is None:
        raise ValueError("Connect on_true or on_false.")
    return await chosen


@node("SwitchCase", category="utilities/logic", title="Switch")
async def switch_case(
    index: Annotated[int, Interval(ge=0, le=9)] = 0,
    case0: Lazy[Any] | None = None, case1: Lazy[Any] | None = None, case2: Lazy[Any] | None = None,
    case3: Lazy[Any] | None = None, case4: Lazy[Any] | None = None, case5: Lazy[Any] | None = None,
    case6: Lazy[Any] | None = None, case7: Lazy[Any] | None = None, case8: Lazy[Any] | None = None,
    case9: Lazy[Any] | None = None, otherwise: Lazy[Any] | None = None,
) -> Any:  # fmt: skip
    """One of several inputs by its number; only that one is computed. An unconnected one gives ``otherwise``."""
    chosen = (case0, case1, case2, case3, case4, case5, case6, case7, case8, case9)[index] or otherwise
    return await chosen if chosen is not None else None


@node("ComfyNotNode", category="utilities/logic", title="Not")
def not_(value: Any) -> bool:
    """True if the value is false, zero or empty."""
    return not value


@node("ComfyAndNode", category="utilities/logic", title="And")
def and_(first: Annotated[Any, Name("values.value0")], **values: Any) -> bool:
    """Whether all values are true: ``values.value0``, ``values.value1`` and so on."""
    return all([first, *values.values()])


@node("ComfyOrNode", category="utilities/logic", title="Or")
def or_(first: Annotated[Any, Name("values.value0")], **values: Any) -> bool:
    """Whether any value is true: ``values.value0``, ``values.value1`` and so on."""
    return any([first, *values.values()])


@node("InvertBooleanNode", category="utilities/logic", title="Invert Boolean")
def invert_boolean(boolean: bool) -> bool:
    """True becomes false, false true."""
    return not boolean


class Passed(NamedTuple):
    output: Any
    is_none: bool


@node("ComfyPassOrNoneNode", category="utilities/logic", title="Pass or None")
def pass_or_none(anything: Any | None = None, default: Any | None = None) -> Passed:
    """``anything``, or ``default`` where there is nothing."""
    value = default if anything is None else anything
    return Passed(value, value is None)


@node("Compare", category="utilities/logic")
def compare(a: Any, b: Any, how: Literal["==", "!=", "<", "<=", ">", ">="] = "==") -> bool:
    """Whether ``a`` compares to ``b`` as asked."""
    match how:
        case "==":
            return bool(a == b)
        case "!=":
            return bool(a != b)
        case "<":
            return bool(a < b)
        case "<=":
            return bool(a <= b)
        case ">":
            return bool(a > b)
    return bool(a >= b)


@node("CreateList", category="utilities", title="Create List", outputs=("list",))
def create_list(**inputs: Many[Any]) -> Many[Any]:
    """All inputs as one list: ``inputs.input0``, ``inputs.input1`` and so on."""
    return [item for items in inputs.values() for item in items]


@node("ListLength", category="utilities/list", title="List Length")
def list_length(list: Many[Any]) -> int:
    """How many items there are."""
    return len(_whole(list))


@node("ListItem", category="utilities/list", title="Item of List")
def list_item(list: Many[Any], index: int = 0) -> Any:
    """One item; negative numbers count from the end."""
    items = _whole(list)
    if not -len(items) <= index < len(items):
        raise IndexError(f"index: the list has {len(items)} items, but item {index} was asked for.")
    return items[index]


@node("ListSlice", category="utilities/list", title="Part of List")
def list_slice(list: Many[Any], start: int = 0, stop: Annotated[int, OptionalInput()] = 2**31 - 1) -> Many[Any]:
    """The items from ``start`` to before ``stop``."""
    return [*_whole(list)[start:stop]]


@node("ListJoin", category="utilities/list", title="List to Value")
def list_join(list: Many[Any]) -> Any:
    """All items as one value: what follows gets the whole list at once."""
    return [*_whole(list)]


def _whole(items: list[Any]) -> list[Any]:
    return [*items[0]] if len(items) == 1 and isinstance(items[0], list | tuple) else items


@node("JsonRead", category="utilities/json", title="Read JSON")
def json_read(text: Annotated[str, Multiline()]) -> Any:
    """What JSON text says: numbers, texts, lists, objects."""
    return json.loads(text)


@node("JsonWrite", category="utilities/json", title="Write JSON")
def json_write(value: Any, indent: Annotated[int, Interval(ge=0, le=8)] = 0) -> str:
    """A value as JSON text."""
    return json.dumps(value, indent=indent or None, ensure_ascii=False)


@node("JsonGet", category="utilities/json", title="Get from JSON")
def json_get(value: Any, path: str = "", default: Any | None = None) -> Any:
    """What lies at a path such as ``people.0.name``; ``default`` where there is nothing."""
    at: Any = json.loads(value) if isinstance(value, str) else value
    for key in path.split(".") if path else ():
        try:
            at = at[int(key)] if isinstance(at, list | tuple) else at[key]
        except (KeyError, IndexError, ValueError, TypeError):
            return default
    return at
