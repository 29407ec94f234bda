"""Workflows within workflows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from engine.folders import PROJECT, Folders
from engine.node import Choose, Expand, Link, Run, node
from nodes.control_flow import growing

if TYPE_CHECKING:
    from engine.growth import Grow

DEEPEST = 32


@node("WorkflowInput", category="control", title="Workflow Input")
def workflow_input(name: str = "input", default: Any | None = None) -> Any:
    """What Call Workflow gives under this name; ``default`` when the workflow runs by itself."""
    return default


@node("WorkflowOutput", category="control", title="Workflow Output", output=True)
def workflow_output(value: Any, name: str = "output") -> Any:
    """What Call Workflow gives back under this name."""
    return value


def saved_workflows(folders: Folders) -> dict[str, Path]:
    """Workflow files by name: the user's own, then those that ship with the program."""
    found: dict[str, Path] = {}
    for root in (*sorted(folders.work("user").glob("*/workflows")), PROJECT / "workflows"):
        for path in sorted(root.rglob("*.json")):
            found.setdefault(path.relative_to(root).as_posix(), path)
    return found


class Called(NamedTuple):
    output: Any
    outputs: dict[str, Any]


def _file_print(workflow: str, run: Run) -> Any:
    path = saved_workflows(run.folders).get(workflow)
    return path.read_text(encoding="utf-8") if path else None


@node("CallWorkflow", category="control", title="Call Workflow", fingerprint=_file_print, outputs=("output", "outputs"))
async def call_workflow(
    workflow: Annotated[str, Choose(lambda folders: list(saved_workflows(folders)))], *, run: Run, **inputs: Any
) -> Called:
    """Run a saved workflow as a node: inputs go to its Workflow Inputs by name, and its Workflow Outputs come back."""
    grow = growing(run)
    if run.node.count(".call.") >= DEEPEST:
        raise RecursionError(f"workflows call each other more than {DEEPEST} deep.")
    path = saved_workflows(run.folders).get(workflow)
    if path is None:
        raise FileNotFoundError(f"there is no saved workflow {workflow!r}")
    names, expand = called(grow, grow.read_workflow(path), inputs)
    values = await grow(expand)
    by_name = dict(zip(names, values, strict=True))
    return Called(next(iter(by_name.values()), None), by_name)


def called(grow: Grow, prompt: Mapping[str, Any], inputs: Mapping[str, Any]) -> tuple[list[str], Expand]:
    """A workflow's nodes as new ones, its inputs given; the names of its outputs, which are the results."""
    prefix = f"{grow.step.id}.call."
    nodes: dict[str, dict[str, Any]] = {}
    names: list[str] = []
    results: list[Any] = []
    for id, entry in prompt.items():
        given = dict(entry.get("inputs") or {})
        if entry["class_type"] == "WorkflowInput" and given.get("name", "input") in inputs:
            given = {"value": grow.live(inputs[given.get("name", "input")], id)}
            nodes[prefix + id] = {"class_type": "LoopItem", "inputs": given}
            continue
        moved = {name: _moved(value, prompt, prefix) for name, value in given.items()}
        nodes[prefix + id] = {**entry, "inputs": moved, "override_display_id": grow.step.display}
        if entry["class_type"] == "WorkflowOutput":
            names.append(str(given.get("name", "output")))
            results.append(Link(prefix + id))
    return names, Expand(nodes, tuple(results))


def _moved(value: Any, prompt: Mapping[str, Any], prefix: str) -> Any:
    linked = isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and value[0] in prompt
    return Link(prefix + value[0], int(value[1])) if linked else value
