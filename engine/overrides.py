"""Changes to a prompt from the command line: ``--set 6.text=...``, ``--seed``, ``--batch``."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from engine.folders import nearest
from engine.problems import GraphError, Problem
from engine.prompt import Prompt, as_link, parse

SEEDS = ("seed", "noise_seed")


def override(prompt: Prompt, settings: Sequence[str] = (), *, seed: int | None = None, batch: int | None = None) -> Prompt:
    """The prompt with inputs replaced, each setting being ``NODE.INPUT=VALUE`` with a node's id or title.

    A changed prompt no longer is what its ``workflow`` shows, so that is left out of what is made from it.
    """
    raw: dict[str, Any] = copy.deepcopy({id: prompt.raw[id] for id in prompt.nodes})
    problems: list[Problem] = []
    for setting in settings:
        name, equals, value = setting.partition("=")
        node, dot, widget = name.rpartition(".")
        if not equals or not dot:
            problems.append(_problem(setting, "NODE.INPUT=VALUE, such as 6.text='a red fox'", ""))
            continue
        ids = _nodes_called(prompt, node)
        if not ids:
            names = [*prompt.nodes, *{entry.title for entry in prompt.nodes.values() if entry.title}]
            problems.append(_problem(setting, "the id or title of a node", _meant(nearest(node, names))))
        for id in ids:
            inputs = raw[id].setdefault("inputs", {})
            if widget not in inputs and (near := nearest(widget, list(inputs))):
                problems.append(_problem(setting, f"an input of node {id}", _meant(near)))
            else:
                inputs[widget] = value
    if problems:
        raise GraphError(problems)
    for id, entry in prompt.nodes.items():
        for widget, given in entry.inputs.items():
            if as_link(given) is not None:
                continue
            if seed is not None and widget in SEEDS:
                raw[id]["inputs"][widget] = seed
            if batch is not None and widget == "batch_size":
                raw[id]["inputs"][widget] = batch
    extra = prompt.extra if raw == prompt.raw else {key: value for key, value in prompt.extra.items() if key != "workflow"}
    return parse(raw, extra)


def _nodes_called(prompt: Prompt, name: str) -> list[str]:
    if name in prompt.nodes:
        return [name]
    titled = [id for id, node in prompt.nodes.items() if node.title.lower() == name.lower()]
    return titled or [id for id, node in prompt.nodes.items() if node.type == name]


def _problem(setting: str, expected: str, cure: str) -> Problem:
    return Problem("invalid_prompt", "Not a setting", f"--set: expected {expected}, got {setting!r}", cure=cure)


def _meant(near: Sequence[str]) -> str:
    return f"Did you mean {' or '.join(near)}?" if near else ""
