"""Those who follow one job over server-sent events: each has a bounded queue of the job's events."""

import asyncio
from collections import deque

from engine import events

BACKLOG = 1000


class Listener:
    """One reader's queue; progress that it is too slow for is dropped, oldest first."""

    def __init__(self) -> None:
        self.waiting: deque[events.Event | None] = deque(maxlen=BACKLOG)
        self.filled = asyncio.Event()

    def put(self, event: events.Event | None) -> None:
        self.waiting.append(event)
        self.filled.set()


class Listeners:
    """Readers by job. ``tell`` may be called from any thread."""

    def __init__(self) -> None:
        self._by_job: dict[str, list[Listener]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()

    def join(self, job_id: str) -> Listener:
        listener = Listener()
        self._by_job.setdefault(job_id, []).append(listener)
        return listener

    def leave(self, job_id: str, listener: Listener) -> None:
        left = [other for other in self._by_job.get(job_id, []) if other is not listener]
        if left:
            self._by_job[job_id] = left
        else:
            self._by_job.pop(job_id, None)

    def tell(self, job_id: str, event: events.Event | None) -> None:
        """Hand on an event; ``None`` says that the job has ended."""
        if job_id in self._by_job and self._loop is not None:
            self._loop.call_soon_threadsafe(self._put, job_id, event)

    def _put(self, job_id: str, event: events.Event | None) -> None:
        for listener in self._by_job.get(job_id, []):
            listener.put(event)
