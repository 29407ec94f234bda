"""Literals in a prompt against the port they are typed into: coerced as ComfyUI coerces them, or refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.folders import Folders, MissingFileError, PathError, nearest
from engine.refusals import Refusal, short
from engine.spec import Folder, Port, Scalar
from engine.types import EDGE_TYPES

LISTED = 20


class Literals:
    """Checks the literals of one prompt; each list of choices is looked up once."""

    def __init__(self, folders: Folders) -> None:
        self.folders = folders
        self._choices: dict[Any, Sequence[Scalar]] = {}

    def coerce(self, port: Port, value: Any, checked: bool = True) -> Any:
        """The value the node will get, or a Refusal. Without ``checked`` only its type is looked at."""
        if type(value) is dict and "__value__" in value:
            value = value["__value__"]
        if port.type in COERCIONS:
            try:
                value = COERCIONS[port.type](value)
            except (ValueError, TypeError, OverflowError) as error:
                return _not_a(port, value, error)
            return (_out_of_range(port, value) or value) if checked and port.type in ("INT", "FLOAT") else value
        if port.choices is not None:
            return self._choose(port, value) if checked else value
        if not port.widget and port.type in EDGE_TYPES and value is not None:
            details = f"{port.name}, received: {short(value)}"
            cure = f"Connect an output of type {port.type}."
            message = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
            return Refusal("bad_linked_input", message, details, f"a link to {port.type}", short(value), cure)
        return value

    def _choose(self, port: Port, value: Any) -> Any:
        if port.options.get("multiselect") and isinstance(value, list):
            items = [self._choose_one(port, item) for item in value]
            return next((item for item in items if isinstance(item, Refusal)), items)
        return self._choose_one(port, value)

    def _choose_one(self, port: Port, value: Any) -> Any:
        if isinstance(port.choices, Folder):
            return self._file(port, port.choices, value)
        choices = self.choices(port)
        if value in choices or (not choices and "remote" in port.options):
            return value
        if isinstance(value, str) and (slashed := value.replace("\\", "/")) in choices:
            return slashed
        texts = [str(choice) for choice in choices]
        near = nearest(str(value), texts)
        many = len(choices) > LISTED
        listed = f"(list of length {len(choices)})" if many else str(list(choices))
        details = f"{port.name}: '{value}' not in {listed}"
        cure = _meant(near) or (f"One of: {', '.join(texts)}." if choices and not many else "")
        extra = {"input_config": None} if many else {}
        expected = "one of its choices" if choices else "a choice, of which there are none"
        return Refusal("value_not_in_list", "Value not in list", details, expected, short(value), cure, extra)

    def _file(self, port: Port, folder: Folder, value: Any) -> Any:
        if value in folder.extra:
            return value
        try:
            if not isinstance(value, str):
                raise PathError(f"{value!r} is no file name")
            self.folders.find(folder.name, value)
            return value
        except (MissingFileError, PathError) as error:
            near = error.nearest if isinstance(error, MissingFileError) else ()
            elsewhere = error.elsewhere if isinstance(error, MissingFileError) else ()
            cure = f"It is in {', '.join(elsewhere)}." if elsewhere else _meant(near) or f"Put it into {self._root(folder)}."
            details = f"{port.name}: '{value}' not in (list of length {len(self.choices(port))})"
            expected = f"a file in {folder.name}"
            extra = {"input_config": None, "nearest": list(near)}
            return Refusal("value_not_in_list", "Value not in list", details, expected, short(value), cure, extra)

    def _root(self, folder: Folder) -> str:
        return next(iter(str(root) for root in self.folders.roots(folder.name)), folder.name)

    def choices(self, port: Port) -> Sequence[Scalar]:
        """What may be chosen, looked up once for this prompt."""
        if not callable(port.choices):
            return port.choices or ()
        if port.choices not in self._choices:
            self._choices[port.choices] = port.choices(self.folders)
        return self._choices[port.choices]


def _meant(near: Sequence[str]) -> str:
    return f"Did you mean {' or '.join(repr(name) for name in near)}?" if near else ""


def _integer(value: Any) -> int:
    if isinstance(value, str) and "." in value and float(value).is_integer():
        return int(float(value))
    return int(value)


def _number(value: Any) -> float:
    number = float(value)
    if math.isnan(number):
        raise ValueError("NaN is no number")
    return number


def _text(value: Any) -> str:
    if value is None:
        raise ValueError("null is no text")
    return str(value)


def _truth(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().lower() not in ("", "false", "0", "no", "off", "none", "null")
    return bool(value)


COERCIONS: Mapping[str, Callable[[Any], Any]] = {"INT": _integer, "FLOAT": _number, "STRING": _text, "BOOLEAN": _truth}
WORDS = {"INT": "a whole number", "FLOAT": "a number", "STRING": "a text", "BOOLEAN": "true or false"}


def _not_a(port: Port, value: Any, error: Exception) -> Refusal:
    message = f"Failed to convert an input value to a {port.type} value"
    details = f"{port.name}, {short(value)}, {error}"
    return Refusal(
        "invalid_input_type", message, details, WORDS[port.type], short(value), extra={"exception_message": str(error)}
    )


def _out_of_range(port: Port, value: int | float) -> Refusal | None:
    low, high = port.options.get("min"), port.options.get("max")
    if low is not None and value < low:
        return Refusal(
            "value_smaller_than_min", f"Value {value} smaller than min of {low}", port.name, f"at least {low}", str(value)
        )
    if high is not None and value > high:
        return Refusal(
            "value_bigger_than_max", f"Value {value} bigger than max of {high}", port.name, f"at most {high}", str(value)
        )
    return None
