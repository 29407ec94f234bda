"""The queue and its past in a database: a submitted prompt is a row, committed before anyone is told its id."""

import json
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from sqlalchemy import Connection, Engine, Select, and_, delete, func, or_, select, update

from engine.jobs.database import keep, syncer
from engine.jobs.job import OPEN, Job, JobError, State, Submission, dump, now
from engine.jobs.statements import COLUMNS, GET, GET_OWNED, INSERT_JOB, ORDER
from engine.jobs.tables import jobs, marks
from engine.jobs.writer import Writer


def read(row: Sequence[Any]) -> Job:
    """A row selected with ``COLUMNS`` as a Job."""
    return Job(row[0], row[1], row[2], State(row[3]), *row[4:])


class JobStore:
    """The queue and its past, in a database; safe to call from any thread.

    Writing methods return a future that is done when the change is committed.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.writer = Writer(engine, syncer(engine))
        with self.reading() as connection:
            highest = connection.execute(select(func.max(func.abs(jobs.c.number)))).scalar()
        self._counter = int(highest or 0)
        self._remaining = 0
        self._paused = False
        self.owners: set[str] = set()
        self.recount()

    def close(self) -> None:
        self.writer.close()
        self.engine.dispose()

    def reading(self) -> Connection:
        """A connection that takes no write lock."""
        return self.engine.connect().execution_options(reading=True)

    @property
    def remaining(self) -> int:
        """How many jobs are queued or running."""
        return self._remaining

    def recount(self) -> int:
        """Count the open jobs anew, and see whose they are (another process may share the database)."""
        with self.reading() as connection:
            self._remaining = connection.execute(select(func.count()).where(jobs.c.state.in_(OPEN))).scalar_one()
            owners = connection.execute(select(jobs.c.owner).where(jobs.c.state == State.QUEUED).distinct()).scalars()
            self.owners |= set(owners)
            self._paused = bool(connection.execute(select(marks.c.value).where(marks.c.name == "paused")).scalar())
        return self._remaining

    def next_number(self) -> float:
        """The number that puts a job behind all others. Called by the writer thread."""
        self._counter += 1
        return float(self._counter)

    def count(self, change: int, owner: str | None = None) -> None:
        """Called by the writer thread once open jobs have begun or ended."""
        self._remaining += change
        if owner is not None:
            self.owners.add(owner)

    # submitting -------------------------------------------------------------------------------------------------------

    def submit(self, wanted: Submission) -> "Future[Job]":
        """Queue a prompt; the future's Job is on the disk. The same idempotency key or id gives the same job again."""
        return self.writer.submit(lambda connection: self._insert(connection, wanted), durable=True)

    def _insert(self, connection: Connection, wanted: Submission) -> Job:
        same = find_same(connection, wanted) if wanted.chosen_id or wanted.idempotency_key else None
        if same is not None:
            return same
        following = self.next_number()
        number = wanted.number if wanted.number is not None else -following if wanted.front else following
        row = {
            "id": wanted.id, "owner": wanted.owner, "state": State.QUEUED, "rank": -wanted.priority, "number": number,
            "client_id": wanted.client_id, "workflow_id": wanted.workflow_id, "title": wanted.title,
            "prompt": dump(wanted.prompt), "extra": dump(wanted.extra), "targets": dump(list(wanted.targets)),
            "created": now(), "attempts": 0, "cancel_asked": False, "outputs_count": 0,
        }  # fmt: skip
        result = connection.execute(INSERT_JOB, {"idempotency_key": wanted.idempotency_key, **row})
        self.writer.after_commit(lambda: self.count(1, wanted.owner))
        key = result.inserted_primary_key
        return Job(
            seq=key[0] if key else 0, id=wanted.id, owner=wanted.owner, state=State.QUEUED, rank=-wanted.priority,
            number=number, client_id=wanted.client_id, workflow_id=wanted.workflow_id, title=wanted.title,
            prompt_text=str(row["prompt"]), extra_text=str(row["extra"]), targets_text=str(row["targets"]),
            created=now(), started=None, finished=None, worker=None, attempts=0, cancel_asked=False,
            outputs_text=None, meta_text=None, messages_text=None, error_text=None, outputs_count=0,
        )  # fmt: skip

    # reading ----------------------------------------------------------------------------------------------------------

    def get(self, job_id: str, owner: str | None = None) -> Job | None:
        """One job; None if there is none of that id (or it is someone else's)."""
        with self.reading() as connection:
            given = {"job": job_id} if owner is None else {"job": job_id, "by": owner}
            row = connection.execute(GET if owner is None else GET_OWNED, given).first()
        return read(row) if row else None

    def queue(self, owner: str | None = None, limit: int = 10_000) -> tuple[list[Job], list[Job]]:
        """The running and the queued jobs, in the order in which they run."""
        with self.reading() as connection:
            query = owned(select(*COLUMNS).where(jobs.c.state.in_(OPEN)), owner).order_by(*ORDER).limit(limit)
            found = [read(row) for row in connection.execute(query)]
        running = [job for job in found if job.state is State.RUNNING]
        return running, [job for job in found if job.state is State.QUEUED]

    def position(self, job: Job) -> int:
        """How many queued jobs run before this one."""
        ahead = or_(
            jobs.c.rank < job.rank,
            and_(jobs.c.rank == job.rank, jobs.c.number < job.number),
            and_(jobs.c.rank == job.rank, jobs.c.number == job.number, jobs.c.seq < job.seq),
        )
        with self.reading() as connection:
            return connection.execute(select(func.count()).where(jobs.c.state == State.QUEUED, ahead)).scalar_one()

    # changing what waits ----------------------------------------------------------------------------------------------

    def cancel(
        self, job_ids: Sequence[str] | None, owner: str | None = None, *, waiting_only: bool = False
    ) -> "Future[list[str]]":
        """Cancel jobs that wait (``None``: all of them) and ask running ones to stop; the ids that it concerned."""
        states = (State.QUEUED,) if waiting_only or job_ids is None else OPEN
        return self.writer.submit(lambda connection: self._cancel(connection, job_ids, states, owner), durable=True)

    def _cancel(
        self, connection: Connection, job_ids: Sequence[str] | None, states: Sequence[State], owner: str | None
    ) -> list[str]:
        chosen = jobs.c.state.in_(states) if job_ids is None else and_(jobs.c.state.in_(states), jobs.c.id.in_(job_ids))
        found = connection.execute(owned(select(jobs.c.id, jobs.c.state).where(chosen), owner)).all()
        waiting = [row.id for row in found if row.state == State.QUEUED]
        running = [row.id for row in found if row.state == State.RUNNING]
        if waiting:
            ended = {"state": State.CANCELLED, "finished": now()}
            connection.execute(update(jobs).where(jobs.c.id.in_(waiting)).values(**ended))
            self.writer.after_commit(lambda: self.count(-len(waiting)))
        if running:
            connection.execute(update(jobs).where(jobs.c.id.in_(running)).values(cancel_asked=True))
        return waiting + running

    def pause(self, paused: bool) -> "Future[None]":
        """Stop (or go on) starting jobs; the running one goes on."""

        def work(connection: Connection) -> None:
            keep(connection, "paused", "1" if paused else "")
            self._paused = paused

        return self.writer.submit(work, durable=True)

    @property
    def paused(self) -> bool:
        """Whether no job is started. Another process' word arrives with the next ``recount``."""
        return self._paused

    def log_of(self, job_id: str) -> list[tuple[int, str]]:
        """What happened to a job that has ended: (time, text) lines."""
        with self.reading() as connection:
            text = connection.execute(select(jobs.c.log).where(jobs.c.id == job_id)).scalar()
        return [(when, line) for when, line in json.loads(text or "[]")]


def owned(query: "Select[Any]", owner: str | None) -> "Select[Any]":
    return query if owner is None else query.where(jobs.c.owner == owner)


def find_same(connection: Connection, wanted: Submission) -> Job | None:
    """The job that an earlier, equal submission made: by idempotency key, or by an id that the client chose."""
    if wanted.idempotency_key is not None:
        keyed = and_(jobs.c.owner == wanted.owner, jobs.c.idempotency_key == wanted.idempotency_key)
        row = connection.execute(select(*COLUMNS).where(keyed)).first()
        if row is not None:
            return read(row)
    row = connection.execute(select(*COLUMNS).where(jobs.c.id == wanted.id)).first()
    if row is None:
        return None
    job = read(row)
    if job.owner != wanted.owner or job.prompt_text != dump(wanted.prompt):
        raise JobError(f"The id {wanted.id} belongs to another job. Send a new one, or none.")
    return job


def forget(connection: Connection, job_ids: Sequence[str]) -> None:
    """Remove finished jobs for good."""
    connection.execute(delete(jobs).where(jobs.c.id.in_(job_ids)))
