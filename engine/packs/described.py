"""Node types in plain words, as they cross from a pack's process to ours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from engine.folders import Folders
from engine.spec import MISSING, Folder, NodeSpec, Output, Port


def described(spec: NodeSpec, folders: Folders) -> dict[str, Any]:
    """A node type in plain words."""
    words = ("type", "title", "category", "description", "output_node", "input_is_list", "lane", "keyed_by_id", "retry",
             "deprecated", "experimental", "dev_only", "api_node", "checks_types", "essentials_category",
             "intermediate_output")  # fmt: skip
    return {
        **{word: getattr(spec, word) for word in words},
        "search_aliases": list(spec.search_aliases), "hidden": dict(spec.hidden), "checks_itself": sorted(spec.checks_itself),
        "inputs": [port_in_words(port, folders, spec) for port in spec.inputs],
        "dynamic": port_in_words(spec.dynamic, folders, spec) if spec.dynamic else None,
        "outputs": [[one.name, str(one.type), one.is_list, one.tooltip, list(one.choices) if one.choices else None]
                    for one in spec.outputs],
        "asks": [name for name in ("fingerprint", "validate", "needs") if getattr(spec, name) is not None],
    }  # fmt: skip


def port_in_words(port: Port, folders: Folders, spec: NodeSpec) -> dict[str, Any]:
    choices = port.choices
    folder = [choices.name, list(choices.extra), list(choices.suffixes)] if isinstance(choices, Folder) else None
    listed = None if choices is None or folder else list(choices(folders) if callable(choices) else choices)
    return {
        "name": port.name, "type": port.type, "required": port.required,
        "default": None if port.default is MISSING else port.default, "has_default": port.default is not MISSING,
        "widget": port.widget, "lazy": port.lazy and spec.needs is not None,
        "raw": port.raw, "folder": folder, "choices": listed, "options": json.loads(json.dumps(dict(port.options), default=str)),
    }  # fmt: skip


def output_of(name: str, type: str, is_list: bool, tooltip: str, choices: list[Any] | None) -> Output:
    return Output(str(name), str(type), bool(is_list), str(tooltip), choices)


def port_of(told: Mapping[str, Any]) -> Port:
    folder = told["folder"]
    return Port(
        name=str(told["name"]), type=str(told["type"]), required=bool(told["required"]),
        default=told["default"] if told["has_default"] else MISSING, widget=bool(told["widget"]), lazy=bool(told["lazy"]),
        raw=bool(told["raw"]), options=dict(told["options"]),
        choices=Folder(folder[0], tuple(folder[1]), tuple(folder[2])) if folder else told["choices"],
    )  # fmt: skip
