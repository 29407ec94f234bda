"""The DYNPROMPT that nodes which rewrite graphs look at: the prompt as submitted and what it has become."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.graph import Step
from engine.run import Run


class NodeNotFoundError(Exception):
    """There is no node of that id."""


class DynamicPrompt:
    """Nodes by id in the API format; those of expansions are made from their steps."""

    def __init__(self, run: Run) -> None:
        self._original: Mapping[str, Any] = run.prompt or {}
        self._steps: Mapping[str, Step] = run.job.steps

    def get_node(self, node_id: str) -> dict[str, Any]:
        if node_id in self._original:
            node: dict[str, Any] = self._original[node_id]
            return node
        if node_id in self._steps:
            return written(self._steps[node_id])
        raise NodeNotFoundError(f"Node {node_id} not found")

    def has_node(self, node_id: str) -> bool:
        return node_id in self._original or node_id in self._steps

    def get_real_node_id(self, node_id: str) -> str:
        while (step := self._steps.get(node_id)) is not None and step.parent is not None:
            node_id = step.parent
        return node_id

    def get_parent_node_id(self, node_id: str) -> str | None:
        step = self._steps.get(node_id)
        return step.parent if step else None

    def get_display_node_id(self, node_id: str) -> str:
        step = self._steps.get(node_id)
        return step.display if step else node_id

    def all_node_ids(self) -> set[str]:
        return {*self._original, *self._steps}

    def get_original_prompt(self) -> Mapping[str, Any]:
        return self._original


def written(step: Step) -> dict[str, Any]:
    """A step in the API format, live values as they are."""
    links = {name: [link.node, link.output] for name, link in step.links.items()}
    node: dict[str, Any] = {"class_type": step.spec.type, "inputs": {**step.params, **links}}
    if step.display != step.id:
        node["override_display_id"] = step.display
    return node
