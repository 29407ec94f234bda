"""What a node costs as a function of ours, as a class of ComfyUI's, and as either in a process of its own.

A chain of nodes that do next to nothing, so that what is measured is the way there and back; then one that inverts a picture,
where an isolated node's share is what moving the picture takes. Ratios are of medians within one run, by the clock.

    python benchmarks/packs.py [nodes]
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine.cache import Cache
from engine.executors.local import LocalExecutor
from engine.folders import Folders
from engine.graph import build
from engine.packs.confinement import supported
from engine.prompt import parse
from engine.registry import load, load_pack
from engine.run import Job

REPEATS = 5
SIZES = (512, 1024, 2048)
NATIVE = """
from __future__ import annotations
from engine.node import node
from engine.types import Image

@node("{name}Add", category="benchmark")
def add(a: int = 0, b: int = 0) -> int:
    return a + b

@node("{name}Invert", category="benchmark")
def invert(image: Image) -> Image:
    return Image(1.0 - image)
"""
FOREIGN = """
class Add:
    @classmethod
    def INPUT_TYPES(cls):
        return {{"required": {{"a": ("INT", {{"default": 0}}), "b": ("INT", {{"default": 0}})}}}}

    RETURN_TYPES = ("INT",)
    FUNCTION = "add"
    CATEGORY = "benchmark"

    def add(self, a, b):
        return (a + b,)

class Invert:
    @classmethod
    def INPUT_TYPES(cls):
        return {{"required": {{"image": ("IMAGE",)}}}}

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "invert"
    CATEGORY = "benchmark"

    def invert(self, image):
        return (1.0 - image,)

NODE_CLASS_MAPPINGS = {{"{name}Add": Add, "{name}Invert": Invert}}
"""


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as scratch:
        specs, stop = packs(Path(scratch))
        kinds = [kind for kind in ("Native", "Foreign", "NativeApart", "ForeignApart") if f"{kind}Add" in specs]
        chains = {kind: chain(f"{kind}Add", count) for kind in kinds}
        seconds = measured(specs, chains)
        print(f"A chain of {count:,} nodes that add two numbers, per node:")
        report(seconds, count)
        for size in SIZES:
            pictures = {kind: picture(f"{kind}Invert", size) for kind in kinds}
            print(f"A picture of {size} x {size} ({size * size * 12 / 2**20:.0f} MB) inverted:")
            report(measured(specs, pictures), 1)
        stop()


def packs(base: Path) -> tuple[dict[str, Any], Any]:
    """The four kinds of node, and what ends the processes."""
    from engine.packs.isolation import Cell

    specs, cells = dict(load().specs), []
    why = supported()
    for kind, code in (("Native", NATIVE), ("Foreign", FOREIGN)):
        for apart in (False, True):
            name = kind + "Apart" * apart
            path = base / f"{name.lower()}.py"
            path.write_text(code.format(name=name), encoding="utf-8")
            if not apart:
                found = load_pack(path)
            elif why is None:
                cells.append(Cell(path, Folders(base=base)))
                found = cells[-1].specs()
            else:
                print(f"Nothing isolated is measured: {why}.")
                continue
            specs |= {spec.type: spec for spec in found if hasattr(spec, "type")}
    return specs, lambda: [cell.stop() for cell in cells]


def chain(kind: str, count: int) -> dict[str, Any]:
    nodes: dict[str, Any] = {"0": {"class_type": kind, "inputs": {"a": 1, "b": 0}}}
    nodes |= {str(i): {"class_type": kind, "inputs": {"a": [str(i - 1), 0], "b": 1}} for i in range(1, count)}
    return nodes | {"show": {"class_type": "PreviewAny", "inputs": {"source": [str(count - 1), 0]}}}


def picture(kind: str, size: int) -> dict[str, Any]:
    return {
        "image": {"class_type": "EmptyImage", "inputs": {"width": size, "height": size, "batch_size": 1, "color": 0x102030}},
        "x": {"class_type": kind, "inputs": {"image": ["image", 0]}},
        "size": {"class_type": "GetImageSize", "inputs": {"image": ["x", 0]}},
        "show": {"class_type": "PreviewAny", "inputs": {"source": ["size", 0]}},
    }


def measured(specs: dict[str, Any], graphs: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Seconds of each graph: medians of runs that take turns, after one that is not counted."""
    found: dict[str, list[float]] = {kind: [] for kind in graphs}
    for i in range(REPEATS + 1):
        for kind, graph in graphs.items():
            took = once(specs, graph)
            if i:
                found[kind].append(took)
    return {kind: statistics.median(times) for kind, times in found.items()}


def once(specs: dict[str, Any], nodes: dict[str, Any]) -> float:
    executor = LocalExecutor(specs, cache=Cache(max_bytes=0))
    prompt = parse(nodes)
    graph = build(prompt, specs, Folders())
    began = time.perf_counter()
    asyncio.run(executor.run(graph, Job(prompt=prompt.raw)))
    took = time.perf_counter() - began
    executor.close()
    return took


def report(seconds: dict[str, float], count: int) -> None:
    words = {
        "Native": "native", "Foreign": "ComfyUI class", "NativeApart": "native, isolated",
        "ForeignApart": "ComfyUI class, isolated",
    }  # fmt: skip
    for kind, took in seconds.items():
        print(f"  {words[kind]:<24}{took / count * 1e6:10,.0f} us  x {took / seconds['Native']:.2f}")


if __name__ == "__main__":
    main()
