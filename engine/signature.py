"""A decorated function -> its NodeSpec: annotations become ports, the return type becomes outputs."""

from __future__ import annotations

import inspect
import math
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from engine.node import Choose, Declaration, Lazy, Mark, Name, Options
from engine.run import Run
from engine.spec import MISSING, Blocked, Expand, Folder, NodeSpec, Outcome, Output, Port
from engine.types import wire_name

SCALARS = (int, float, str, bool)
REST = "**"
"""Stands for the inputs that ``**kwargs`` takes."""


class DeclarationError(TypeError):
    """A node function whose signature is no schema."""


@dataclass(slots=True)
class _Reading:
    """An annotation taken apart."""

    base: Any
    options: dict[str, Any] = field(default_factory=dict)
    marks: set[str] = field(default_factory=set)
    choices: Any = None
    name: str | None = None


def spec_of(function: Callable[..., Any]) -> NodeSpec:
    """The NodeSpec of a function decorated with ``@node``."""
    declaration: Declaration = function.__node__  # type: ignore[attr-defined]
    where = f"{function.__module__}.{function.__qualname__}"
    hints = get_type_hints(function, include_extras=True)
    ports: dict[str, Port] = {}
    dynamic: Port | None = None
    run_name: str | None = None
    many: set[str] = set()
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name not in hints:
            raise DeclarationError(f"Missing type hint for {parameter.name} in {where}. Please add one.")
        if hints[parameter.name] is Run:
            run_name = parameter.name
            continue
        reading = _read(hints[parameter.name])
        port = _port(parameter, reading, where)
        if parameter.kind is parameter.VAR_KEYWORD:
            dynamic = port
        elif parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
            raise DeclarationError(f"{where}: {parameter.name} must be passable by name")
        else:
            ports[parameter.name] = port
        if "many" in reading.marks:
            many.add(REST if port is dynamic else port.name)
    is_async = inspect.iscoroutinefunction(function)
    if not is_async and any(port.lazy for port in ports.values()):
        raise DeclarationError(f"{where} has a Lazy input; only an `async def` can await it")
    outputs = _outputs(hints.get("return", Any), declaration, where)
    names = {name: port.name for name, port in ports.items() if name != port.name}
    return NodeSpec(
        type=declaration.type,
        call=_caller(function, names, run_name, many, _unpacks(hints.get("return", Any)), is_async),
        inputs=tuple(ports.values()),
        outputs=outputs,
        title=declaration.title or declaration.type,
        category=declaration.category,
        description=inspect.getdoc(function) or "",
        module=function.__module__,
        output_node=declaration.output,
        input_is_list=bool(many),
        is_async=is_async,
        lane=declaration.lane,
        dynamic=dynamic,
        version=_version(function),
        keyed_by_id=declaration.keyed_by_id,
        retry=declaration.retry,
        fingerprint=_fingerprint(declaration.fingerprint),
        validate=_validate(declaration.validate),
        **declaration.flags,
    )


def _read(hint: Any) -> _Reading:
    reading = _Reading(hint)
    while True:
        base = reading.base
        origin = get_origin(base)
        if origin is Annotated:
            reading.base, *metadata = get_args(base)
            for item in metadata:
                _mark(reading, item)
        elif origin in (Union, types.UnionType) and types.NoneType in get_args(base):
            reading.marks.add("none")
            reading.base = Union[tuple(part for part in get_args(base) if part is not types.NoneType)]  # noqa: UP007
        elif origin is Lazy:
            reading.marks.add("lazy")
            reading.base = get_args(base)[0]
        elif "many" in reading.marks and origin is list:
            reading.base = get_args(base)[0]
        else:
            break
    if origin is Literal:
        reading.choices = get_args(reading.base)
    return reading


def _mark(reading: _Reading, item: Any) -> None:
    match item:
        case Options(values):
            reading.options.update(values)
        case Mark(what):
            reading.marks.add(what)
        case Name(name):
            reading.name = name
        case Folder():
            reading.choices = item
        case Choose(choices):
            reading.choices = choices
        case _:
            for part in getattr(item, "metadata", None) or (item,):
                _bound(reading.options, part, whole=reading.base is int)
            if description := getattr(item, "description", None):
                reading.options["tooltip"] = description


def _bound(options: dict[str, Any], item: Any, *, whole: bool) -> None:
    """The limits of pydantic's Field or of annotated_types, whichever has them."""
    if (low := getattr(item, "ge", None)) is not None:
        options["min"] = low
    if (high := getattr(item, "le", None)) is not None:
        options["max"] = high
    if (low := getattr(item, "gt", None)) is not None:
        options["min"] = low + 1 if whole else math.nextafter(low, math.inf)
    if (high := getattr(item, "lt", None)) is not None:
        options["max"] = high - 1 if whole else math.nextafter(high, -math.inf)
    if (step := getattr(item, "multiple_of", None)) is not None:
        options["step"] = step


def _port(parameter: inspect.Parameter, reading: _Reading, where: str) -> Port:
    default = MISSING if parameter.default is parameter.empty else parameter.default
    if "none" in reading.marks and default is MISSING and parameter.kind is not parameter.VAR_KEYWORD:
        raise DeclarationError(f"{where}: {parameter.name} may be None, so it needs the default None")
    optional = default is None or "optional" in reading.marks or parameter.kind is parameter.VAR_KEYWORD
    literal = reading.choices is not None
    if default is None:
        default = MISSING
    options = {**reading.options, **({} if default is MISSING else {"default": default})}
    if "lazy" in reading.marks:
        options["lazy"] = True
    if "raw" in reading.marks:
        options["rawLink"] = True
    return Port(
        name=reading.name or parameter.name,
        type="COMBO" if literal else wire_name(reading.base),
        required=not optional,
        default=default,
        widget=(literal or reading.base in SCALARS) and not reading.options.get("forceInput"),
        lazy="lazy" in reading.marks,
        raw="raw" in reading.marks,
        choices=reading.choices,
        options=options,
    )


def _outputs(hint: Any, declaration: Declaration, where: str) -> tuple[Output, ...]:
    hint = _plain(hint)
    if hint in (types.NoneType, Expand, Blocked):
        kinds: dict[str, Any] = {}
    elif isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields"):
        kinds = get_type_hints(hint, include_extras=True)
    elif get_origin(hint) is tuple:
        kinds = {str(i): part for i, part in enumerate(get_args(hint))}
    else:
        kinds = {"": hint}
    readings = [_read(kind) for kind in kinds.values()]
    wires = ["COMBO" if reading.choices is not None else wire_name(_plain(reading.base)) for reading in readings]
    names = declaration.outputs or [n if n and not n.isdigit() else wire for n, wire in zip(kinds, wires, strict=True)]
    if len(names) != len(wires):
        raise DeclarationError(f"{where}: outputs= names {len(names)} outputs, but it returns {len(wires)}")
    tooltips = [*declaration.output_tooltips, *[""] * len(wires)]
    return tuple(
        Output(name, wire, "many" in reading.marks, tooltip, reading.choices)
        for name, wire, reading, tooltip in zip(names, wires, readings, tooltips, strict=False)
    )


def _plain(hint: Any) -> Any:
    """A union without the members that are no values: the type proper, or NoneType if nothing is left."""
    if get_origin(hint) not in (Union, types.UnionType):
        return hint
    parts = tuple(part for part in get_args(hint) if part not in (Expand, Blocked, types.NoneType))
    return Union[parts] if parts else types.NoneType  # noqa: UP007


def _caller(
    function: Callable[..., Any],
    names: Mapping[str, str],
    run_name: str | None,
    many: set[str],
    unpacks: bool | None,
    is_async: bool,
) -> Callable[[Mapping[str, Any], Run], Any]:
    python_names = {wire: name for name, wire in names.items()}
    parameters = inspect.signature(function).parameters
    declared = {names.get(name, name) for name in parameters}

    def arguments(inputs: Mapping[str, Any], run: Run) -> dict[str, Any]:
        if many:
            rest = REST in many
            whole = {name for name in inputs if name in many or (rest and name not in declared)}
            given = {k: v if k in whole or isinstance(v, Lazy) else _only(k, v) for k, v in inputs.items()}
        else:
            given = dict(inputs)
        for wire, name in python_names.items():
            if wire in given:
                given[name] = given.pop(wire)
        if run_name:
            given[run_name] = run
        return given

    def outcome(value: Any) -> Outcome:
        if isinstance(value, Expand | Blocked):
            return value
        return () if unpacks is None else tuple(value) if unpacks else (value,)

    if is_async:

        async def call_async(inputs: Mapping[str, Any], run: Run) -> Outcome:
            return outcome(await function(**arguments(inputs, run)))

        return call_async

    def call(inputs: Mapping[str, Any], run: Run) -> Outcome:
        return outcome(function(**arguments(inputs, run)))

    return call


def _unpacks(hint: Any) -> bool | None:
    """Whether a call's result holds several outputs; None if it is no output at all."""
    hint = _plain(hint)
    if hint in (types.NoneType, Expand, Blocked):
        return None
    return get_origin(hint) is tuple or (isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields"))


def _only(name: str, values: list[Any]) -> Any:
    if len(values) != 1:
        raise ValueError(f"{name}: expected one value, got a list of {len(values)}")
    return values[0]


def _chosen(function: Callable[..., Any], inputs: Mapping[str, Any], run: Run | None) -> dict[str, Any]:
    wanted = inspect.signature(function).parameters
    return {name: run if name == "run" else inputs.get(name) for name in wanted}


def _fingerprint(function: Callable[..., Any] | None) -> Callable[[Mapping[str, Any], Run], Any] | None:
    return function and (lambda inputs, run: function(**_chosen(function, inputs, run)))


def _validate(function: Callable[..., Any] | None) -> Callable[[Mapping[str, Any], Mapping[str, str]], Any] | None:
    return function and (lambda inputs, linked: function(**_chosen(function, inputs, None)))


def _version(function: Callable[..., Any]) -> str:
    """A hash of the code: of its whole module where that is a file, so that a changed helper counts."""
    path = getattr(sys.modules.get(function.__module__), "__file__", None)
    return _file_version(path) if path else blake2b(function.__code__.co_code, digest_size=8).hexdigest()


@cache
def _file_version(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return blake2b(file.read(), digest_size=8).hexdigest()
    except OSError:
        return path
