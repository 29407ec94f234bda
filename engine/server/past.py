"""``/history``: what has run, as ComfyUI's clients read it."""

import asyncio
import json

from aiohttp import web
from pydantic import BaseModel, Field

from engine.jobs.job import FINISHED
from engine.server.access import scope
from engine.server.bodies import Body, json_text, read_body, read_query
from engine.server.site import Site, site_of


class HistoryQuery(BaseModel):
    max_items: int | None = Field(default=None, ge=0, le=2**31)
    offset: int | None = Field(default=None, ge=-1, le=2**31)


class HistoryChange(Body):
    clear: bool = False
    delete: list[str] | None = None


async def get_history(request: web.Request) -> web.Response:
    """Prompts that ran, by id, oldest first; ``max_items`` cuts off the older ones, ``offset`` counts from the oldest."""
    site = site_of(request)
    query = read_query(request, HistoryQuery)
    return json_text(await asyncio.to_thread(history_text, site, query, scope(request)))


def history_text(site: Site, query: HistoryQuery, owner: str | None) -> str:
    from engine.jobs.history import entry_text

    jobs = site.history.last(query.max_items, query.offset, owner)
    return "{" + ",".join(f"{json.dumps(job.id)}:{entry_text(job)}" for job in jobs) + "}"


async def get_history_of(request: web.Request) -> web.Response:
    """One prompt that ran; an empty object while it has not."""
    from engine.jobs.history import entry_text

    job = site_of(request).store.get(request.match_info["prompt_id"], scope(request))
    if job is None or job.state not in FINISHED or job.started is None:
        return json_text("{}")
    return json_text(f"{{{json.dumps(job.id)}:{entry_text(job)}}}")


async def post_history(request: web.Request) -> web.Response:
    """Forget prompts that ran: all, or by id."""
    site = site_of(request)
    change = await read_body(request, HistoryChange)
    if change.clear:
        await asyncio.wrap_future(site.history.delete(None, scope(request)))
    if change.delete:
        await asyncio.wrap_future(site.history.delete(change.delete, scope(request)))
    return web.Response()
