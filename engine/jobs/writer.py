"""One thread that owns the writing connection and commits together whatever waits; one that sees it to the disk."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

T = TypeVar("T")
Work = Callable[[Connection], T]
_Entry = tuple[Work[Any], "Future[Any]", bool]
_Done = tuple["Future[Any]", Any]

BATCH = 256
"""How many changes share one commit at most."""


class Writer:
    """Applies changes in the order in which they came; a future is done once its change is committed.

    Many callers share one commit, so a hundred submissions cost one write to the disk and not a hundred. The future of a
    ``durable`` change is done only when ``sync`` has brought it to the disk; meanwhile the next batch goes on. Other changes
    survive a killed process, and after a power cut are at worst done again.
    """

    def __init__(self, engine: Engine, sync: Callable[[], None] | None = None) -> None:
        self.engine = engine
        self._sync = sync
        self._waiting: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._unsynced: queue.SimpleQueue[_Done | None] = queue.SimpleQueue()
        self._after: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._write, name="job-writer", daemon=True),
            threading.Thread(target=self._bring_to_disk, name="job-sync", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Work[T], *, durable: bool = False) -> "Future[T]":
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()  # one who stops waiting does not undo what was asked for
        with self._lock:
            if self._closed:
                raise RuntimeError("The job store is closed; no change can be written any more.")
            self._waiting.put((work, future, durable))
        return future

    def call(self, work: Work[T], *, durable: bool = False) -> T:
        return self.submit(work, durable=durable).result()

    def after_commit(self, act: Callable[[], None]) -> None:
        """Called by a change while it runs: do ``act`` once it is committed, not at all if it is undone."""
        self._after.append(act)

    def close(self) -> None:
        """Write what waits, then end the threads."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()

    # the writing thread -----------------------------------------------------------------------------------------------

    def _write(self) -> None:
        with self.engine.connect() as connection:
            last = False
            while not last:
                batch, last = drain(self._waiting)
                if batch:
                    self._commit(connection, batch)
        self._unsynced.put(None)

    def _commit(self, connection: Connection, batch: list[_Entry]) -> None:
        """Run a batch in one transaction; where one change fails, each runs in its own so that only that one fails."""
        self._after.clear()
        try:
            with connection.begin():
                results = [work(connection) for work, _, _ in batch]
        except Exception as problem:
            if len(batch) == 1:
                batch[0][1].set_exception(problem)
                return
            for entry in batch:
                self._commit(connection, [entry])
            return
        for act in self._after:
            act()
        for (_, future, durable), result in zip(batch, results, strict=True):
            if durable and self._sync is not None:
                self._unsynced.put((future, result))
            else:
                future.set_result(result)

    # the syncing thread -----------------------------------------------------------------------------------------------

    def _bring_to_disk(self) -> None:
        last = False
        while not last:
            done, last = drain(self._unsynced)
            if not done or self._sync is None:
                continue
            try:
                self._sync()
            except OSError as problem:
                for future, _ in done:
                    future.set_exception(problem)
            else:
                for future, result in done:
                    future.set_result(result)


def drain(waiting: "queue.SimpleQueue[T | None]") -> tuple[list[T], bool]:
    """Everything that waits now (at least one entry), and whether the end was among it."""
    batch: list[T] = []
    entry = waiting.get()
    while entry is not None:
        batch.append(entry)
        if len(batch) == BATCH:
            return batch, False
        try:
            entry = waiting.get_nowait()
        except queue.Empty:
            return batch, False
    return batch, True
