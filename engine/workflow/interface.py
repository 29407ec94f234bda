"""A workflow's inputs by name, so that a saved workflow can be called like a function."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.folders import nearest
from engine.workflow.values import Info, Widget, widgets_of

MAX_CHOICES = 1000


@dataclass(frozen=True, slots=True)
class Input:
    """One value that a caller may give; ``default`` is the saved one."""

    name: str
    node: str
    widget: Widget
    default: Any
    title: str

    def schema(self) -> dict[str, Any]:
        """The value as JSON Schema."""
        options = self.widget.options
        found: dict[str, Any] = {"title": f"{self.title}: {self.widget.name}"}
        if isinstance(about := options.get("tooltip"), str):
            found["description"] = about
        choices = options.get("options")
        match self.widget.type:
            case "INT" | "FLOAT":
                found["type"] = "integer" if self.widget.type == "INT" else "number"
                for ours, theirs in (("min", "minimum"), ("max", "maximum")):
                    if isinstance(options.get(ours), int | float):
                        found[theirs] = options[ours]
            case "BOOLEAN":
                found["type"] = "boolean"
            case "STRING":
                found["type"] = "string"
            case "COMBO" if isinstance(choices, list) and choices and len(choices) <= MAX_CHOICES:
                found["enum"] = choices if self.default in choices else [*choices, self.default]
        if isinstance(self.default, str | int | float | bool):
            found["default"] = self.default
        return found


class Unknown(ValueError):
    """An input that the workflow has not; the message names the nearest."""


def inputs_of(
    prompt: Mapping[str, Any], definitions: Mapping[str, Info], workflow: Mapping[str, Any] | None = None
) -> dict[str, Input]:
    """The inputs by name: those of app mode where the workflow says which, else every value that stands in a widget.

    A name is the title of a node with one such value, else the widget's own name where it is unique, else both.
    """
    found = candidates(prompt, definitions)
    chosen = app_inputs(workflow)
    if chosen:
        found = [entry for key, widget in chosen for entry in found if (entry.node, entry.widget.name) == (key, widget)]
    per_node = {entry.node: sum(other.node == entry.node for other in found) for entry in found}
    common = [entry.widget.name for entry in found]
    named: dict[str, Input] = {}
    for entry in found:
        kind = str(prompt[entry.node]["class_type"])
        titled = entry.title not in (kind, str(definitions.get(kind, {}).get("display_name", kind)))
        if per_node[entry.node] == 1 and titled and not chosen:
            name = slug(entry.title)
        elif common.count(entry.widget.name) == 1:
            name = slug(entry.widget.name)
        else:
            name = f"{slug(entry.title)}_{slug(entry.widget.name)}"
        free = name if name not in named else next(f"{name}_{n}" for n in range(2, len(found) + 2) if f"{name}_{n}" not in named)
        named[free] = Input(free, entry.node, entry.widget, entry.default, entry.title)
    return named


def candidates(prompt: Mapping[str, Any], definitions: Mapping[str, Info]) -> list[Input]:
    """Every widget that no link feeds, in the order of the file."""
    found = []
    for key, entry in prompt.items():
        info = definitions.get(str(entry.get("class_type")))
        given = entry.get("inputs")
        if info is None or not isinstance(given, Mapping):
            continue
        meta = entry.get("_meta")
        title = str(meta.get("title") or "") if isinstance(meta, Mapping) else ""
        for widget in widgets_of(info):
            value = given.get(widget.name, widget.default)
            if not isinstance(value, list | dict):
                found.append(Input("", key, widget, value, title or str(entry["class_type"])))
    return found


def app_inputs(workflow: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """The (node, widget) pairs that app mode shows."""
    extra = workflow.get("extra") if workflow else None
    data = extra.get("linearData") if isinstance(extra, Mapping) else None
    pairs = data.get("inputs") if isinstance(data, Mapping) else None
    if not isinstance(pairs, list):
        return []
    return [(str(pair[0]), str(pair[1])) for pair in pairs if isinstance(pair, Sequence) and len(pair) >= 2]


def slug(text: str) -> str:
    return re.sub(r"\W+", "_", text.strip().lower()).strip("_") or "input"


def fill(prompt: Mapping[str, Any], inputs: Mapping[str, Input], given: Mapping[str, Any]) -> dict[str, Any]:
    """The prompt with other values. A widget's own name means the first node that has it, where no input is called so."""
    filled = {key: {**entry, "inputs": dict(entry.get("inputs") or {})} for key, entry in prompt.items()}
    for name, value in given.items():
        found = inputs.get(name) or next((entry for entry in inputs.values() if entry.widget.name == name), None)
        if found is None:
            near = nearest(name, list(inputs))
            raise Unknown(f"There is no input {name!r}{'; did you mean ' + ' or '.join(near) + '?' if near else '.'}")
        filled[found.node]["inputs"][found.widget.name] = {"__value__": value} if isinstance(value, list) else value
    return filled
