"""Calling a node: its inputs from the results there are, once an item of its lists, under inference mode."""

from __future__ import annotations

import asyncio
import inspect
import sys
import types
from collections.abc import Callable, Coroutine, Generator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from engine.graph import Step
from engine.items import Items, blocker, calls, joined, single
from engine.node import Lazy
from engine.run import Job, Run
from engine.spec import Blocked, Expand, Link, NodeSpec, Outcome


@dataclass(slots=True)
class Calls:
    """The calls of one step and what became of them. ``mapped``: one for each item of a list."""

    spec: NodeSpec
    runs: list[Run]
    arguments: list[dict[str, Any]]
    mapped: bool
    blocks: list[Blocked | None]
    outcomes: list[Outcome] = field(default_factory=list)
    seconds: float = 0.0
    nbytes: int = 0  # needed at the highest, above what was in use

    @property
    def ui(self) -> dict[str, list[Any]] | None:
        shown: dict[str, list[Any]] = {}
        for run in self.runs:
            for name, items in run.ui.items():
                shown.setdefault(name, []).extend(items)
        return shown or None

    @property
    def blocked(self) -> list[str]:
        """The messages of whatever kept this step from being called."""
        return [block.message for block in self.blocks if block is not None and block.message is not None]

    def values(self, resolve: Callable[[Link], Any]) -> tuple[Any, ...]:
        """What the step leaves on its edges, now that ``resolve`` has the result of every expansion."""
        rows = [_row(self.spec, outcome, resolve) for outcome in self.outcomes]
        return joined(self.spec, rows) if self.mapped else single(self.spec, rows[0])


def prepare(step: Step, job: Job, value: Callable[[Link], Any], lazy: Callable[[str, Link], Any], key: bytes = b"") -> Calls:
    """Inputs of a step as its calls: ``value`` looks a link up, ``lazy`` gives what stands for one that is not evaluated."""
    spec = step.spec
    inputs: dict[str, Any] = dict(step.params)
    for name, link in step.links.items():
        port = spec.port(name)
        if port is not None and port.raw:
            inputs[name] = link
        elif port is not None and port.lazy:
            inputs[name] = lazy(name, link)
        else:
            inputs[name] = value(link)
    if spec.is_async and spec.needs is None:
        for port in spec.inputs:
            if port.lazy and port.name in step.params:
                inputs[port.name] = Lazy(inputs[port.name])
    arguments = calls(spec, inputs)
    mapped = arguments is not None and not spec.input_is_list
    arguments = [inputs] if arguments is None else arguments
    runs = [Run(step.id, spec.type, step.display, step.parent, job, i, key) for i in range(len(arguments))]
    return Calls(spec, runs, arguments, mapped, [blocker(spec, given) for given in arguments])


def call(prepared: Calls) -> None:
    """Make the calls one after another, on this thread."""
    with inference():
        for arguments, run, block in zip(prepared.arguments, prepared.runs, prepared.blocks, strict=True):
            run.check()
            prepared.outcomes.append(Blocked() if block else prepared.spec.call(arguments, run))  # type: ignore[arg-type]


async def call_async(prepared: Calls) -> None:
    """Start all calls; they overlap."""

    async def one(arguments: Mapping[str, Any], run: Run, block: Blocked | None) -> Outcome:
        if block:
            return Blocked()
        answer = prepared.spec.call(arguments, run)
        return await under_inference(answer) if inspect.iscoroutine(answer) else await answer  # type: ignore[misc]

    each = zip(prepared.arguments, prepared.runs, prepared.blocks, strict=True)
    tasks = [asyncio.ensure_future(one(arguments, run, block)) for arguments, run, block in each]
    try:
        prepared.outcomes += await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def inference() -> AbstractContextManager[Any]:
    """``torch.inference_mode()`` if torch is loaded. Loading it is the business of the node that needs it."""
    mode = getattr(sys.modules.get("torch"), "inference_mode", None)
    return mode() if mode is not None else nullcontext()


@types.coroutine
def under_inference(coroutine: Coroutine[Any, Any, Outcome]) -> Generator[Any, Any, Outcome]:
    """The coroutine in inference mode while it runs, but not while others do."""
    step: Callable[[], Any] = lambda: coroutine.send(None)  # noqa: E731
    while True:
        try:
            with inference():
                waits_for = step()
        except StopIteration as stop:
            result: Outcome = stop.value
            return result
        try:
            sent = yield waits_for
            step = lambda sent=sent: coroutine.send(sent)  # type: ignore[misc] # noqa: E731
        except BaseException as error:
            step = lambda error=error: coroutine.throw(error)  # type: ignore[misc] # noqa: E731


def _row(spec: NodeSpec, outcome: Outcome, resolve: Callable[[Link], Any]) -> tuple[Any, ...]:
    if isinstance(outcome, Blocked):
        return (outcome,) * len(spec.outputs)
    values = outcome.results if isinstance(outcome, Expand) else outcome
    if len(values) < len(spec.outputs):
        raise ValueError(f"it has {len(spec.outputs)} outputs, but returned {len(values)} values")
    if not isinstance(outcome, Expand):
        return tuple(values[: len(spec.outputs)])
    row = [resolve(value) if isinstance(value, Link) else value for value in values[: len(spec.outputs)]]
    return tuple(list(v) if output.is_list and isinstance(v, Items) else v for output, v in zip(spec.outputs, row, strict=True))
