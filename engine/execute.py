"""Run a graph: pull its targets through the cache onto the lanes. Everything that happens is an event."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Mapping

from engine import events
from engine.cache import Cache
from engine.execution import Execution, Results
from engine.failure import NodeError
from engine.graph import Graph
from engine.keys import keys
from engine.lanes import Lanes, Relief
from engine.prints import print_of
from engine.run import CancelledError, Job
from engine.spec import NodeSpec

__all__ = ["Lanes", "NodeError", "Relief", "Results", "execute"]


async def execute(
    graph: Graph, job: Job, *, specs: Mapping[str, NodeSpec], cache: Cache, lanes: Lanes, relief: Relief | None = None
) -> Results:
    """Run until every target has its result; then exactly one of Finished, Failed and Cancelled is emitted.

    Raises NodeError or CancelledError with the last two. ``job.emit`` is called from the lanes' threads and from this one.
    """
    began = time.monotonic()
    job.emit(events.Started(job=job.id, nodes=tuple(graph.steps)))
    execution: Execution | None = None
    try:
        asked = [step for step in graph.steps.values() if step.spec.prints]
        prints = await asyncio.to_thread(lambda: {step.id: print_of(step, job) for step in asked}) if asked else {}
        execution = Execution(graph, job, keys(graph.steps.values(), prints), specs, cache, lanes, relief)
        results = await execution.run()
    except (CancelledError, asyncio.CancelledError):
        at = execution.failed_at if execution else None
        ran = tuple(execution.ran) if execution else ()
        job.emit(events.Cancelled(job=job.id, node=at and at.id, type=at.spec.type if at else "", finished=ran))
        raise
    except NodeError as error:
        job.emit(events.Failed(
            job=job.id, message=str(error), node=error.node, display=error.display, type=error.type, title=error.title,
            exception_type=error.exception_type, traceback=error.lines, inputs=error.inputs, finished=error.finished,
        ))  # fmt: skip
        raise
    except Exception as error:
        lines = tuple(traceback.format_exception(error))
        job.emit(events.Failed(job=job.id, message=str(error), exception_type=type(error).__name__, traceback=lines))
        raise
    job.emit(events.Finished(job=job.id, seconds=time.monotonic() - began))
    return results
