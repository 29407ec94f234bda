"""The worker: leases one job after another, has it executed, and writes how it ended before anyone is told."""

import asyncio
import contextlib
import logging
import threading
import traceback
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from engine import events
from engine.jobs.job import Job, JobError, State, now
from engine.jobs.leases import Ending, Leases
from engine.jobs.store import JobStore
from engine.jobs.story import Message, Story
from engine.run import Cancel, CancelledError

log = logging.getLogger(__name__)
IDLE_SECONDS = 1.0
REAP_SECONDS = 10.0
LOG_LINES = 1000
TERMINAL = (events.Finished, events.Failed, events.Cancelled)


@dataclass
class Running:
    """The job in hand. ``parked`` says that it stops because the server does, so that it is queued again."""

    job: Job
    story: Story
    cancel: Cancel = field(default_factory=Cancel)
    parked: bool = False
    lost: bool = False
    last: events.Event | None = None
    lines: list[tuple[int, str]] = field(default_factory=list)

    def note(self, text: str) -> None:
        if len(self.lines) < LOG_LINES:
            self.lines.append((now(), text))


Execute = Callable[[Running, Callable[[events.Event], None]], Awaitable[None]]
"""Runs a job's prompt and emits what happens; raises what the executor raises."""
Tell = Callable[[Running, "events.Event | None", list[Message]], None]
"""What happened, and the messages it makes; ``None`` for the event after the last one of a job."""

Prepare = Callable[[], Awaitable[None]]


class Worker:
    """Runs jobs on a thread and an event loop of its own, one at a time."""

    def __init__(self, store: JobStore, execute: Execute, tell: Tell, prepare: Prepare | None = None) -> None:
        self.store = store
        self.leases = Leases(store)
        self.running: Running | None = None
        self._execute, self._tell, self._prepare = execute, tell, prepare
        self._stopping = False
        self._idle = self._news = False
        self._loop = asyncio.new_event_loop()
        self._wake = asyncio.Event()
        self._between: list[Callable[[], None]] = []
        self._asked: deque[str] = deque(maxlen=64)
        self._thread = threading.Thread(target=self._main, name="worker", daemon=True)
        self._heart = threading.Thread(target=self._beat, name="heart", daemon=True)
        self._heart_stops = threading.Event()

    # from any thread --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()
        self._heart.start()

    def wake(self) -> None:
        """A job was queued, or the queue goes on."""
        self._news = True
        if self._idle:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._wake.set)

    def between(self, act: Callable[[], None]) -> None:
        """Call ``act`` on the worker's thread as soon as no job runs."""
        self._between.append(act)
        self.wake()

    def interrupt(self, job_id: str | None = None, owner: str | None = None) -> bool:
        """Stop the job in hand (if it is that one, or that owner's); False if it is not."""
        running = self.running
        if running is None or (job_id is not None and running.job.id != job_id):
            if job_id is not None:
                self._asked.append(job_id)
            return False
        if owner is not None and running.job.owner != owner:
            return False
        running.cancel()
        return True

    def stop(self, seconds: float = 10.0) -> None:
        """Park the job in hand (it is queued again, in its old place) and end the thread."""
        self._stopping = True
        if self.running is not None:
            self.running.parked = True
            self.running.cancel()
        self.wake()
        self._heart_stops.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    # on the worker's thread -------------------------------------------------------------------------------------------

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._work())
        except Exception:
            log.exception("The worker stopped; queued jobs stay queued.")
        finally:
            self._loop.close()

    async def _work(self) -> None:
        if self._prepare is not None:
            await self._prepare()
        reaper = asyncio.ensure_future(self._reap())
        job: Job | None = None
        while not self._stopping:
            while self._between:
                self._between.pop(0)()
            self._news = False
            job = job or await asyncio.wrap_future(self.leases.take())
            if job is None:
                await self._rest()
                continue
            job = await self._do(job)
        reaper.cancel()
        if job is not None:
            await asyncio.wrap_future(self.leases.put_back(job.id))

    async def _rest(self) -> None:
        """Wait for news, or a while. Whoever brings some after ``_idle`` is set wakes us; who did before is seen here."""
        self._wake.clear()
        self._idle = True
        if not self._news and not self._stopping:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), IDLE_SECONDS)
        self._idle = False

    async def _reap(self) -> None:
        """Take up again what dead workers left."""
        while True:
            for job_id in await asyncio.wrap_future(self.leases.requeue_orphans()):
                log.warning("Job %s is queued again: the process that ran it has ended.", job_id)
            self.wake()
            await asyncio.sleep(REAP_SECONDS)
            await asyncio.to_thread(self.store.recount)

    async def _do(self, job: Job) -> Job | None:
        """Run a job, write its end, tell its end; the next job, leased in the same commit."""
        running = self.running = Running(job, Story(job.id, job.workflow_id))
        running.note(f"started, attempt {job.attempts}")
        if job.cancel_asked or job.id in self._asked:
            running.cancel()
        try:
            await self._execute(running, lambda event: self._hear(running, event))
        except (CancelledError, asyncio.CancelledError):
            running.last = running.last or events.Cancelled(job=job.id)
        except Exception as problem:
            running.last = running.last or failure(job.id, problem)
        finally:
            self.running = None
        if running.lost:
            log.warning("Job %s is no longer this worker's; what it did here is dropped.", job.id)
            return None
        if running.parked and not isinstance(running.last, events.Finished):
            await asyncio.wrap_future(self.leases.put_back(job.id))
            return None
        return await self._finish(running, running.last or events.Finished(job=job.id))

    async def _finish(self, running: Running, last: events.Event) -> Job | None:
        story = running.story
        messages = story.tell(last)
        state = {events.Finished: State.DONE, events.Cancelled: State.CANCELLED}.get(type(last), State.FAILED)
        running.note(describe(last))
        ending = Ending(state, story.outputs, story.meta, story.kept, story.error, story.outputs_count())
        following: Job | None = None
        try:
            following = await asyncio.wrap_future(self.leases.finish_and_take(running.job.id, ending, running.lines))
        except Exception as problem:
            log.exception("Job %s: its end could not be written.", running.job.id)
            await self._fail(running, problem)
        self._tell(running, last, messages)
        self._tell(running, None, [("executing", {"node": None, "prompt_id": running.job.id})])
        return following

    async def _fail(self, running: Running, problem: Exception) -> None:
        """Write at least that the job failed, and why; try until the database takes it (its disk may be full)."""
        error = {"exception_type": type(problem).__name__, "exception_message": f"The result could not be kept: {problem}"}
        while not self._stopping:
            try:
                ending = Ending(State.FAILED, {}, {}, [], error)
                return await asyncio.wrap_future(self.leases.finish(running.job.id, ending))
            except JobError:
                return None
            except Exception:
                await asyncio.sleep(IDLE_SECONDS)
        return None

    def _hear(self, running: Running, event: events.Event) -> None:
        """An event of the job in hand. Its last one is held back until it is written."""
        if isinstance(event, TERMINAL):
            running.last = event
            return
        if isinstance(event, events.StepFinished) and event.seconds >= 0.05:
            running.note(f"node {event.node}: {event.seconds:.2f} s")
        elif isinstance(event, events.StepBlocked):
            running.note(f"node {event.node} stopped its branch: {event.message}")
        self._tell(running, event, running.story.tell(event))

    # on the heart's thread --------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        """Renew the lease of the job in hand, whatever its nodes do to the worker's loop."""
        while not self._heart_stops.wait(self.leases.lease_ms / 3000):
            if (running := self.running) is not None:
                try:
                    self._keep_alive(running)
                except Exception:
                    log.exception("Job %s: its lease could not be renewed; it is tried again.", running.job.id)

    def _keep_alive(self, running: Running) -> None:
        """Renew a lease; stop the job where someone asked for that in another process, or gave it away."""
        if self.leases.beat(running.job.id).result() or self.running is not running:
            return
        job = self.store.get(running.job.id)
        running.lost = job is None or job.worker != self.leases.worker or job.state is not State.RUNNING
        running.cancel()


def failure(job_id: str, problem: BaseException) -> events.Failed:
    """An error that the executor did not tell of itself."""
    lines = traceback.format_exception(problem)
    kind = type(problem)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return events.Failed(job=job_id, message=str(problem) or name, exception_type=name, traceback=tuple(lines))


def describe(event: events.Event) -> str:
    """An ending as a line of the job's log."""
    if isinstance(event, events.Failed):
        where = f" at node {event.node} ({event.type})" if event.node else ""
        return f"failed{where}: {event.exception_type}: {event.message}\n{''.join(event.traceback)}".rstrip()
    return "cancelled" if isinstance(event, events.Cancelled) else "done"
