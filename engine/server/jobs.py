"""``/api/jobs``: the queue and its past as one list; changing, stopping and following a job."""

import asyncio
import re
from typing import Any

from aiohttp import web
from pydantic import BaseModel, Field

from engine.jobs.job import FINISHED, Job, JobError, State
from engine.server.access import scope
from engine.server.bodies import Answer, Body, json_answer, read_body, read_query
from engine.server.prompts import CANONICAL, clean, refuse_graph
from engine.server.queue import cancel
from engine.server.refusal import Refusal, refuse
from engine.server.site import Site, site_of

NAMES = {
    State.QUEUED: "pending",
    State.RUNNING: "in_progress",
    State.DONE: "completed",
    State.FAILED: "failed",
    State.CANCELLED: "cancelled",
}
STATES = {name: state for state, name in NAMES.items()}
MAX_PAGE = 1000
PREVIEWABLE = re.compile(r"\.(png|jpe?g|webp|gif|avif|mp4|webm|mov|mp3|wav|flac|ogg|opus)$", re.IGNORECASE)


class JobsQuery(BaseModel):
    status: str = ""
    workflow_id: str | None = None
    text: str = Field(default="", max_length=1000)
    sort_by: str = "created_at"
    sort_order: str = "desc"
    limit: int | None = Field(default=None, ge=0)
    offset: int = Field(default=0, ge=0, le=2**62)


class JobAnswer(Answer):
    id: str
    status: str
    priority: float
    create_time: int


class Pagination(Answer):
    offset: int
    limit: int | None
    total: int
    has_more: bool


class JobsAnswer(Answer):
    jobs: list[JobAnswer]
    pagination: Pagination


class Cancelled(Answer):
    cancelled: bool


class JobIds(Body):
    job_ids: list[str] = Field(max_length=10_000)


class JobChange(Body):
    """What to change of a job that waits."""

    title: str | None = Field(default=None, max_length=10_000)
    priority: int | None = Field(default=None, ge=-1_000_000, le=1_000_000)
    prompt: dict[str, Any] | None = None


class Place(Body):
    """Where to: ``front``, ``back``, or ``before`` / ``after`` the job ``other``."""

    place: str
    other: str | None = None


class QueueState(Answer):
    paused: bool


class LogLine(Answer):
    time: int
    text: str


class JobLog(Answer):
    lines: list[LogLine]


async def list_jobs(request: web.Request) -> web.Response:
    """Jobs in any state, a page at a time; ``text`` searches title, id and prompt."""
    from engine.jobs.history import SORTS, Search

    site = site_of(request)
    query = read_query(request, JobsQuery)
    wanted = [name.strip() for name in query.status.split(",") if name.strip()]
    if unknown := [name for name in wanted if name not in STATES]:
        raise refuse(400, f"Invalid status value(s): {', '.join(unknown)}. Valid values: {', '.join(STATES)}")
    if query.sort_by not in SORTS:
        raise refuse(400, f"sort_by must be {' or '.join(SORTS)}")
    if query.sort_order not in ("asc", "desc"):
        raise refuse(400, "sort_order must be asc or desc")
    search = Search(tuple(STATES[name] for name in wanted), scope(request), query.workflow_id, query.text)
    limit = min(query.limit, MAX_PAGE) if query.limit is not None else MAX_PAGE
    descending = query.sort_order == "desc"
    jobs, total = await asyncio.to_thread(site.history.page, search, query.sort_by, descending, limit, query.offset)
    more = query.offset + len(jobs) < total
    pagination = {"offset": query.offset, "limit": query.limit, "total": total, "has_more": more}
    return json_answer({"jobs": [summary(job) for job in jobs], "pagination": pagination})


def summary(job: Job) -> dict[str, Any]:
    """A job as a line of the list; what is not known yet is left out."""
    outputs = job.outputs
    found = {
        "id": job.id,
        "status": NAMES[job.state],
        "priority": job.number,
        "create_time": job.created,
        "execution_start_time": job.started,
        "execution_end_time": job.finished if job.started else None,
        "execution_error": job.error if job.state is State.FAILED else None,
        "outputs_count": job.outputs_count if job.state in FINISHED else None,
        "previewable_outputs_count": sum(1 for _ in previewable(outputs)) if job.state in FINISHED else None,
        "preview_output": next(previewable(outputs), None),
        "workflow_id": job.workflow_id,
        "title": job.title or None,
        "urgency": job.priority or None,
        "attempts": job.attempts if job.attempts > 1 else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def previewable(outputs: dict[str, Any]) -> Any:
    """The files among the outputs that a browser can show."""
    for node, output in outputs.items():
        for kind, items in output.items() if isinstance(output, dict) else ():
            for item in items if isinstance(items, list) else ():
                if isinstance(item, dict) and PREVIEWABLE.search(str(item.get("filename", ""))):
                    yield {**item, "nodeId": node, "mediaType": kind}


def job_of(request: web.Request) -> Job:
    job = site_of(request).store.get(request.match_info["id"], scope(request))
    if job is None:
        raise refuse(404, "Job not found")
    return job


async def get_job(request: web.Request) -> web.Response:
    """One job with its outputs and its workflow."""
    from engine.jobs.history import entry

    job = job_of(request)
    status = entry(job)["status"] if job.state in FINISHED else None
    full = {
        **summary(job), "outputs": job.outputs, "execution_status": status,
        "workflow": {"prompt": job.prompt, "extra_data": job.extra},
    }  # fmt: skip
    if job.state is State.QUEUED:
        full["queue_position"] = await asyncio.to_thread(site_of(request).store.position, job)
    return json_answer(full)


async def cancel_job(request: web.Request) -> web.Response:
    """Stop a job, whatever state it is in; false where there was nothing left to stop."""
    check_ids([request.match_info["id"]])
    found = await cancel(site_of(request), [request.match_info["id"]], scope(request))
    return json_answer({"cancelled": bool(found)})


async def cancel_jobs(request: web.Request) -> web.Response:
    """Stop several jobs."""
    wanted = await read_body(request, JobIds)
    check_ids(wanted.job_ids)
    return json_answer({"cancelled": bool(await cancel(site_of(request), wanted.job_ids, scope(request)))})


def check_ids(job_ids: list[str]) -> None:
    wrong = [job_id for job_id in job_ids if not CANONICAL.fullmatch(job_id)]
    if wrong:
        raise Refusal(400, {"error": "Job ids are UUIDs.", "invalid_ids": wrong})


async def delete_job(request: web.Request) -> web.Response:
    """Stop a job if it is not over, and forget it."""
    site = site_of(request)
    job = job_of(request)
    await cancel(site, [job.id], scope(request))
    gone = await asyncio.wrap_future(site.history.delete([job.id], scope(request)))
    if not gone:
        raise refuse(409, "The job is still stopping; delete it in a moment.")
    return web.Response(status=204)


async def change_job(request: web.Request) -> web.Response:
    """Change the title, priority or prompt of a job that waits."""
    from engine.jobs.reorder import edit_job
    from engine.problems import GraphError

    site = site_of(request)
    job = job_of(request)
    change = await read_body(request, JobChange)
    values: dict[str, Any] = {}
    if change.title is not None:
        values["title"] = clean(change.title)
    if change.priority is not None:
        values["priority"] = change.priority
    if change.prompt is not None:
        engine = await site.runtime.engine()
        try:
            folders = site.folders_of(job.owner)
            graph = await asyncio.to_thread(site.runtime.check, engine, change.prompt, None, folders)
        except GraphError as problem:
            raise refuse_graph(problem) from None
        values |= {"prompt": change.prompt, "targets": list(graph.targets)}
        site.runtime.forget(job.id)
    changed = await settled(edit_job(site.store, job.id, values, scope(request)))
    site.hub.queue_changed()
    return json_answer(summary(changed))


async def settled(future: Any) -> Any:
    """The result of a change; 409 where the job's state does not allow it."""
    try:
        return await asyncio.wrap_future(future)
    except JobError as problem:
        raise refuse(409, str(problem)) from None


async def move_job(request: web.Request) -> web.Response:
    """Move a job that waits to another place."""
    from engine.jobs.reorder import move_job as move

    site = site_of(request)
    job = job_of(request)
    where = await read_body(request, Place)
    await settled(move(site.store, job.id, where.place, where.other, scope(request)))
    site.hub.queue_changed()
    return json_answer(summary(job_of(request)))


async def job_log(request: web.Request) -> web.Response:
    """What happened to a job, line by line."""
    site, job = site_of(request), job_of(request)
    running = site.worker.running
    if running is not None and running.job.id == job.id:
        lines = list(running.lines)
    else:
        lines = await asyncio.to_thread(site.store.log_of, job.id)
    return json_answer({"lines": [{"time": when, "text": text} for when, text in lines]})


async def queue_state(request: web.Request) -> web.Response:
    """Whether the queue is paused."""
    return json_answer({"paused": site_of(request).store.paused})


async def pause(request: web.Request) -> web.Response:
    """Start no more jobs; the running one goes on."""
    return await set_paused(site_of(request), True)


async def resume(request: web.Request) -> web.Response:
    """Start jobs again."""
    return await set_paused(site_of(request), False)


async def set_paused(site: Site, paused: bool) -> web.Response:
    await asyncio.wrap_future(site.store.pause(paused))
    site.worker.wake()
    site.hub.queue_changed()
    return json_answer({"paused": paused})
