"""Changing what waits: another place in the queue, another prompt."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from sqlalchemy import Connection, select, update

from engine.jobs.job import Job, JobError, State, dump
from engine.jobs.statements import COLUMNS, ORDER
from engine.jobs.store import JobStore, owned, read
from engine.jobs.tables import jobs


def move_job(store: JobStore, job_id: str, place: str, other: str | None = None, owner: str | None = None) -> "Future[None]":
    """Move a queued job to the ``front`` or ``back``, or ``before`` / ``after`` another queued job."""
    return store.writer.submit(lambda connection: move(connection, job_id, place, other, owner))


def edit_job(store: JobStore, job_id: str, changes: Mapping[str, Any], owner: str | None = None) -> "Future[Job]":
    """Change a queued job's ``prompt``, ``extra``, ``targets``, ``title`` or ``priority``."""
    return store.writer.submit(lambda connection: edit(connection, job_id, changes, owner), durable=True)


def waiting_row(connection: Connection, job_id: str, owner: str | None, what: str) -> Job:
    """The queued job of that id, or an error that names its state."""
    row = connection.execute(owned(select(*COLUMNS).where(jobs.c.id == job_id), owner)).first()
    if row is None:
        raise JobError(f"There is no job {job_id}.")
    job = read(row)
    if job.state is not State.QUEUED:
        raise JobError(f"Expected a queued job to {what}, but {job_id} is {job.state}.")
    return job


def move(connection: Connection, job_id: str, place: str, other: str | None, owner: str | None) -> None:
    job = waiting_row(connection, job_id, owner, "move")
    query = owned(select(jobs.c.id, jobs.c.rank, jobs.c.number).where(jobs.c.state == State.QUEUED), owner).order_by(*ORDER)
    others = [(row.id, row.rank, row.number) for row in connection.execute(query) if row.id != job.id]
    at = find_place([entry[0] for entry in others], place, other)
    if not others:
        return
    neighbour = others[at - 1] if at == len(others) else others[at]
    left = others[at - 1][2] if at > 0 and others[at - 1][1] == neighbour[1] else neighbour[2] - 2
    right = others[at][2] if at < len(others) else neighbour[2] + 2
    connection.execute(update(jobs).where(jobs.c.id == job.id).values(rank=neighbour[1], number=(left + right) / 2))


def find_place(ids: Sequence[str], place: str, other: str | None) -> int:
    """The index at which to insert."""
    if place in ("front", "back"):
        return 0 if place == "front" else len(ids)
    if place not in ("before", "after"):
        raise JobError(f"Expected the place front, back, before or after, but got {place!r}.")
    if other not in ids:
        raise JobError(f"Expected a queued job to move {place}, but {other} is not queued.")
    return ids.index(other) + (place == "after")


def edit(connection: Connection, job_id: str, changes: Mapping[str, Any], owner: str | None) -> Job:
    job = waiting_row(connection, job_id, owner, "edit")
    values = {name: dump(changes[name]) for name in ("prompt", "extra", "targets") if name in changes}
    values |= {name: changes[name] for name in ("title", "number") if name in changes}
    if "priority" in changes:
        values["rank"] = -changes["priority"]
    if values:
        connection.execute(update(jobs).where(jobs.c.id == job.id).values(**values))
    row = connection.execute(select(*COLUMNS).where(jobs.c.id == job.id)).one()
    return read(row)
