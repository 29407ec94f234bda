"""INPUT_TYPES and RETURN_TYPES as ports: what ComfyUI's classes say of themselves, in the engine's words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.folders import Folders
from engine.spec import MISSING, Output, Port

WIDGETS = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"})
PROBE = "a name that no node declares"
MANY_CHOICES: tuple[Any, ...] = (list, tuple, set, frozenset, type({}.keys()), type({}.values()))


@dataclass(frozen=True)
class Choices:
    """The choices of one input, asked of the class each time: files come and go."""

    declare: Callable[[], Mapping[str, Any]]
    name: str

    def __call__(self, folders: Folders) -> Sequence[Any]:
        declared = self.declare()
        for group in ("required", "optional"):
            if self.name in (declared.get(group) or {}):
                return choices_of(*entry((declared[group])[self.name])) or ()
        return ()


def ports_of(declare: Callable[[], Mapping[str, Any]], lazy: bool) -> tuple[Port, ...]:
    """A port for each declared input; ``lazy`` says whether the class names the lazy inputs it needs."""
    declared = declare()
    return tuple(
        port_of(str(name), declaration, group == "required", declare, lazy)
        for group in ("required", "optional")
        for name, declaration in (declared.get(group) or {}).items()
    )


def port_of(name: str, declaration: Any, required: bool, declare: Callable[[], Mapping[str, Any]], lazy: bool) -> Port:
    kind, options = entry(declaration)
    choices = choices_of(kind, options)
    options = plain(options)
    if "multi_select" in options:
        options["multiselect"] = True
    type_name = "COMBO" if choices is not None else str.__str__(type_of(kind))
    widget = bool(set(type_name.split(",")) & WIDGETS) and not options.get("forceInput")
    return Port(
        name=name,
        type=type_name,
        required=required,
        default=options.get("default", MISSING),
        widget=widget,
        lazy=bool(options.get("lazy")) and lazy,
        raw=bool(options.get("rawLink")),
        choices=None if choices is None else Choices(declare, name),
        options=options,
    )


def entry(declaration: Any) -> tuple[Any, Mapping[str, Any]]:
    """``(type, options)`` however it was written."""
    if not isinstance(declaration, tuple | list) or not declaration:
        return declaration, {}
    if isinstance(declaration, list) and not (len(declaration) == 2 and isinstance(declaration[1], dict)):
        return declaration, {}
    options = declaration[1] if len(declaration) > 1 and isinstance(declaration[1], Mapping) else {}
    return declaration[0], options


def choices_of(kind: Any, options: Mapping[str, Any]) -> list[Any] | None:
    """The choices of a combo in either form; None for any other type."""
    if isinstance(kind, MANY_CHOICES):
        return list(kind)
    if isinstance(kind, str) and str(kind) == "COMBO":
        return list(options.get("options") or [])
    return None


def type_of(kind: Any) -> str:
    """A type's name. A ``str`` that claims to differ from nothing is the old way to say "any".

    Other kinds of ``str`` stay what they are: a pack may ask for its own class when it checks the types of its links.
    """
    if type(kind) is not str and isinstance(kind, str):
        return kind if kind != PROBE or str.__str__(kind) == "*" else "*"
    return str(kind)


def dynamic_of(declared: Mapping[str, Any], takes_any: bool) -> Port | None:
    """The port for inputs nobody declared: of dicts that claim to contain every name, and of functions with ``**kwargs``."""
    optional = declared.get("optional")
    if isinstance(optional, Mapping) and PROBE in optional:
        try:
            kind, options = entry(optional[PROBE])
        except Exception:
            kind, options = "*", {}
        return Port(name="_any", type=type_of(kind), required=False, options=plain(options))
    return Port(name="_any", type="*", required=False) if takes_any else None


def outputs_of(cls: type) -> tuple[Output, ...]:
    kinds = tuple(getattr(cls, "RETURN_TYPES", ()) or ())
    lists = tuple(getattr(cls, "OUTPUT_IS_LIST", ()) or ()) if not isinstance(getattr(cls, "OUTPUT_IS_LIST", ()), bool) else ()
    names = tuple(getattr(cls, "RETURN_NAMES", ()) or ())
    tooltips = tuple(getattr(cls, "OUTPUT_TOOLTIPS", ()) or ())
    if isinstance(getattr(cls, "RETURN_NAMES", ()), str):
        names = (cls.RETURN_NAMES,)  # type: ignore[attr-defined]
    if isinstance(getattr(cls, "RETURN_TYPES", ()), str):
        kinds = (cls.RETURN_TYPES,)  # type: ignore[attr-defined]
    found = []
    for i, kind in enumerate(kinds):
        choices = list(kind) if isinstance(kind, MANY_CHOICES) else None
        type_name = "COMBO" if choices is not None else type_of(kind)
        name = str(names[i]) if i < len(names) and names[i] else type_name
        tooltip = str(tooltips[i] or "") if i < len(tooltips) else ""
        found.append(Output(name, type_name, bool(i < len(lists) and lists[i]), tooltip, choices))
    return tuple(found)


def plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that JSON can say; a limit of infinity is none."""
    return {str(name): value for name, value in options.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, str | int | bool)
