"""How the engine itself grows with the graph: trivial integer nodes, cold and fully cached, n and 10 n.

ComfyUI 0.3.64 on a machine of this kind: a chain of 300 takes 4-5 s, cached or not; a chain of 1,000 is refused (recursion);
5,000 nodes side by side take 57 s, and 6 s cached. Ours are to stay under 1.5 s and 0.3 s for 10,000, and to grow linearly.

    python benchmarks/graph.py [n]
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine.cache import Cache
from engine.executors.local import LocalExecutor
from engine.folders import Folders
from engine.graph import build
from engine.node import Run, node
from engine.prompt import decode, parse
from engine.run import Job
from engine.signature import spec_of

COLD_SECONDS, CACHED_SECONDS = 1.5, 0.3
REPEATS = 3


@node("Add", category="benchmark")
def add(a: int = 0, b: int = 0) -> int:
    return a + b


@node("Show", category="benchmark", output=True)
def show(value: int, *, run: Run) -> None:
    run.emit_ui(value=[value])


SPECS = {spec.type: spec for spec in (spec_of(add), spec_of(show))}


def chain(n: int) -> dict[str, Any]:
    """0 -> 1 -> ... -> n - 1 -> show"""
    nodes = {"0": {"class_type": "Add", "inputs": {"a": 1, "b": 0}}}
    nodes |= {str(i): {"class_type": "Add", "inputs": {"a": [str(i - 1), 0], "b": 1}} for i in range(1, n)}
    return nodes | {"show": {"class_type": "Show", "inputs": {"value": [str(n - 1), 0]}}}


def layers(n: int, width: int = 100) -> dict[str, Any]:
    """Layers of ``width`` nodes, each fed by two of the layer above; the last layer is shown."""
    nodes: dict[str, Any] = {str(i): {"class_type": "Add", "inputs": {"a": i, "b": 1}} for i in range(width)}
    for i in range(width, n):
        above = i - i % width - width
        left, right = above + i % width, above + (i * 7 + 1) % width
        nodes[str(i)] = {"class_type": "Add", "inputs": {"a": [str(left), 0], "b": [str(right), 0]}}
    last = range(n - width, n)
    return nodes | {f"show{i}": {"class_type": "Show", "inputs": {"value": [str(i), 0]}} for i in last}


def side_by_side(n: int) -> dict[str, Any]:
    """n / 2 pairs of a node and what shows it."""
    nodes: dict[str, Any] = {str(i): {"class_type": "Add", "inputs": {"a": i, "b": 1}} for i in range(n // 2)}
    return nodes | {f"show{i}": {"class_type": "Show", "inputs": {"value": [str(i), 0]}} for i in range(n // 2)}


def once(executor: LocalExecutor, text: bytes) -> float:
    """Seconds of processor from the JSON text to the last event: what the clock shows where nobody else is at work."""
    events: list[Any] = []
    began = time.process_time()
    prompt = parse(decode(text))
    graph = build(prompt, SPECS, Folders())
    asyncio.run(executor.run(graph, Job(prompt=prompt.raw, emit=events.append)))
    return time.process_time() - began


def measure(shape: Callable[[int], dict[str, Any]], n: int) -> tuple[float, float]:
    """The best of a few runs, cold and cached: other work on the machine only ever adds."""
    text = json.dumps(shape(n)).encode()
    cold, cached = [], []
    for _ in range(REPEATS):
        with LocalExecutor(SPECS, Cache()) as executor:
            cold.append(once(executor, text))
            cached += [once(executor, text) for _ in range(2)]
    return min(cold), min(cached)


def peak(shape: Callable[[int], dict[str, Any]], n: int) -> float:
    """MB of Python objects at the worst moment of a cold run."""
    text = json.dumps(shape(n)).encode()
    with LocalExecutor(SPECS, Cache(max_bytes=0)) as executor:
        tracemalloc.start()
        once(executor, text)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return most / 2**20


def main(n: int) -> int:
    """Print one line a shape; 1 if a bound is broken."""
    broken = False
    print(f"{'shape':<14}{'nodes':>8}{'cold':>9}{'cached':>9}{'peak':>9}   for ten times the nodes")
    for shape in (chain, layers, side_by_side):
        small, large = measure(shape, n // 10), measure(shape, n)
        low, high = peak(shape, n // 10), peak(shape, n)
        name = shape.__name__.replace("_", " ")
        print(f"{name:<14}{n // 10:>8}{small[0]:>8.3f}s{small[1]:>8.3f}s{low:>7.1f}MB")
        ratios = f"cold x{large[0] / small[0]:.1f}, cached x{large[1] / small[1]:.1f}, peak x{high / low:.1f}"
        print(f"{name:<14}{n:>8}{large[0]:>8.3f}s{large[1]:>8.3f}s{high:>7.1f}MB   {ratios}")
        broken |= n <= 10_000 and (large[0] > COLD_SECONDS or large[1] > CACHED_SECONDS)
    if broken:
        print(f"A bound is broken: {COLD_SECONDS} s cold, {CACHED_SECONDS} s cached.")
    return int(broken)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
