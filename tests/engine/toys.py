"""Node types without torch, and a loom to weave them on."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from engine.cache import Cache
from engine.execute import Results
from engine.executors.local import LocalExecutor
from engine.folders import Folders
from engine.graph import Graph, build
from engine.node import Blocked, Expand, Folder, Lazy, Link, Many, RawLink, Run, Seed, Subgraph, node
from engine.prompt import parse
from engine.run import Cancel, Job
from engine.signature import spec_of
from engine.spec import NodeSpec
from engine.types import Image, Latent, Mask

Whole = Annotated[int, Field(ge=-1_000_000, le=1_000_000)]


@node("Number", category="toys")
def number(value: Whole = 0) -> int:
    return value


@node("Add", category="toys", title="Add Up")
def add(a: int = 0, b: int = 0) -> int:
    return a + b


@node("Divide", category="toys")
def divide(a: int, b: int) -> int:
    return a // b


class Halves(NamedTuple):
    low: int
    high: int


@node("Split", category="toys")
def split(value: int) -> Halves:
    return Halves(value // 2, value - value // 2)


@node("Dice", category="toys")
def dice(seed: Seed = 0, sides: Literal[6, 20] = 6) -> int:
    return seed % sides + 1


@node("Show", category="toys", output=True)
def show(value: Any, *, run: Run) -> None:
    run.emit_ui(value=[value])


@node("Switch", category="toys")
async def switch(condition: bool, on_true: Lazy[Any] | None = None, on_false: Lazy[Any] | None = None) -> Any:
    chosen = on_true if condition else on_false
    return await chosen if chosen is not None else None


@node("Sleep", category="toys")
async def sleep(value: Any, seconds: float = 0.05) -> Any:
    await asyncio.sleep(seconds)
    return value


@node("Range", category="toys")
def count_to(n: int) -> Many[int]:
    return list(range(n))


@node("Sum", category="toys")
def total(values: Many[int]) -> int:
    return sum(values)


@node("Countdown", category="toys")
def countdown(n: int, value: int = 0) -> int | Expand:
    """Adds 1 to ``value`` n times, one expansion inside the other."""
    if n == 0:
        return value
    g = Subgraph()
    return g.expand(g.add("Countdown", n=n - 1, value=g.add("Add", a=value, b=1)))


@node("Twice", category="toys")
def twice(value: Annotated[Any, RawLink()]) -> int | Expand:
    """Adds its input to itself without having seen it."""
    g = Subgraph()
    return g.expand(g.add("Add", a=value, b=value))


@node("Live", category="toys")
def live(value: Any) -> Any | Expand:
    """Passes a live object down to a new step."""
    g = Subgraph()
    return g.expand(g.add("Same", value={"held": object, "value": value}))


@node("Same", category="toys")
def same(value: Any) -> Any:
    return value


@node("Gate", category="toys")
def gate(value: Any, shut: bool = False, why: str = "") -> Any | Blocked:
    return Blocked(why or None) if shut else value


@node("Slow", category="toys")
def slow(value: int, seconds: float = 5.0, *, run: Run) -> int:
    """Checks for cancel at each of its progress updates."""
    steps = max(1, round(seconds / 0.01))
    for i in range(steps):
        time.sleep(0.01)
        run.progress(i + 1, steps)
    return value


@node("Read", category="toys", lane="io")
def read(file: Annotated[str, Folder("input")], *, run: Run) -> str:
    return run.folders.find("input", file).read_text()


@node("Clock", category="toys", fingerprint=lambda: float("nan"))
def clock() -> float:
    return time.monotonic()


@node("Draw", category="toys")
def draw(latent: Latent) -> Image:
    return Image(latent["samples"])


@node("Paint", category="toys")
def paint(image: Image, mask: Mask | None = None, *, lane: str = "x") -> Image:
    return image


@node("Empty", category="toys")
def empty(batch_size: Annotated[int, Field(ge=1, le=64)] = 1) -> Latent:
    return {"samples": [0] * batch_size}  # type: ignore[typeddict-item]


TOYS = (
    number, add, divide, split, dice, show, switch, sleep, count_to, total, countdown, twice, live, same, gate, slow, read, clock,
    draw, paint, empty,
)  # fmt: skip
SPECS: dict[str, NodeSpec] = {spec.type: spec for spec in map(spec_of, TOYS)}  # type: ignore[arg-type]


def n(type_name: str, title: str = "", **inputs: Any) -> dict[str, Any]:
    """A node of an API prompt; a tuple (id, slot) or a Link is a link."""
    given = {name: [str(value[0]), value[1]] if isinstance(value, tuple) else value for name, value in inputs.items()}
    return {"class_type": type_name, "inputs": given, **({"_meta": {"title": title}} if title else {})}


def chain(length: int) -> dict[str, Any]:
    """0 -> 1 -> ... -> length - 1 -> out"""
    nodes = {"0": n("Add", a=1)} | {str(i): n("Add", a=(i - 1, 0), b=1) for i in range(1, length)}
    return nodes | {"out": n("Show", value=(length - 1, 0))}


@dataclass
class Loom:
    """Runs prompts and remembers what was said."""

    specs: Mapping[str, NodeSpec] = field(default_factory=lambda: SPECS)
    cache: Cache = field(default_factory=Cache)
    folders: Folders = field(default_factory=Folders)
    events: list[Any] = field(default_factory=list)
    executor: LocalExecutor = field(init=False)

    def __post_init__(self) -> None:
        self.executor = LocalExecutor(self.specs, self.cache)

    def graph(self, prompt: Mapping[str, Any], **options: Any) -> Graph:
        return build(parse(prompt), self.specs, self.folders, **options)

    def run(self, prompt: Mapping[str, Any], cancel: Cancel | None = None, **options: Any) -> Results:
        self.events.clear()
        job = Job(prompt=prompt, folders=self.folders, emit=self.events.append, cancel=cancel or Cancel())
        return self.executor.run_sync(self.graph(prompt, **options), job)

    def shown(self, prompt: Mapping[str, Any], **options: Any) -> dict[str, Any]:
        """What each Show shows."""
        return {id: ui["value"][0] if len(ui["value"]) == 1 else ui["value"] for id, ui in self.run(prompt, **options).ui.items()}

    def meet(self, count: int) -> None:
        """Give it Meet, whose calls end only when ``count`` of them have begun (or after a minute, with an error)."""
        waiting: list[int] = []
        all_here = asyncio.Event()

        async def meet(inputs: Any, run: Run) -> tuple[Any, ...]:
            waiting.append(1)
            if len(waiting) == count:
                all_here.set()
            await asyncio.wait_for(all_here.wait(), 60)
            return (inputs["value"],)

        self.specs = self.executor.specs = {**self.specs, "Meet": replace(SPECS["Same"], type="Meet", call=meet, is_async=True)}

    def kinds(self, *kinds: str) -> list[Any]:
        return [event for event in self.events if event.kind in kinds]


def on_thread(work: Any) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


__all__ = ["SPECS", "Link", "Loom", "Path", "chain", "n", "on_thread"]
