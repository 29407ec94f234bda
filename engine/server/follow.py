"""``/api/jobs/{id}/events``: what happens to a job, as server-sent events for those without a websocket."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from engine import events
from engine.jobs.job import FINISHED, Job, dump
from engine.server.access import scope
from engine.server.jobs import job_of, summary
from engine.server.site import Site, site_of

QUIET_SECONDS = 15.0
"""A comment is sent after this long without an event, so that nobody on the way closes the connection."""


async def follow(request: web.Request) -> web.StreamResponse:
    """Every event of a job until it ends; at once the end, where it has ended."""
    site = site_of(request)
    job = job_of(request)
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    await response.prepare(request)
    try:
        async for name, data in told(site, job, scope(request)):
            await response.write(f"event: {name}\ndata: {dump(data)}\n\n".encode() if name else b": still here\n\n")
    except ConnectionError:
        return response
    await response.write_eof()
    return response


async def told(site: Site, job: Job, owner: str | None) -> AsyncIterator[tuple[str, Any]]:
    """(name, data) of each event; an empty name stands for silence. The last is ``end``, with the job as it then is."""
    listener = site.listeners.join(job.id)
    try:
        found = site.store.get(job.id, owner)
        yield "job", summary(found or job)
        running = site.worker.running
        if running is not None and running.job.id == job.id:
            yield "progress_state", json.loads(str(running.story.progress_state()[1]))
        while found is not None and found.state not in FINISHED:
            ended = False
            try:
                await asyncio.wait_for(listener.filled.wait(), QUIET_SECONDS)
            except TimeoutError:
                ended = True
                yield "", None
            listener.filled.clear()
            while listener.waiting:
                event = listener.waiting.popleft()
                ended = ended or event is None
                if event is not None:
                    yield event.kind, plain(event)
            found = site.store.get(job.id, owner) if ended else found
        last = found or job
        yield "end", {**summary(last), "outputs": last.outputs}
    finally:
        site.listeners.leave(job.id, listener)


def plain(event: events.Event) -> dict[str, Any]:
    """An event as JSON; a preview's picture in base 64."""
    if isinstance(event, events.Preview):
        return {**event.model_dump(exclude={"data"}), "data": base64.b64encode(event.data).decode()}
    found: dict[str, Any] = json.loads(event.model_dump_json())
    return found
