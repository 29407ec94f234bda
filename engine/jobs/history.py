"""What has run: paged, searched, and kept within bounds."""

import json
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, desc, func, or_, select

from engine.jobs.job import FINISHED, Job, State, now
from engine.jobs.statements import COLUMNS
from engine.jobs.store import JobStore, forget, owned, read
from engine.jobs.tables import jobs

DAY_MS = 86_400_000
SORTS = {"created_at": jobs.c.created, "execution_duration": jobs.c.finished - jobs.c.started}


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of the past is kept; the oldest goes first."""

    max_jobs: int = 10_000
    max_days: float = 0
    """0 means no limit."""


@dataclass(frozen=True, slots=True)
class Search:
    """Which jobs a page is cut from; ``text`` is sought in title, id and prompt."""

    states: Sequence[State] = ()
    owner: str | None = None
    workflow_id: str | None = None
    text: str = ""

    def conditions(self) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = []
        if self.states:
            found.append(jobs.c.state.in_(self.states))
        if self.owner is not None:
            found.append(jobs.c.owner == self.owner)
        if self.workflow_id is not None:
            found.append(jobs.c.workflow_id == self.workflow_id)
        if self.text:
            sought = "%" + self.text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
            found.append(or_(*(column.ilike(sought, escape="\\") for column in (jobs.c.title, jobs.c.id, jobs.c.prompt))))
        return found


class History:
    """The finished jobs of a store."""

    def __init__(self, store: JobStore) -> None:
        self.store = store

    def last(self, count: int | None, offset: int | None, owner: str | None = None) -> list[Job]:
        """Jobs that ran, oldest first: the last ``count``, or ``count`` from ``offset`` (which counts from the oldest)."""
        ran = and_(jobs.c.finished.is_not(None), jobs.c.started.is_not(None))
        query = owned(select(*COLUMNS).where(ran), owner)
        with self.store.reading() as connection:
            if offset is None or offset < 0:
                query = query.order_by(desc(jobs.c.finished), desc(jobs.c.seq))
                rows = connection.execute(query.limit(count) if count is not None else query).all()[::-1]
            else:
                query = query.order_by(jobs.c.finished, jobs.c.seq).offset(offset)
                rows = list(connection.execute(query.limit(count) if count is not None else query).all())
        return [read(row) for row in rows]

    def page(self, search: Search, sort: str, descending: bool, limit: int | None, offset: int) -> tuple[list[Job], int]:
        """A page of jobs in any state, and how many there are in all."""
        conditions = search.conditions()
        order = SORTS[sort]
        query = select(*COLUMNS).where(*conditions).order_by(desc(order) if descending else order, jobs.c.seq).offset(offset)
        with self.store.reading() as connection:
            total = connection.execute(select(func.count()).select_from(jobs).where(*conditions)).scalar_one()
            rows = connection.execute(query.limit(limit if limit is not None else 10_000)).all()
        return [read(row) for row in rows], total

    def count_by_state(self) -> dict[str, int]:
        """How many jobs there are in each state."""
        with self.store.reading() as connection:
            rows = connection.execute(select(jobs.c.state, func.count()).group_by(jobs.c.state)).all()
        return {row[0]: row[1] for row in rows}

    def delete(self, job_ids: Sequence[str] | None, owner: str | None = None) -> "Future[list[str]]":
        """Remove finished jobs for good (``None``: all of them); the ids that were removed."""

        def work(connection: Connection) -> list[str]:
            query = owned(select(jobs.c.id).where(jobs.c.state.in_(FINISHED)), owner)
            if job_ids is not None:
                query = query.where(jobs.c.id.in_(job_ids))
            return forget_all(connection, list(connection.execute(query).scalars()))

        return self.store.writer.submit(work)

    def trim(self, bounds: Bounds) -> "Future[list[str]]":
        """Remove what lies beyond the bounds, a thousand at a time; the ids that were removed."""

        def work(connection: Connection) -> list[str]:
            ended = select(jobs.c.id).where(jobs.c.finished.is_not(None)).order_by(jobs.c.finished, jobs.c.seq)
            count = connection.execute(select(func.count()).where(jobs.c.finished.is_not(None))).scalar_one()
            gone: list[str] = []
            if count > bounds.max_jobs:
                gone += connection.execute(ended.limit(min(count - bounds.max_jobs, 1000))).scalars()
            if bounds.max_days:
                too_old = jobs.c.finished < now() - int(bounds.max_days * DAY_MS)
                gone += connection.execute(ended.where(too_old).limit(1000)).scalars()
            return forget_all(connection, gone)

        return self.store.writer.submit(work)


def forget_all(connection: Connection, job_ids: list[str]) -> list[str]:
    for start in range(0, len(job_ids), 500):
        forget(connection, job_ids[start : start + 500])
    return job_ids


def entry_text(job: Job) -> str:
    """A job as ComfyUI's ``/history`` shows it, as JSON text made of the stored texts."""
    number = json.dumps(int(job.number) if job.number == int(job.number) else job.number)
    prompt = f"[{number},{json.dumps(job.id)},{job.prompt_text},{job.extra_text},{job.targets_text}]"
    success = job.state is State.DONE
    messages = job.messages_text or "[]"
    status = f'{{"status_str":"{"success" if success else "error"}","completed":{json.dumps(success)},"messages":{messages}}}'
    return f'{{"prompt":{prompt},"outputs":{job.outputs_text or "{}"},"status":{status},"meta":{job.meta_text or "{}"}}}'


def entry(job: Job) -> dict[str, Any]:
    """The same as ``entry_text``, read."""
    found: dict[str, Any] = json.loads(entry_text(job))
    return found
