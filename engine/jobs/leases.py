"""Leases: a worker holds a job for a while and says again and again that it still does; a dead worker's job is queued anew."""

import os
import socket
import uuid
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select, update

from engine.jobs.job import Document, Job, JobError, State, dump, now
from engine.jobs.statements import FINISH, FIRST_OF, LEASE, LEASE_FIRST
from engine.jobs.store import JobStore, read
from engine.jobs.tables import jobs

LEASE_MS = 30_000
"""How long a worker may stay silent before its job is given to another."""
DEFER = 3
"""A job whose worker died this many times goes to the back of the queue: it may be the cause, and others wait."""
ATTEMPTS = 10
"""After this many times it is not tried any more."""


def name_worker() -> str:
    """A name that says which process of which machine holds a lease: ``host/pid/start/nonce``."""
    pid = os.getpid()
    return f"{socket.gethostname()}/{pid}/{process_start(pid) or 0}/{uuid.uuid4().hex[:8]}"


def process_start(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None if it is not running; 0 where the system does not tell."""
    proc = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = proc.read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in ("Z", "X") else int(fields[19])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        return 0
    return 0


def is_dead(worker: str) -> bool:
    """True only where it is certain that the worker's process has ended: on this machine, no such process."""
    host, pid, start, _ = worker.split("/")
    if host != socket.gethostname():
        return False
    found = process_start(int(pid))
    return found is None or found != int(start)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a job ended: what its nodes put out, or why it failed."""

    state: State
    outputs: Document
    meta: Document
    messages: list[Any]
    error: Document | None = None
    outputs_count: int = 0


Lines = Sequence[tuple[int, str]]


class Leases:
    """What a worker does to the job store; each call is one committed change."""

    def __init__(self, store: JobStore, worker: str | None = None, lease_ms: int = LEASE_MS) -> None:
        self.store = store
        self.worker = worker or name_worker()
        self.lease_ms = lease_ms
        self._served: dict[str, int] = {}

    def take(self) -> "Future[Job | None]":
        """Lease the next job; None while none waits or the queue is paused."""
        return self.store.writer.submit(self._take)

    def _take(self, connection: Connection) -> Job | None:
        if self.store.paused:
            return None
        until = now() + self.lease_ms
        if len(self.store.owners) < 2:
            row = connection.execute(LEASE_FIRST, {"at": now(), "by": self.worker, "until": until}).first()
            return read(row) if row else None
        job = self._next(connection)
        if job is None:
            return None
        self._served[job.owner] = now()
        tries = job.attempts + 1
        lease = {"job": job.seq, "at": job.started or now(), "by": self.worker, "until": until, "tries": tries}
        connection.execute(LEASE, lease)
        return replace(job, state=State.RUNNING, started=job.started or now(), worker=self.worker, attempts=tries)

    def _next(self, connection: Connection) -> Job | None:
        """Among the first jobs of several users the most urgent one; among equals, that of the user served longest ago."""
        rows = [connection.execute(FIRST_OF, {"by": owner}).first() for owner in sorted(self.store.owners)]
        found = [read(row) for row in rows if row is not None]
        self.store.owners = {job.owner for job in found}
        return min(found, key=lambda job: (job.rank, self._served.get(job.owner, 0), job.number, job.seq), default=None)

    def beat(self, job_id: str) -> "Future[bool]":
        """Renew the lease; False if the job is no longer ours, or someone asked to cancel it."""
        return self.store.writer.submit(lambda connection: self._beat(connection, job_id))

    def _beat(self, connection: Connection, job_id: str) -> bool:
        mine = (jobs.c.id == job_id, jobs.c.worker == self.worker, jobs.c.state == State.RUNNING)
        done = connection.execute(update(jobs).where(*mine).values(lease_until=now() + self.lease_ms))
        asked = connection.execute(select(jobs.c.cancel_asked).where(jobs.c.id == job_id)).scalar()
        return done.rowcount == 1 and not asked

    def finish(self, job_id: str, ending: Ending, lines: Lines = ()) -> "Future[None]":
        """Write how a job of ours ended, and its log; an error if it is not running or not ours."""
        end = self._row(job_id, ending, lines)
        return self.store.writer.submit(lambda connection: self._finish(connection, job_id, end))

    def finish_and_take(self, job_id: str, ending: Ending, lines: Lines = ()) -> "Future[Job | None]":
        """Both in one change: the busy worker's way."""
        end = self._row(job_id, ending, lines)

        def work(connection: Connection) -> Job | None:
            self._finish(connection, job_id, end)
            return self._take(connection)

        return self.store.writer.submit(work)

    def _row(self, job_id: str, ending: Ending, lines: Lines) -> Document:
        return {
            "job": job_id, "by": self.worker, "end": ending.state.value, "at": now(), "shown": dump(ending.outputs),
            "about": dump(ending.meta), "told": dump(ending.messages), "wrong": dump(ending.error) if ending.error else None,
            "many": ending.outputs_count, "lines": dump(list(lines)),
        }  # fmt: skip

    def _finish(self, connection: Connection, job_id: str, end: Document) -> None:
        if connection.execute(FINISH, end).rowcount != 1:
            state = connection.execute(select(jobs.c.state).where(jobs.c.id == job_id)).scalar()
            raise JobError(f"Expected job {job_id} to be running here, but it is {state or 'gone'}; its result is dropped.")
        self.store.writer.after_commit(lambda: self.store.count(-1))

    def put_back(self, job_id: str) -> "Future[None]":
        """Queue a job of ours again, in its old place: the server is going down in good order."""
        mine = (jobs.c.id == job_id, jobs.c.worker == self.worker, jobs.c.state == State.RUNNING)
        again = {"state": State.QUEUED, "worker": None, "lease_until": None, "attempts": jobs.c.attempts - 1}
        return self.store.writer.submit(lambda connection: _only(connection.execute(update(jobs).where(*mine).values(**again))))

    def requeue_orphans(self) -> "Future[list[str]]":
        """Queue the jobs of dead or silent workers again; the ids. One that killed too many workers fails."""
        return self.store.writer.submit(self._requeue_orphans)

    def _requeue_orphans(self, connection: Connection) -> list[str]:
        query = select(jobs.c.id, jobs.c.worker, jobs.c.lease_until, jobs.c.attempts, jobs.c.cancel_asked)
        back = []
        for row in connection.execute(query.where(jobs.c.state == State.RUNNING, jobs.c.worker != self.worker)).all():
            if (row.lease_until or 0) >= now() and not is_dead(row.worker):
                continue
            this = update(jobs).where(jobs.c.id == row.id)
            if row.cancel_asked:
                connection.execute(this.values(state=State.CANCELLED, finished=now(), lease_until=None))
                self.store.writer.after_commit(lambda: self.store.count(-1))
            elif row.attempts >= ATTEMPTS:
                error = {"exception_type": "WorkerDied", "exception_message": worker_died(row.attempts)}
                connection.execute(this.values(state=State.FAILED, finished=now(), lease_until=None, error=dump(error)))
                self.store.writer.after_commit(lambda: self.store.count(-1))
            else:
                later = {"number": self.store.next_number()} if row.attempts >= DEFER else {}
                connection.execute(this.values(state=State.QUEUED, worker=None, lease_until=None, **later))
                back.append(row.id)
        return back


def worker_died(attempts: int) -> str:
    return f"The process that ran this job died {attempts} times; it is not tried again. See the server's log for the cause."


def _only(_result: object) -> None:
    return None
