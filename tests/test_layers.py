"""Imports go one way. What is drawn in the architecture is what the code does, or this fails.

main, engine.commands -> engine.server -> engine.jobs, engine.execute -> engine.graph, cache, keys, prompt
    -> engine.node -> engine.types
nodes -> engine.node, engine.types, engine.diffusion          engine.diffusion -> torch and friends alone
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {"torch", "numpy", "scipy", "diffusers", "transformers", "safetensors", "PIL", "aiohttp", "sqlalchemy", "networkx", "ray"}
TOP = ("types", "spec", "events", "folders")
NODE = (*TOP, "run", "node", "signature")
GRAPH = (
    *NODE,
    "problems",
    "prompt",
    "refusals",
    "literals",
    "graph",
    "prints",
    "keys",
    "items",
    "cache",
    "disk",
    "metadata",
    "outputs",
)


def sources(*places: str) -> list[Path]:
    found: list[Path] = []
    for place in places:
        path = ROOT / place
        found += [path] if path.is_file() else sorted(path.rglob("*.py"))
    return found


def imports(path: Path, *, inside_functions: bool = True) -> Iterator[str]:
    """The modules a file imports at run time: not those under TYPE_CHECKING."""
    pending: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    while pending:
        item = pending.pop()
        if isinstance(item, ast.If) and "TYPE_CHECKING" in ast.unparse(item.test):
            pending += item.orelse
            continue
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not inside_functions:
            continue
        if isinstance(item, ast.Import):
            yield from (alias.name for alias in item.names)
        elif isinstance(item, ast.ImportFrom):
            module = (
                ".".join([*package[: len(package) - item.level + 1], *([item.module] if item.module else [])])
                if item.level
                else item.module
            )
            yield str(module)
            yield from (f"{module}.{alias.name}" for alias in item.names)
        pending += ast.iter_child_nodes(item)


def stems(prefix: str, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{prefix}.{name}" for name in names)


def under(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("path", sources("nodes"), ids=str)
def test_nodes_see_the_engines_words_and_diffusion_only(path: Path) -> None:
    allowed = (*stems("engine", ("node", "types", "run", "spec", "folders", "metadata", "outputs", "diffusion")), "nodes")
    wrong = [m for m in imports(path) if under(m, "engine") and m != "engine" and not under(m, *allowed, "engine.comfy")]
    assert not wrong


@pytest.mark.parametrize("path", sources("nodes", "engine/types.py", "engine/node.py", "engine/spec.py"), ids=str)
def test_reading_a_node_loads_nothing_heavy(path: Path) -> None:
    wrong = [m for m in imports(path, inside_functions=False) if m.split(".")[0] in HEAVY or under(m, "engine.diffusion")]
    assert not wrong


@pytest.mark.parametrize("path", sources("engine/diffusion"), ids=str)
def test_diffusion_knows_nothing_of_graphs_nodes_or_http(path: Path) -> None:
    wrong = [
        m for m in imports(path) if under(m, "engine", "nodes", "aiohttp") and m != "engine" and not under(m, "engine.diffusion")
    ]
    assert not wrong


@pytest.mark.parametrize(
    ("names", "allowed"),
    [(TOP, TOP), (NODE, (*NODE, "outputs")), (GRAPH, GRAPH)],
    ids=["types", "node", "graph"],
)
def test_lower_layers_do_not_see_higher_ones(names: tuple[str, ...], allowed: tuple[str, ...]) -> None:
    wrong = []
    for path in sources(*(f"engine/{name}.py" for name in names)):
        # A run makes the holder of networks and the sampling journal on demand: the one place that calls up, inside functions.
        on_demand = ("residency", "journal") if path.name == "run.py" else ()
        known = (*stems("engine", allowed), *stems("engine.diffusion", on_demand))
        wrong += [f"{path.name}: {m}" for m in imports(path) if under(m, "engine") and m != "engine" and not under(m, *known)]
    assert not wrong


def test_nobody_imports_nodes_or_the_server_but_those_on_top() -> None:
    wrong = []
    for path in sources("engine", "nodes"):
        place = path.relative_to(ROOT).as_posix()
        for module in imports(path):
            if under(module, "nodes") and not place.startswith(("nodes/", "engine/comfy/")):
                wrong.append(f"{place}: {module}")
            if under(module, "engine.server", "engine.commands", "main") and not place.startswith(
                ("engine/server/", "engine/commands/")
            ):
                wrong.append(f"{place}: {module}")
            if under(module, "engine.comfy") and not place.startswith(("engine/comfy/", "nodes/__init__.py")):
                wrong.append(f"{place}: {module}")
    assert not wrong


def test_only_settings_reads_the_environment() -> None:
    wrong = []
    for path in sources("engine", "nodes"):
        if path.name in ("settings.py", "flags.py") or "comfy" in path.parts:
            continue
        text = path.read_text(encoding="utf-8")
        wrong += [f"{path.relative_to(ROOT)}: {word}" for word in ("os.environ", "os.getenv") if word in text]
    assert not wrong


@pytest.mark.parametrize("module", ["engine.registry", "engine.execute", "engine.executors.local", "engine.commands.run", "main"])
def test_importing_does_no_work(module: str) -> None:
    """No torch, no numpy, no thread, and nothing printed."""
    code = f"import sys, threading, {module}; print([m for m in {HEAVY!r} if m in sys.modules], threading.active_count())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[] 1"
