"""``main.py convert IN OUT``: a workflow in any written form to the API format, or to the editor's."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from engine.settings import MEGABYTE, Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("workflow", type=Path, help="a workflow, or a picture, film or sound that was made by one")
    parser.add_argument("result", type=Path, help="the JSON file to write; - prints it")
    parser.add_argument(
        "--to", choices=("prompt", "workflow"), help="the API format or the editor's (by default, the one it is not in)"
    )


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    from engine.commands.run import load_nodes
    from engine.workflow.definitions import describe_all
    from engine.workflow.files import read_file
    from engine.workflow.reading import WorkflowError, missing_types

    try:
        found = read_file(arguments.workflow, int(settings.max_prompt_size * MEGABYTE))
        definitions = describe_all(load_nodes(settings).specs, settings.folders())
        for missing in missing_types(found.workflow, definitions) if found.workflow is not None else ():
            pack = f"; the pack {missing.pack} has it" if missing.pack else ""
            print(f"unknown node type {missing.type!r} (node {', '.join(missing.nodes)}){pack}", file=sys.stderr)
        to = arguments.to or ("prompt" if found.workflow is not None else "workflow")
        data = found.as_prompt(definitions) if to == "prompt" else found.as_workflow(definitions)
    except WorkflowError as error:
        print(error, file=sys.stderr)
        return 2
    text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    if str(arguments.result) == "-":
        print(text, end="")
    else:
        arguments.result.write_text(text, encoding="utf-8")
    return 0
