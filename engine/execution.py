"""One execution of a graph: what moves around a Pull. Lanes and the loop call in; the lock is held only while state changes."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine import events
from engine.cache import Cache, Result
from engine.calling import Calls, call, call_async, prepare
from engine.expansion import expansion
from engine.failure import NodeError, is_out_of_memory
from engine.graph import Graph, Step, settle
from engine.growth import Grow, Guard, caught
from engine.keys import Key
from engine.lanes import Lanes, Relief
from engine.node import Lazy
from engine.outputs import shown_files
from engine.peak import Peak
from engine.prints import print_of
from engine.pull import LOOP, Pull
from engine.run import CancelledError, Job
from engine.spec import Expand, Link, NodeSpec

WEIGHED_SECONDS = 0.001
"""Steps shorter than this are not asked for their memory: asking would take longer than they do."""


@dataclass(frozen=True, slots=True)
class Results:
    """``values`` of the targets; ``ui`` of every node that shows something, also of earlier runs; which steps ``ran``."""

    values: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    ui: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    ran: tuple[str, ...] = ()


class Execution:
    """Made and run on one loop. ``expanding`` are steps whose children are at work, ``evaluated`` the lazy inputs asked for.

    ``guards`` are told of failures among their steps, ``fallen`` are steps that failed so; ``scopes`` says of a loop's copies
    which iteration they are of.
    """

    def __init__(
        self, graph: Graph, job: Job, keys: dict[str, Key], specs: Mapping[str, NodeSpec], cache: Cache, lanes: Lanes,
        relief: Relief | None,
    ) -> None:  # fmt: skip
        self.graph, self.job, self.specs, self.cache, self.lanes, self.relief = graph, job, specs, cache, lanes, relief
        self.pull = Pull(graph.steps, keys, self.lookup)
        job.steps = self.pull.steps
        self.lock = threading.RLock()
        self.loop = asyncio.get_running_loop()
        self.over = asyncio.Event()
        self.error: BaseException | None = None
        self.failed_at: Step | None = None
        self.drains = {"device": 0, "io": 0}
        self.tasks: set[asyncio.Task[None]] = set()
        self.expanding: dict[str, Calls] = {}
        self.evaluated: dict[str, set[str]] = {}
        self.ui: dict[str, Mapping[str, Any]] = {}
        self.ran: list[str] = []
        self.guards: list[Guard] = []
        self.fallen: dict[str, NodeError] = {}
        self.scopes: dict[str, str] = {}

    async def run(self) -> Results:
        """From the first want to the last result."""
        keys, steps = self.pull.keys, self.graph.steps
        for id in steps:
            shown = self.cache.get(keys[id]) if steps[id].spec.output_node else None
            if shown is not None and not all(path.exists() for path in shown_files(shown.ui, self.job.folders)):
                self.cache.forget(keys[id])
        self.job.emit(events.Cached(job=self.job.id, nodes=tuple(id for id in steps if keys[id] in self.cache)))
        self.job.cancel.then(lambda: self.stop(CancelledError()))
        with self.lock:
            self.pull.aim(self.graph.targets)
        self.proceed()
        try:
            await self.over.wait()
        except asyncio.CancelledError:
            self.job.cancel()
            raise
        if self.tasks:
            for task in self.tasks:
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)
        if self.error is not None:
            raise self.error
        there = self.pull.results
        values = {target: there[target].values for target in self.graph.targets if target in there}
        return Results(values, self.ui, tuple(self.ran))

    # Who runs next

    def proceed(self) -> None:
        """Give every lane that has work a thread to do it on; see whether all is over."""
        with self.lock:
            if self.error is None and self.pull.left and self.pull.idle:
                waiting = ", ".join(sorted(self.pull.waiting)[:10])
                self.error = next(iter(self.fallen.values()), RuntimeError(f"these nodes wait for each other: {waiting}"))
            if self.error is not None or not self.pull.left:
                if not any(self.drains.values()):
                    self.loop.call_soon_threadsafe(self.over.set)
                return
            while (step := self.pull.take(LOOP)) is not None:
                self.loop.call_soon_threadsafe(self.begin, step)
            if not self.pull.left and not any(self.drains.values()):
                self.loop.call_soon_threadsafe(self.over.set)
                return
            starts = [lane for lane in self.drains for _ in range(self.lack(lane))]
            for lane in starts:
                self.drains[lane] += 1
        for lane in starts:
            self.lanes.start(lane, lambda lane=lane: self.drain(lane))  # type: ignore[misc]

    def lack(self, lane: str) -> int:
        """How many more threads ``lane`` could use."""
        return max(0, min(len(self.pull.ready[lane]), self.lanes.width(lane) - self.drains[lane]))

    def drain(self, lane: str) -> None:
        """On a lane's thread: one step after another, until there is none."""
        while True:
            with self.lock:
                step = self.pull.take(lane) if self.error is None and self.pull.left else None
                if step is None:
                    self.drains[lane] -= 1
                    break
            self.work(step)
            for other, heap in self.pull.ready.items():
                if heap and (other == LOOP or self.lack(other)):
                    self.proceed()
                    break
        self.proceed()

    def begin(self, step: Step) -> None:
        """On the loop: an async step becomes a task beside the others."""
        task = self.loop.create_task(self.work_async(step), name=step.id)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def stop(self, error: BaseException, step: Step | None = None) -> None:
        """No step starts from here on; the first error is the one that counts."""
        with self.lock:
            if self.over.is_set():
                return
            if self.error is None:
                self.error = error
                self.failed_at = step or next((self.pull.steps[id] for id in self.pull.running), None)
        self.loop.call_soon_threadsafe(self.proceed)

    # One step

    def prepared(self, step: Step) -> Calls:
        """The step's calls, with the values of the steps before it."""
        return prepare(step, self.job, self.pull.value, self.lazy(step), self.pull.keys[step.id])

    def work(self, step: Step) -> None:
        """Run a step on this thread."""
        prepared: Calls | None = None
        tried: list[str] = []
        try:
            if self.resume(step) or self.asks(step):
                return
            prepared = self.prepared(step)
            began, peak = self.started(step), Peak()
            try:
                call(prepared)
            except BaseException as error:
                if not is_out_of_memory(error) or not (tried := self.free()):
                    raise
                prepared = self.prepared(step)
                call(prepared)
            prepared.seconds = time.perf_counter() - began
            if prepared.seconds > WEIGHED_SECONDS:
                prepared.nbytes = peak.nbytes()
            self.settled(step, prepared)
        except BaseException as error:
            self.failed(step, error, prepared, tried)

    async def work_async(self, step: Step) -> None:
        """Run an async step on the loop."""
        prepared: Calls | None = None
        try:
            if self.resume(step) or self.asks(step):
                self.proceed()
                return
            prepared = self.prepared(step)
            for run in prepared.runs:
                run.grow = Grow(self, step, run.call_index)
            began = self.started(step)
            await call_async(prepared)
            prepared.seconds = time.perf_counter() - began
            self.settled(step, prepared)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.failed(step, error, prepared, [])
        self.proceed()

    def started(self, step: Step) -> float:
        if self.job.cancel.called:
            raise CancelledError
        self.job.emit(events.StepStarted(**self.who(step), type=step.spec.type, title=step.title))
        return time.perf_counter()

    def settled(self, step: Step, prepared: Calls) -> None:
        """The calls are back: with values, or with new steps that will have them."""
        for message in prepared.blocked:
            self.job.emit(events.StepBlocked(**self.who(step), message=message, type=step.spec.type))
        if any(isinstance(outcome, Expand) for outcome in prepared.outcomes):
            self.expand(step, prepared)
        else:
            self.complete(step, prepared)

    def expand(self, step: Step, prepared: Calls) -> None:
        children: dict[str, Step] = {}
        keys: dict[str, Key] = {}
        sources: set[str] = set()
        outputs: list[str] = []
        with self.lock:
            for i, outcome in enumerate(prepared.outcomes):
                if isinstance(outcome, Expand):
                    new = expansion(
                        outcome, step, i, specs=self.specs, steps=self.pull.steps, keys=self.pull.keys,
                        print_of=lambda child: print_of(child, self.job),
                    )  # fmt: skip
                    children |= new.children
                    keys |= new.keys
                    sources |= new.sources
                    outputs += new.outputs
                    prepared.outcomes[i] = Expand({}, new.results)
            self.expanding[step.id] = prepared
            self.pull.expand(step.id, children, keys, sources, outputs)

    def resume(self, step: Step) -> bool:
        """Whether the step was waiting for its children, which are there now."""
        prepared = self.expanding.pop(step.id, None)
        if prepared is not None:
            self.complete(step, prepared)
        return prepared is not None

    def complete(self, step: Step, prepared: Calls) -> None:
        result = Result(prepared.values(self.pull.value), prepared.ui)
        if not all(prepared.blocks):  # what was never called cost nothing, and the next run is to say again why
            self.cache.put(self.pull.keys[step.id], result, prepared.seconds)
        self.ran.append(step.id)
        self.show(step, result.ui, seconds=prepared.seconds, nbytes=prepared.nbytes)
        with self.lock:
            self.pull.finish(step.id, result)

    def failed(self, step: Step, error: BaseException, prepared: Calls | None, tried: list[str]) -> None:
        if isinstance(error, CancelledError):
            self.stop(error, step)
            return
        inputs = prepared.arguments[0] if prepared and prepared.arguments else step.params
        failure = NodeError(step, error, inputs, tried, self.ran)
        failure.__cause__ = error
        if not caught(self, step, failure):
            self.stop(failure, step)

    def free(self) -> list[str]:
        """Make room after a node ran out of memory."""
        freed = self.cache.shrink(0)
        tried = [f"{freed / 2**20:.0f} MB of cached results dropped"] if freed > 2**20 else []
        return tried + (self.relief(self.job) if self.relief else [])

    # Lazy inputs

    def lazy(self, step: Step) -> Callable[[str, Link], Any]:
        """What stands for a lazy input: for native nodes something to await, for others the value once it was asked for."""
        asked = self.evaluated.get(step.id, set())

        def stand_in(name: str, link: Link) -> Any:
            if step.spec.is_async and step.spec.needs is None:
                return Lazy(pull=lambda: self.evaluate(link))
            return self.pull.value(link) if name in asked else None

        return stand_in

    def asks(self, step: Step) -> bool:
        """Whether the node names lazy inputs that are not there yet; then it waits for them, and is asked again."""
        needs = step.spec.needs
        if needs is None:
            return False
        asked = self.evaluated.setdefault(step.id, set())
        prepared = self.prepared(step)
        answers = [settle(needs(arguments, run)) for arguments, run in zip(prepared.arguments, prepared.runs, strict=True)]
        new = {name for answer in answers for name in answer or () if name in step.links} - asked
        if not new:
            return False
        asked |= new
        with self.lock:
            self.pull.put_back(step.id, [step.links[name].node for name in sorted(new)])
        return True

    async def evaluate(self, link: Link) -> Any:
        """Pull one link while its consumer waits."""
        arrived: asyncio.Future[Result] = self.loop.create_future()

        def deliver(result: Result) -> None:
            if not arrived.done():
                arrived.set_result(result)

        def arrive(result: Result) -> None:
            self.loop.call_soon_threadsafe(deliver, result)

        with self.lock:
            self.pull.wants(link.node, arrive)
        self.proceed()
        values = (await arrived).values
        return values[link.output] if values else None

    # What is told

    def lookup(self, id: str) -> Result | None:
        result = self.cache.get(self.pull.keys[id])
        if result is not None and result.ui is not None:
            self.show(self.pull.steps[id], result.ui, cached=True)
        return result

    def show(
        self, step: Step, ui: Mapping[str, Any] | None, *, cached: bool = False, seconds: float = 0.0, nbytes: int = 0
    ) -> None:
        if ui is not None:
            self.ui[step.id] = ui
        self.job.emit(events.StepFinished(**self.who(step), ui=ui, cached=cached, seconds=seconds, nbytes=nbytes))

    def who(self, step: Step) -> dict[str, Any]:
        return {"job": self.job.id, "node": step.id, "display": step.display, "parent": step.parent}
