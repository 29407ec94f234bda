"""Which step may run next: the scheduler's whole state, without threads, clocks or events.

    steps     every step there is, by id; expansions add to it
    keys      the content key of each
    waiting   wanted steps that have not started, and how many of their sources are missing
    blocking  for a missing source, the steps that wait for it
    ready     by lane, a heap of waiting steps that miss nothing, in depth-first order of the targets
    running   steps that were taken and have not finished
    results   what is there and still has a consumer
    uses      how many consumers have yet to finish with each step's result
    held      for a wanted step, the steps it counts as a consumer of
    left      targets without a result
    made      keys of what has run: a step with such a key has its result when its turn comes
    begun     steps that have run in part
    lost      steps that failed and were given up

A step is in at most one of waiting, running and results. One that is in none of them is not wanted, or no longer.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from engine.cache import Result
from engine.graph import Step
from engine.keys import Key
from engine.spec import Link

Lookup = Callable[[str], Result | None]
LOOP = "loop"
LAST = 1 << 40


class Pull:
    """Nothing happens until ``aim`` names the targets. ``lookup`` gives known results; it is asked once a want, and for twins."""

    def __init__(self, steps: Mapping[str, Step], keys: dict[str, Key], lookup: Lookup) -> None:
        self.steps = dict(steps)
        self.keys = keys
        self.waiting: dict[str, int] = {}
        self.blocking: dict[str, list[str]] = {}
        self.ready: dict[str, list[tuple[int, int, str]]] = {LOOP: [], "device": [], "io": []}
        self.running: set[str] = set()
        self.results: dict[str, Result] = {}
        self.uses: dict[str, int] = {}
        self.held: dict[str, list[str]] = {}
        self.left: set[str] = set()
        self.arrivals: dict[str, list[Callable[[Result], None]]] = {}
        self.added = 0
        self.made: set[Key] = set()
        self.begun: set[str] = set()
        self.lost: set[str] = set()
        self._lookup = lookup
        self._order = {id: (i, 0) for i, id in enumerate(self.steps)}

    @property
    def idle(self) -> bool:
        return not self.running and not any(self.ready.values())

    def aim(self, targets: Iterable[str]) -> None:
        """Add targets: their results are kept to the end."""
        for target in targets:
            self.uses[target] = self.uses.get(target, 0) + 1
            self.left.add(target)
            self.want(target)

    def want(self, id: str) -> None:
        """See to it that ``id`` gets a result, and whatever it strictly needs."""
        pending = [id]
        while pending:
            id = pending.pop()
            if id in self.results:
                self.left.discard(id)
            elif id not in self.waiting and id not in self.running and id not in self.lost:
                found = self._lookup(id)
                if found is not None:
                    self._arrive(id, found)
                    continue
                step = self.steps[id]
                self._hold(id, {link.node for link in step.links.values()})
                pending += self._wait(id, strict_sources(step))

    def wants(self, id: str, then: Callable[[Result], None]) -> None:
        """Want ``id`` and call ``then`` with its result, at once if it is there."""
        if id in self.results:
            then(self.results[id])
            return
        self.arrivals.setdefault(id, []).append(then)
        self.want(id)

    def take(self, lane: str) -> Step | None:
        """The next step for ``lane``, now running."""
        heap = self.ready[lane]
        while heap:
            id = heapq.heappop(heap)[2]
            del self.waiting[id]
            found = self._lookup(id) if id not in self.begun and self.keys[id] in self.made else None
            if found is None:
                self.running.add(id)
                return self.steps[id]
            self._done(id, found)
        return None

    def put_back(self, id: str, sources: Iterable[str]) -> None:
        """A running step turns out to need ``sources``: it is ready again when they are there."""
        self.running.discard(id)
        self.begun.add(id)
        for source in self._wait(id, sources):
            self.want(source)

    def expand(
        self, id: str, children: Mapping[str, Step], keys: Mapping[str, Key], sources: set[str], targets: Iterable[str]
    ) -> None:
        """New steps take the place of ``id``, which is ready again when ``sources`` are there."""
        order, last = self._order[id]
        for i, (child, step) in enumerate(children.items()):
            self.steps[child] = step
            self.keys[child] = keys[child]
            self._order[child] = (order, last + i - len(children))
        self._hold(id, sources)
        self.aim(targets)
        self.put_back(id, sources)

    def add(self, id: str, children: Mapping[str, Step], keys: Mapping[str, Key], sources: set[str]) -> None:
        """New steps below the running ``id``, which asks for them itself; ``sources`` are kept until it has finished."""
        order, last = self._order[id]
        for child, step in children.items():
            self.added += 1
            self.steps[child] = step
            self.keys[child] = keys[child]
            self._order[child] = (order, last - LAST + self.added)
        self._hold(id, sources)

    def drop(self, id: str) -> None:
        """A running step has failed, and the job goes on without it: whoever wants it waits in vain."""
        self.running.discard(id)
        self.lost.add(id)
        self.left.discard(id)
        for source in self.held.pop(id, ()):
            self._release(source)

    def finish(self, id: str, result: Result) -> None:
        """``id`` has run: its consumers come nearer, and sources nobody else needs are let go."""
        self.running.discard(id)
        self.made.add(self.keys[id])
        self._done(id, result)

    def value(self, link: Link) -> Any:
        """What is on a link whose source has a result."""
        return self.results[link.node].values[link.output]

    def _done(self, id: str, result: Result) -> None:
        for source in self.held.pop(id, ()):
            self._release(source)
        self._arrive(id, result)

    def _arrive(self, id: str, result: Result) -> None:
        self.left.discard(id)
        if self.uses.get(id, 0) or id in self.arrivals:
            self.results[id] = result
        for consumer in self.blocking.pop(id, ()):
            self.waiting[consumer] -= 1
            if not self.waiting[consumer]:
                self._ready(consumer)
        for then in self.arrivals.pop(id, ()):
            then(result)
        if not self.uses.get(id, 0):
            self.results.pop(id, None)

    def _wait(self, id: str, sources: Iterable[str]) -> list[str]:
        missing = [source for source in dict.fromkeys(sources) if source not in self.results]
        self.waiting[id] = len(missing)
        for source in missing:
            self.blocking.setdefault(source, []).append(id)
        if not missing:
            self._ready(id)
        return missing

    def _ready(self, id: str) -> None:
        spec = self.steps[id].spec
        heapq.heappush(self.ready[LOOP if spec.is_async else spec.lane], (*self._order[id], id))

    def _hold(self, id: str, sources: Iterable[str]) -> None:
        held = self.held.setdefault(id, [])
        for source in sources:
            held.append(source)
            self.uses[source] = self.uses.get(source, 0) + 1

    def _release(self, id: str) -> None:
        self.uses[id] -= 1
        if not self.uses[id]:
            del self.uses[id]
            self.results.pop(id, None)


def strict_sources(step: Step) -> list[str]:
    """The steps that must have run before this one can be asked anything."""
    ports = step.spec.ports
    return [
        link.node
        for name, link in step.links.items()
        if (port := ports.get(name, step.spec.dynamic)) is None or not (port.lazy or port.raw)
    ]
