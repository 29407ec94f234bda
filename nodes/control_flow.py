"""Loops and tries.

A loop is what lies between its start and its end: it is copied once an iteration. Whatever else hangs off the start and
shows or saves something is part of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from annotated_types import Interval

from engine.node import Blocked, ForceInput, Lazy, Link, Many, Name, RawLink, Run, node
from engine.spec import Known
from engine.types import Image, Latent, Mask

if TYPE_CHECKING:
    from engine.growth import Grow

OPENED = ("loop", "item", "index", "carry")
Unevaluated = Annotated[Any, RawLink()]
Condition = Annotated[bool, RawLink(), ForceInput()]


@dataclass(frozen=True)
class Loop:
    """What a loop's start tells its end."""

    items: Sequence[Any]
    carry: Any = None


class Opened(NamedTuple):
    loop: Loop
    item: Any
    at: int | Blocked
    carry: Any


class Ended(NamedTuple):
    results: Many[Any]
    carry: Any
    turns: int


def opened(loop: Loop) -> Opened:
    """Outside of the loop there is no item: what asks for one there does not run."""
    return Opened(loop, Blocked(), Blocked(), Blocked())


def growing(run: Run) -> Grow:
    if run.grow is None:
        raise RuntimeError("Loops and tries work only inside a graph.")
    return run.grow


@node("LoopItem", category="control/inner", title="Item of a Loop")
def loop_item(value: Any) -> Any:
    """One item in one iteration; loops make these."""
    return value.value if isinstance(value, Known) else value


@node("ForEach", category="control/loops", title="For Each", outputs=OPENED)
def for_each(items: Many[Any], carry: Many[Any] | None = None) -> Opened:
    """Repeat what follows for each item of a list, up to For Each End. A single list is taken apart."""
    whole = items[0] if len(items) == 1 and isinstance(items[0], list | tuple) else items
    return opened(Loop(list(whole), carry[0] if carry else None))


@node("ForRange", category="control/loops", title="For Range", outputs=OPENED)
def for_range(start: int = 0, stop: int = 4, step: int = 1, carry: Any | None = None) -> Opened:
    """Repeat what follows for each number from ``start`` to before ``stop``, up to For Each End."""
    if step == 0:
        raise ValueError("step: a range needs a step that is not 0.")
    return opened(Loop(range(start, stop, step), carry))


@node("ForEachInBatch", category="control/loops", title="For Each in Batch", outputs=OPENED)
def for_each_in_batch(batch: Image | Mask | Latent, size: Annotated[int, Interval(ge=1)] = 1, carry: Any | None = None) -> Opened:
    """Repeat what follows for each picture, mask or latent of a batch, ``size`` at a time, up to For Each End."""
    if isinstance(batch, Mapping):
        from engine.diffusion.pixels.latents import from_batch

        latent: Any = batch
        parts: list[Any] = [from_batch(latent, i, size) for i in range(0, len(latent["samples"]), size)]
    else:
        tensor: Any = batch
        parts = [tensor[i : i + size] for i in range(0, len(tensor), size)]
    return opened(Loop(parts, carry))


@node("ForEachEnd", category="control/loops", title="For Each End", output=True, outputs=("results", "carry", "count"))
async def for_each_end(
    loop: Loop,
    value: Unevaluated = None,
    carry: Unevaluated = None,
    break_if: Annotated[bool | None, RawLink(), ForceInput()] = None,
    *,
    run: Run,
) -> Ended:
    """The end of a loop: a list of every ``value``, and the last ``carry``.

    ``carry`` goes on to the next iteration. The first in which ``break_if`` is true is the last. A value that is blocked
    is left out.
    """
    grow = growing(run)
    ends = {name: link for name, link in (("value", value), ("carry", carry), ("break", break_if)) if isinstance(link, Link)}
    body = grow.between(grow.step.links["loop"].node, list(ends.values()))
    results, carried, count = [], loop.carry, 0
    for i, item in enumerate(loop.items):
        run.progress(i, len(loop.items), f"{i + 1} of {len(loop.items)}")
        found = dict(zip(ends, await body.once(i, (loop, item, i, carried), list(ends.values())), strict=True))
        carried, count = found.get("carry", carried), i + 1
        if "value" in found and not isinstance(found["value"], Blocked):
            results.append(found["value"])
        if found.get("break") is True:
            break
    return Ended(results, carried, count)


class Turning(NamedTuple):
    loop: Loop
    value: Any
    at: int | Blocked


class Turned(NamedTuple):
    value: Any
    turns: int


@node("While", category="control/loops", title="While", outputs=("loop", "value", "index"))
def while_(value: Any) -> Turning:
    """Repeat what follows, up to While End, as long as its condition holds; ``value`` is the first value."""
    return Turning(Loop((), value), Blocked(), Blocked())


@node("WhileEnd", category="control/loops", title="While End", output=True, outputs=("value", "count"))
async def while_end(
    loop: Loop, condition: Condition, next_value: Unevaluated, max_iterations: Annotated[int, Interval(ge=0)] = 1000, *, run: Run
) -> Turned:
    """The end of a While: as long as ``condition`` is true of the value, ``next_value`` takes its place."""
    grow = growing(run)
    links = [link for link in (condition, next_value) if isinstance(link, Link)]
    body, value, count = grow.between(grow.step.links["loop"].node, links), loop.carry, 0
    while True:
        (holds, following), outputs = grow.add(body.copy(count, (loop, value, count), (_link(condition), _link(next_value))))
        holds = (await grow.results([holds]))[holds] if isinstance(holds, Link) else holds
        if holds is not True:
            return Turned(value, count)
        if count >= max_iterations:
            raise ValueError(
                f"its condition still holds after {max_iterations} iterations. Raise max_iterations if that is meant."
            )
        asked = [*outputs, following] if isinstance(following, Link) else outputs
        found = await grow.results(asked)
        value, count = found[following] if isinstance(following, Link) else following, count + 1
        run.progress(count, count + 1, f"iteration {count}")


def _link(link: Any) -> Link:
    if not isinstance(link, Link):
        raise ValueError("condition and next_value must be linked to something that depends on the value.")
    return link


@node("Accumulate", category="control/loops")
def accumulate(value: Any, carry: Any | None = None) -> Any:
    """The list so far with ``value`` at its end: link ``carry`` to the loop's, and the result to its end's."""
    return [*(carry or ()), value]


class Started(NamedTuple):
    iteration_index: int | Blocked
    is_first: bool | Blocked
    is_last: bool | Blocked
    list_item: Any
    current_iteration_value: Any


Mode = Literal["simple", "For", "List"]


@node("StartLoop", category="utilities/looping", title="Start Loop")
def start_loop(
    mode: Mode = "simple",
    num_iterations: Annotated[int, Name("mode.num_iterations"), Interval(ge=0)] = 4,
    start_iteration_index: Annotated[int, Name("mode.start_iteration_index")] = 0,
    max_iteration: Annotated[int, Name("mode.max_iteration")] = 4,
    step: Annotated[int, Name("mode.step"), Interval(ge=1)] = 1,
    list_: Annotated[Many[Any] | None, Name("mode.list")] = None,
    cache_iterations: bool = False,
    parent_iteration: Annotated[int | None, ForceInput()] = None,
    initial_iteration_value: Many[Any] | None = None,
) -> Started:
    """Repeat what follows, up to End Loop. Iterations that have not changed come from the cache whatever ``cache_iterations``."""
    return Started(Blocked(), Blocked(), Blocked(), Blocked(), Blocked())


@node("EndLoop", category="utilities/looping", title="End Loop", output=True, outputs=("outputs",))
async def end_loop(
    output_value: Unevaluated = None,
    next_iteration_value: Unevaluated = None,
    accumulate: bool = False,
    *,
    run: Run,
    **terminations: Annotated[Any, RawLink()],
) -> Many[Any]:
    """The end of a Start Loop: the last value, or with ``accumulate`` the value of every iteration."""
    grow = growing(run)
    ends = [link for link in (output_value, next_iteration_value, *terminations.values()) if isinstance(link, Link)]
    start = innermost(grow, ends)
    inputs = await _inputs_of(grow, start)
    items, numbers = _iterations(inputs)
    carried = _first(inputs.get("initial_iteration_value"))
    body = grow.between(start, ends)
    results: list[Any] = []
    for i, number in enumerate(numbers):
        run.progress(i, len(numbers), f"Iteration {i} / {len(numbers)}")
        given = (number, i == 0, i == len(numbers) - 1, items[i] if items is not None else None, carried)
        found = dict(zip(ends, await body.once(i, given, ends), strict=True))
        if isinstance(next_iteration_value, Link):
            carried = found[next_iteration_value]
        if isinstance(output_value, Link):
            results = [*results, found[output_value]] if accumulate else [found[output_value]]
    return results


def innermost(grow: Grow, ends: Sequence[Link]) -> str:
    """The start that belongs to this end: the deepest one before it that no other end has closed."""
    before = grow.before(ends)
    others = [grow.steps[id] for id in before if grow.steps[id].spec.type == "EndLoop"]
    closed = {innermost(grow, [*other.links.values()]) for other in others}
    starts = {id: len(grow.before([Link(id)])) for id in before - closed if grow.steps[id].spec.type == "StartLoop"}
    if not starts:
        raise ValueError("nothing that is linked to it comes from a Start Loop. Connect the loop's body to it.")
    return max(starts, key=lambda id: starts[id])


async def _inputs_of(grow: Grow, id: str) -> dict[str, Any]:
    step = grow.steps[id]
    found = await grow.results(step.links.values())
    return {**step.params, **{name: found[link] for name, link in step.links.items()}}


def _iterations(inputs: Mapping[str, Any]) -> tuple[Sequence[Any] | None, Sequence[int]]:
    match inputs.get("mode"):
        case "List":
            listed = inputs.get("mode.list")
            items = list(listed) if isinstance(listed, list | tuple) else [] if listed is None else [listed]
            return items, range(len(items))
        case "For":
            step = int(inputs.get("mode.step", 1))
            return None, range(int(inputs.get("mode.start_iteration_index", 0)), int(inputs.get("mode.max_iteration", 4)), step)
    return None, range(int(inputs.get("mode.num_iterations", 4)))


def _first(value: Any) -> Any:
    return value[0] if type(value).__name__ == "Items" and value else value


class Tried(NamedTuple):
    value: Any
    failed: bool
    error: str


@node("TryCatch", category="control", title="Try")
async def try_catch(value: Unevaluated, otherwise: Lazy[Any] | None = None, *, run: Run) -> Tried:
    """``value``; or, if any node that it needs fails, ``otherwise``, which is computed only then."""
    if not isinstance(value, Link):
        return Tried(value, False, "")
    found, error = await growing(run).attempt(value)
    if error is None:
        return Tried(found, False, "")
    return Tried(await otherwise if otherwise is not None else None, True, error)
