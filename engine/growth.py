"""What an async node may ask for while it runs: new steps, their results, and results that may fail.

Loops live here: the steps between a loop's start and its end are copied once an iteration, each copy with a key of its own
content, so that an iteration whose item has not changed is found in the cache.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from engine.expansion import expansion
from engine.failure import NodeError
from engine.graph import Step
from engine.prints import print_of
from engine.spec import Expand, Known, Link

if TYPE_CHECKING:
    from pathlib import Path

    from engine.execution import Execution

SCALARS = (str, int, float, bool, type(None))


@dataclass
class Guard:
    """Failures of ``steps`` end in ``failed`` instead of ending the job."""

    steps: set[str]
    failed: asyncio.Future[NodeError]


@dataclass
class Grow:
    """One call of one step, asking."""

    execution: Execution
    step: Step
    call_index: int = 0
    _count: int = field(default=0)

    @property
    def steps(self) -> Mapping[str, Step]:
        return self.execution.pull.steps

    async def __call__(self, expand: Expand) -> tuple[Any, ...]:
        """Add the new nodes; what ``expand.results`` are once they have run. Output nodes among them are waited for."""
        results, outputs = self.add(expand)
        found = await self.results([*(value for value in results if isinstance(value, Link)), *outputs])
        return tuple(found[value] if isinstance(value, Link) else value for value in results)

    def add(self, expand: Expand) -> tuple[tuple[Any, ...], list[Link]]:
        """New nodes, of which none runs until it is asked for: the results as links, and the output nodes among them."""
        execution, pull = self.execution, self.execution.pull
        new = expansion(
            expand, self.step, self.call_index, specs=execution.specs, steps=pull.steps, keys=pull.keys,
            print_of=lambda child: print_of(child, execution.job),
        )  # fmt: skip
        outer = {link.node for child in new.children.values() for link in child.links.values()} - new.children.keys()
        with execution.lock:
            pull.add(self.step.id, new.children, new.keys, outer)
        return new.results, [Link(id) for id in new.outputs]

    def live(self, value: Any, name: str) -> Any:
        """A value for an input of a new node: a scalar as it is, others with a print of their content."""
        if isinstance(value, SCALARS):
            return value
        made_by = self.execution.pull.keys[self.step.id].hex()
        return Known(value, content(value) or f"{made_by}/{name}")

    async def results(self, links: Iterable[Link]) -> dict[Link, Any]:
        """The values of links, their sources run where they have not been."""
        wanted = list(dict.fromkeys(links))
        values = await asyncio.gather(*[self.execution.evaluate(link) for link in wanted])
        return dict(zip(wanted, values, strict=True))

    def before(self, links: Iterable[Link]) -> set[str]:
        """The steps that links come from, and all that those depend on."""
        return ancestors(self.steps, [link.node for link in links])

    async def attempt(self, link: Link) -> tuple[Any, str | None]:
        """The value of a link; or what failed, if a step that it needs did, which then does not end the job."""
        guard = Guard(self.before([link]), asyncio.get_running_loop().create_future())
        with self.execution.lock:  # a step fails before this or is told of it
            fallen = next((self.execution.fallen[id] for id in guard.steps if id in self.execution.fallen), None)
            if fallen is not None:
                return None, str(fallen)
            self.execution.guards.append(guard)
        value = asyncio.ensure_future(self.execution.evaluate(link))
        try:
            await asyncio.wait({value, guard.failed}, return_when=asyncio.FIRST_COMPLETED)
            if guard.failed.done():
                return None, str(guard.failed.result())
            return value.result(), None
        finally:
            value.cancel()
            self.execution.guards.remove(guard)

    def between(self, start: str, ends: Sequence[Link]) -> Body:
        """The steps a loop repeats: all that lead from ``start`` to ``ends``, and the output nodes that hang off them."""
        after = descendants(self.steps, start)
        wanted = self.before(ends)
        beyond = descendants(self.steps, self.step.id)
        scopes = self.execution.scopes
        for id in after - beyond - {self.step.id}:
            if self.steps[id].spec.output_node and scopes.get(id) == scopes.get(self.step.id):
                wanted |= ancestors(self.steps, [id])
        inside = after & wanted - {self.step.id}
        return Body(self, start, [step for id, step in self.steps.items() if id in inside])

    def read_workflow(self, path: Path) -> Mapping[str, Any]:
        """A workflow file, however it was written, as nodes by id."""
        from engine.workflow.definitions import describe_all
        from engine.workflow.files import read_file

        found = read_file(path)
        prompt: Mapping[str, Any] = found.as_prompt(describe_all(self.execution.specs, self.execution.job.folders))
        return prompt


@dataclass
class Body:
    """The steps of a loop."""

    grow: Grow
    start: str
    inside: list[Step]

    def copy(self, iteration: int, given: Sequence[Any], ends: Sequence[Link]) -> Expand:
        """The steps of one iteration with ``given`` in place of what the start gives; ``results`` are the ``ends``."""
        prefix = f"{self.grow.step.id}.{self.grow.call_index}.{iteration}."
        names = {step.id: f"{prefix}{step.id}" for step in self.inside}
        nodes: dict[str, dict[str, Any]] = {}

        def moved(link: Link) -> Any:
            if link.node != self.start:
                return Link(names.get(link.node, link.node), link.output)
            value = self.grow.live(given[link.output], f"{iteration}/{link.output}")
            if not isinstance(value, Known):
                return value
            nodes.setdefault(f"{prefix}item{link.output}", {"class_type": "LoopItem", "inputs": {"value": value}})
            return Link(f"{prefix}item{link.output}")

        for step in self.inside:
            inputs = {**step.params, **{name: moved(link) for name, link in step.links.items()}}
            nodes[names[step.id]] = {
                "class_type": step.spec.type, "inputs": inputs, "_meta": {"title": step.title},
                "override_display_id": step.display,
            }  # fmt: skip
        self.grow.execution.scopes |= dict.fromkeys(nodes, prefix)
        return Expand(nodes, tuple(moved(link) for link in ends))

    async def once(self, iteration: int, given: Sequence[Any], ends: Sequence[Link]) -> tuple[Any, ...]:
        """One iteration; the values at ``ends``."""
        return await self.grow(self.copy(iteration, given, ends))


def caught(execution: Execution, step: Step, failure: NodeError) -> bool:
    """Whether a node has asked to be told of this failure; then the step, and those it was grown by, are given up."""
    above: list[str] = []
    at: Step | None = step
    while at is not None:
        above.append(at.id)
        at = execution.pull.steps.get(at.parent) if at.parent is not None else None
    with execution.lock:
        told = [guard for guard in execution.guards if not guard.steps.isdisjoint(above)]
        if not told:
            return False
        lost = above[: 1 + min(i for i, id in enumerate(above) for guard in told if id in guard.steps)]
        execution.fallen |= dict.fromkeys(lost, failure)
        for id in lost:
            execution.pull.drop(id)

    def tell() -> None:
        for task in execution.tasks:
            if task.get_name() in lost:
                task.cancel()
        for guard in told:
            if not guard.failed.done():
                guard.failed.set_result(failure)

    execution.loop.call_soon_threadsafe(tell)
    return True


def ancestors(steps: Mapping[str, Step], ids: Iterable[str]) -> set[str]:
    """The steps themselves and all that they depend on."""
    found, pending = set[str](), list(ids)
    while pending:
        id = pending.pop()
        if id not in found and id in steps:
            found.add(id)
            pending += [link.node for link in steps[id].links.values()]
    return found


def descendants(steps: Mapping[str, Step], id: str) -> set[str]:
    """All that depends on a step, without the step."""
    consumers: dict[str, list[str]] = {}
    for step in list(steps.values()):
        for link in step.links.values():
            consumers.setdefault(link.node, []).append(step.id)
    found, pending = set[str](), [id]
    while pending:
        for consumer in consumers.get(pending.pop(), ()):
            if consumer not in found:
                found.add(consumer)
                pending.append(consumer)
    return found


def content(value: Any) -> str | None:
    """A print of a value's content; None for what has no content to look at, such as a network."""
    digest = blake2b(digest_size=20)
    return digest.hexdigest() if _feed(digest.update, value) else None


def _feed(update: Any, value: Any) -> bool:
    if isinstance(value, SCALARS):
        update(json.dumps([type(value).__name__, value]).encode())
        return True
    if isinstance(value, Mapping):
        update(b"{")
        return all(isinstance(key, str) and _feed(update, key) and _feed(update, value[key]) for key in sorted(value, key=str))
    if isinstance(value, list | tuple):
        update(b"[" + str(len(value)).encode())
        return all(_feed(update, item) for item in value)
    if hasattr(value, "untyped_storage") and hasattr(value, "dtype"):
        import torch

        update(f"{value.dtype} {tuple(value.shape)}".encode())
        update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
        return True
    return False
