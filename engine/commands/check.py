"""``main.py check WORKFLOW``: everything that is wrong with it, and nothing is run."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from engine.commands.run import checked, load_nodes, read_workflow, say_problems
from engine.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("workflow", type=Path, help="a workflow, or a picture that was made by one")
    parser.add_argument("--json", action="store_true", help="print JSON instead of words")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    from engine.graph import unused
    from engine.problems import GraphError

    folders = settings.folders()
    try:
        registry = load_nodes(settings)
        prompt = read_workflow(arguments.workflow, settings, registry, folders)
        graph = checked(prompt, registry, folders)
    except GraphError as error:
        return say_problems(error, arguments.json)
    idle = unused(prompt, graph)
    if arguments.json:
        print(json.dumps({"problems": [], "steps": len(graph.steps), "outputs": graph.targets, "unused": idle}))
        return 0
    print(f"{arguments.workflow}: {len(graph.steps)} nodes, outputs {', '.join(graph.targets)}; nothing is wrong.")
    for id in idle:
        node = prompt.nodes[id]
        print(f"node {id} ({node.title or node.type}): no output needs it")
    return 0
