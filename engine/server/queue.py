"""``/queue``, ``/interrupt``, ``/free``: what waits, and stopping it."""

import asyncio
import json

from aiohttp import web

from engine.jobs.job import Job
from engine.server.access import Role, scope, user_of
from engine.server.bodies import Answer, Body, json_text, read_body
from engine.server.refusal import refuse
from engine.server.site import Site, site_of

SHOWN = 10_000


class Queue(Answer):
    queue_running: list[list[object]]
    queue_pending: list[list[object]]


class QueueChange(Body):
    clear: bool = False
    delete: list[str] | None = None


class Interrupt(Body):
    prompt_id: str | None = None


class Free(Body):
    unload_models: bool = False
    free_memory: bool = False


async def get_queue(request: web.Request) -> web.Response:
    """The running and the waiting prompts, in the order in which they run."""
    site = site_of(request)
    running, queued = await asyncio.to_thread(site.store.queue, scope(request), SHOWN)
    lists = [",".join(item_text(job) for job in jobs) for jobs in (running, queued)]
    return json_text(f'{{"queue_running":[{lists[0]}],"queue_pending":[{lists[1]}]}}')


def item_text(job: Job) -> str:
    """A queue item as ComfyUI shows it, made of the stored JSON texts."""
    number = json.dumps(int(job.number) if job.number == int(job.number) else job.number)
    return f"[{number},{json.dumps(job.id)},{job.prompt_text},{job.extra_text},{job.targets_text}]"


async def post_queue(request: web.Request) -> web.Response:
    """Cancel waiting prompts: all, or by id."""
    site = site_of(request)
    change = await read_body(request, QueueChange)
    if change.clear:
        await cancel(site, None, scope(request))
    if change.delete:
        await cancel(site, change.delete, scope(request), waiting_only=True)
    return web.Response()


async def cancel(site: Site, job_ids: list[str] | None, owner: str | None, *, waiting_only: bool = False) -> list[str]:
    """Cancel jobs in whatever state they are; the ids that this stopped."""
    found = await asyncio.wrap_future(site.store.cancel(job_ids, owner, waiting_only=waiting_only))
    for job_id in found:
        site.runtime.forget(job_id)
        site.worker.interrupt(job_id)
        site.listeners.tell(job_id, None)
    if found:
        site.hub.queue_changed()
        site.worker.wake()
    return found


async def post_interrupt(request: web.Request) -> web.Response:
    """Stop the running prompt, or the one named, even while it waits."""
    site = site_of(request)
    wanted = await read_body(request, Interrupt, empty={})
    if wanted.prompt_id is not None:
        await cancel(site, [wanted.prompt_id], scope(request))
        return web.Response()
    running = site.worker.running
    if running is not None and scope(request) in (None, running.job.owner):
        await cancel(site, [running.job.id], scope(request))
    return web.Response()


async def post_free(request: web.Request) -> web.Response:
    """Give back memory as soon as no prompt runs."""
    site = site_of(request)
    wanted = await read_body(request, Free, empty={})
    if user_of(request).role < Role.ADMIN:
        raise refuse(403, "Only an administrator may unload models.")
    engine = await site.runtime.engine()
    if wanted.unload_models or wanted.free_memory:
        site.worker.between(lambda: engine.free(wanted.unload_models or wanted.free_memory, wanted.free_memory))
    return web.Response()
