"""``main.py run WORKFLOW``: a progress bar, then the path of each result."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.settings import MEGABYTE, Settings

if TYPE_CHECKING:
    from engine.execute import NodeError, Results
    from engine.folders import Folders
    from engine.graph import Graph
    from engine.problems import GraphError
    from engine.prompt import Prompt
    from engine.registry import Registry

LOOK_SECONDS = 60.0
"""How long files of other names are compared with one that is missing."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("workflow", type=Path, help="a workflow, or a picture that was made by one")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NODE.INPUT=VALUE",
        dest="changes",
        help="change an input, by node id or title",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="use this seed wherever there is one")
    parser.add_argument("--batch", type=int, metavar="N", help="make this many pictures at once")
    parser.add_argument("--open", action="store_true", help="show the result")
    parser.add_argument("--json", action="store_true", help="print JSON instead of words")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    from engine.execute import NodeError
    from engine.outputs import shown_files
    from engine.problems import GraphError
    from engine.run import CancelledError

    folders = settings.folders()
    try:
        registry = load_nodes(settings)
        prompt, graph = load_graph(arguments, settings, registry, folders)
    except GraphError as error:
        return say_problems(error, arguments.json)
    try:
        results = execute_here(prompt, graph, registry, settings, folders, quiet=arguments.json)
    except NodeError as error:
        return say_failure(error, arguments.json)
    except CancelledError:
        print("cancelled", file=sys.stderr)
        return 130
    paths = [path for shown in results.ui.values() for path in shown_files(shown, folders)]
    if arguments.json:
        print(json.dumps({"outputs": results.ui, "paths": [str(path) for path in paths]}, default=str))
    else:
        for path in paths:
            print(path)
        for text in shown_texts(results.ui):
            print(text)
    if arguments.open and paths:
        show(paths[0])
    return 0


def load_nodes(settings: Settings) -> Registry:
    """Every node type, ours and the packs'; what could not be loaded is said on the way."""
    from engine.packs.loading import load_nodes as load

    registry, _ = load(settings)
    for failure in registry.failures:
        print(f"{failure.module}: {failure.message}", file=sys.stderr)
    return registry


def load_graph(arguments: argparse.Namespace, settings: Settings, registry: Registry, folders: Folders) -> tuple[Prompt, Graph]:
    from engine.overrides import override

    prompt = read_workflow(arguments.workflow, settings, registry, folders)
    prompt = override(prompt, arguments.changes, seed=arguments.seed, batch=arguments.batch)
    return prompt, checked(prompt, registry, folders)


def checked(prompt: Prompt, registry: Registry, folders: Folders) -> Graph:
    """The prompt as a graph. A GraphError names missing models as they are called here, where the workflow tells their hashes."""
    from engine.graph import build
    from engine.model_hashes import ModelHashes
    from engine.problems import GraphError
    from engine.workflow.needs import offer

    try:
        return build(prompt, registry.specs, folders, absent=registry.whose)
    except GraphError as error:
        hashes = ModelHashes(folders, folders.work("user") / "model-hashes.json")
        raise offer(error, prompt.extra.get("workflow"), hashes, LOOK_SECONDS) from None


def read_workflow(path: Path, settings: Settings, registry: Registry, folders: Folders) -> Prompt:
    """The prompt in a file of any form; of a workflow, what the editor's Run button would send."""
    from engine.problems import GraphError, Problem
    from engine.prompt import decode, parse
    from engine.workflow.definitions import describe_all
    from engine.workflow.document import WorkflowError, is_ui
    from engine.workflow.files import read_file

    limit = int(settings.max_prompt_size * MEGABYTE)
    try:
        if path.suffix.lower() == ".json" and path.is_file():
            data = decode(path, limit)
            if not is_ui(data) and not (isinstance(data, Mapping) and is_ui(data.get("workflow"))):
                return parse(data)
        written = read_file(path, limit)
        if written.prompt is not None:
            return parse(written.prompt, written.extra)
        return parse(written.as_prompt(describe_all(registry.specs, folders)), {"workflow": written.workflow})
    except WorkflowError as error:
        raise GraphError([Problem("invalid_prompt", "Not a workflow", str(error))]) from None


def execute_here(
    prompt: Prompt, graph: Graph, registry: Registry, settings: Settings, folders: Folders, *, quiet: bool
) -> Results:
    from engine.events import ignore
    from engine.executors.local import LocalExecutor
    from engine.outputs import settle
    from engine.run import Job
    from engine.terminal import Terminal

    job = Job(
        id=uuid.uuid4().hex,
        prompt=prompt.raw,
        extra=prompt.extra,
        describe=not settings.disable_metadata,
        folders=folders,
        emit=ignore if quiet else Terminal(),
        residency=settings.residency(),
    )
    try:
        with LocalExecutor(registry.specs, settings.cache()) as executor:
            return executor.run_sync(graph, job)
    finally:
        settle(job.id, folders)


def say_problems(error: GraphError, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"problems": [dataclasses.asdict(problem) for problem in error.problems]}, default=str))
    else:
        print(error, file=sys.stderr)
    return 2


def say_failure(error: NodeError, as_json: bool) -> int:
    if as_json:
        failure = {"message": str(error), "node": error.node, "type": error.type, "title": error.title, "inputs": error.inputs}
        print(json.dumps({"error": failure | {"traceback": error.lines}}))
    else:
        print(error, file=sys.stderr)
    return 1


def shown_texts(ui: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [text for shown in ui.values() for text in _texts(shown.get("text", ()))]


def _texts(value: Any) -> Sequence[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list | tuple) else []


def show(path: Path) -> None:
    """Open a file with whatever the system opens such files with."""
    import webbrowser

    webbrowser.open(path.resolve().as_uri())
