"""The statements of a job's way through the queue, built once: building one anew costs more than running it."""

from sqlalchemy import bindparam, func, insert, select, update

from engine.jobs.job import State
from engine.jobs.tables import jobs

COLUMNS = (
    jobs.c.seq, jobs.c.id, jobs.c.owner, jobs.c.state, jobs.c.rank, jobs.c.number, jobs.c.client_id, jobs.c.workflow_id,
    jobs.c.title, jobs.c.prompt, jobs.c.extra, jobs.c.targets, jobs.c.created, jobs.c.started, jobs.c.finished, jobs.c.worker,
    jobs.c.attempts, jobs.c.cancel_asked, jobs.c.outputs, jobs.c.meta, jobs.c.messages, jobs.c.error, jobs.c.outputs_count,
)  # fmt: skip
ORDER = (jobs.c.rank, jobs.c.number, jobs.c.seq)
"""Who runs first: higher priority, then lower number, then earlier."""

INSERT_JOB = insert(jobs)
GET = select(*COLUMNS).where(jobs.c.id == bindparam("job"))
GET_OWNED = GET.where(jobs.c.owner == bindparam("by"))
FIRST_OF = (
    select(*COLUMNS)
    .where(jobs.c.state == State.QUEUED.value, jobs.c.owner == bindparam("by"))
    .order_by(*ORDER)
    .limit(1)
    .with_for_update(skip_locked=True)
)
LEASE = (
    update(jobs)
    .where(jobs.c.seq == bindparam("job"))
    .values(
        state=State.RUNNING.value, started=bindparam("at"), worker=bindparam("by"), lease_until=bindparam("until"),
        attempts=bindparam("tries"),
    )
)  # fmt: skip
LEASE_FIRST = (
    update(jobs)
    .where(
        jobs.c.seq
        == select(jobs.c.seq)
        .where(jobs.c.state == State.QUEUED.value)
        .order_by(*ORDER)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    .values(
        state=State.RUNNING.value, started=func.coalesce(jobs.c.started, bindparam("at")), worker=bindparam("by"),
        lease_until=bindparam("until"), attempts=jobs.c.attempts + 1,
    )
    .returning(*COLUMNS)
)  # fmt: skip
FINISH = (
    update(jobs)
    .where(jobs.c.id == bindparam("job"), jobs.c.worker == bindparam("by"), jobs.c.state == State.RUNNING.value)
    .values(
        state=bindparam("end"), finished=bindparam("at"), outputs=bindparam("shown"), meta=bindparam("about"),
        messages=bindparam("told"), error=bindparam("wrong"), outputs_count=bindparam("many"), log=bindparam("lines"),
        lease_until=None,
    )
)  # fmt: skip
