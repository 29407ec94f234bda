"""Write docs/nodes.md from the registry: every node with its inputs, defaults, ranges and outputs."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from engine.folders import Folders  # noqa: E402
from engine.registry import load  # noqa: E402
from engine.spec import MISSING, Folder, NodeSpec, Port  # noqa: E402

PAGE = ROOT / "docs" / "nodes.md"
CHOICES = 12


def page(specs: Mapping[str, NodeSpec]) -> Iterator[str]:
    """The page by lines: a table of contents by category, then the nodes."""
    by_category: dict[str, list[NodeSpec]] = {}
    for spec in sorted(specs.values(), key=lambda spec: (spec.category, spec.type)):
        by_category.setdefault(spec.category, []).append(spec)
    yield "# Nodes"
    yield ""
    yield f"{len(specs)} node types, written by `python tools/nodes_page.py` from the code. Names, inputs and defaults are those"
    yield "of the API format. A node's inputs are in the order the editor shows them; *link* means that only a link can bring it."
    yield ""
    for category, group in by_category.items():
        yield f"- {category}: {', '.join(f'[{spec.type}](#{anchor(spec)})' for spec in group)}"
    for category, group in by_category.items():
        yield ""
        yield f"## {category}"
        for spec in group:
            yield from node(spec)


def node(spec: NodeSpec) -> Iterator[str]:
    yield ""
    title = f" (in the editor: {spec.title})" if spec.title and spec.title != spec.type else ""
    flags = {"output": spec.output_node, "deprecated": spec.deprecated, "experimental": spec.experimental}
    marks = [name for name, on in flags.items() if on]
    yield f"### {spec.type}"
    yield ""
    yield " ".join(spec.description.split()) + title
    if marks:
        yield f"*{', '.join(marks)}*"
    yield ""
    ports = [*spec.inputs, *([spec.dynamic] if spec.dynamic else [])]
    if ports:
        yield "| input | type | default | range or choices |"
        yield "|---|---|---|---|"
        for port in ports:
            yield f"| {name(port, spec)} | {port.type}{'' if port.widget else ' link'} | {default(port)} | {limits(port)} |"
    if spec.outputs:
        yield ""
        yield "Outputs: " + ", ".join(f"{one.name} {one.type}{' (list)' if one.is_list else ''}" for one in spec.outputs)


def name(port: Port, spec: NodeSpec) -> str:
    if port is spec.dynamic:
        return "any others"
    return port.name + ("" if port.required else " (optional)") + (" (lazy)" if port.lazy else "")


def default(port: Port) -> str:
    return "" if port.default is MISSING else cell(repr(port.default))


def limits(port: Port) -> str:
    if isinstance(port.choices, Folder):
        return f"a file in {port.choices.name}"
    if port.choices is not None:
        choices = port.choices(Folders()) if callable(port.choices) else port.choices
        more = f" and {len(choices) - CHOICES} more" if len(choices) > CHOICES else ""
        shown = ", ".join(map(str, list(choices)[:CHOICES])) + more
        return cell("looked up when it is shown" if callable(port.choices) else shown)
    low, high, step = (port.options.get(key) for key in ("min", "max", "step"))
    found = f"{number(low)} .. {number(high)}" if low is not None or high is not None else ""
    return found + (f", step {step}" if step is not None and found else "")


def number(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")[:200]


def anchor(spec: NodeSpec) -> str:
    return "".join(letter for letter in spec.type.lower().replace(" ", "-") if letter.isalnum() or letter in "-_")


def main() -> None:
    registry = load()
    for failure in registry.failures:
        print(f"{failure.module}: {failure.message}", file=sys.stderr)
    text = "\n".join(page(registry.specs)) + "\n"
    if "--check" in sys.argv and (not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text):
        sys.exit("docs/nodes.md is not what the code says: python tools/nodes_page.py")
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
