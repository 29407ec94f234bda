"""A submitted graph in the API format: ``{"<id>": {"class_type": ..., "inputs": {name: literal | ["<source id>", slot]}}}``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.problems import GraphError, Problem
from engine.spec import Link

MAX_BYTES = 50 * 2**20


@dataclass(frozen=True, slots=True)
class PromptNode:
    """``inputs`` are as written: literals and ``["id", slot]`` pairs."""

    id: str
    type: str
    inputs: Mapping[str, Any]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Prompt:
    """``raw`` is the JSON as submitted: it goes into the metadata of what is made from it."""

    nodes: Mapping[str, PromptNode]
    raw: Mapping[str, Any]
    extra: Mapping[str, Any]


def parse(data: Any, extra: Mapping[str, Any] | None = None) -> Prompt:
    """Check the shape of API JSON, naming every node that has the wrong one."""
    if isinstance(data, Mapping) and isinstance(data.get("prompt"), Mapping) and "class_type" not in data["prompt"]:
        carried = (data.get("extra_data") or {}).get("extra_pnginfo") if isinstance(data.get("extra_data"), Mapping) else None
        data, extra = data["prompt"], extra or carried
    if not isinstance(data, Mapping):
        raise GraphError([_malformed("a JSON object of nodes by id", _kind(data))])
    if isinstance(data.get("nodes"), list):
        raise GraphError([_malformed("the API format", "a workflow as the editor saves it", "Convert it, or export it as API.")])
    if not data:
        raise GraphError([Problem("prompt_no_outputs", "Prompt has no outputs", "the prompt has no nodes")])
    nodes: dict[str, PromptNode] = {}
    problems: list[Problem] = []
    for id, entry in data.items():
        if not isinstance(entry, Mapping):
            problems.append(_bad_node(id, "an object with class_type and inputs", _kind(entry)))
            continue
        type_name, inputs, meta = entry.get("class_type"), entry.get("inputs", {}), entry.get("_meta")
        title = meta.get("title", "") if isinstance(meta, Mapping) else ""
        title = title if isinstance(title, str) else ""
        if not isinstance(type_name, str):
            received = _kind(type_name) if "class_type" in entry else "none"
            problems.append(_bad_node(id, "a class_type that names the node's type", received, title))
        elif not isinstance(inputs, Mapping):
            problems.append(_bad_node(id, "inputs by name", _kind(inputs), title))
        else:
            nodes[id] = PromptNode(id, type_name, inputs, title)
    if problems:
        raise GraphError(problems)
    return Prompt(nodes, data, extra or {})


def read(path: Path, limit: int = MAX_BYTES) -> Prompt:
    """The prompt in a JSON file, or in the metadata of a picture that was made from it."""
    if not path.is_file():
        raise GraphError([_malformed("a workflow file", f"{str(path)!r}, which is no file")])
    if path.suffix.lower() in (".png", ".webp", ".jpg", ".jpeg"):
        from engine.metadata import read_metadata

        metadata = read_metadata(path)
        if "prompt" not in metadata:
            raise GraphError([_malformed("a picture with a prompt in it", f"{path.name} without one")])
        return parse(metadata.pop("prompt"), metadata)
    return parse(decode(path, limit))


def decode(source: bytes | Path, limit: int = MAX_BYTES) -> Any:
    """JSON of at most ``limit`` bytes; a file that is larger is not read."""
    size = source.stat().st_size if isinstance(source, Path) else len(source)
    if size > limit:
        raise GraphError([too_large(size, limit)])
    try:
        text = source.read_bytes() if isinstance(source, Path) else source
        return json.loads(text)
    except RecursionError:
        raise GraphError([_malformed("JSON", "brackets nested too deeply")]) from None
    except ValueError as error:
        raise GraphError([_malformed("JSON", f"something else ({error})")]) from None


def too_large(size: int, limit: int) -> Problem:
    cure = "Raise --max-prompt-size if it is meant to be that large."
    return _malformed(f"at most {limit / 2**20:.4g} MB of JSON", f"{size / 2**20:.4g} MB", cure)


def as_link(value: Any) -> Link | None:
    """``["4", 0]`` as a Link; None for anything else."""
    if type(value) is Link:
        return value
    if type(value) is list and len(value) == 2:
        source, slot = value
        if type(source) is str and (type(slot) is int or (type(slot) is float and slot.is_integer())):
            return Link(source, int(slot))
    return None


def _malformed(expected: str, received: str, cure: str = "") -> Problem:
    details = f"expected {expected}, got {received}"
    return Problem("invalid_prompt", "Not a prompt", details, expected=expected, received=received, cure=cure)


def _bad_node(id: Any, expected: str, received: str, title: str = "") -> Problem:
    extra = {"node_id": str(id), "class_type": None, "node_title": title or None}
    message = "Cannot execute because a node is missing the class_type property."
    return Problem(
        "invalid_prompt", message, f"Node ID '#{id}'", str(id), title, expected=expected, received=received, extra=extra
    )


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", int: "a number", float: "a number", bool: "true or false"}
    return "null" if value is None else names.get(type(value), type(value).__name__)
