"""One thread that owns the writing connection and commits together whatever waits."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

T = TypeVar("T")
Work = Callable[[Connection], T]
_Entry = tuple[Work[Any], "Future[Any]", bool]

BATCH = 256
"""How many changes share one commit at most."""


class Writer:
    """Applies changes in the order in which they came; a future is done once its change is committed.

    Many callers share one commit, so a hundred submissions cost one write to the disk and not a hundred. A batch with a
    ``durable`` change in it reaches the disk before its futures are done; the others survive a killed process, and after
    a power cut are at worst done again.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._waiting: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._after: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._loop, name="job-writer", daemon=True)
        self._thread.start()

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
        """Write what waits, then end the thread."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._waiting.put(None)
        self._thread.join()

    def _loop(self) -> None:
        with self.engine.connect() as connection:
            synced = True
            while True:
                batch, last = self._take()
                durable = any(entry[2] for entry in batch)
                if batch and durable != synced:
                    set_durable(connection, durable)
                    synced = durable
                if batch:
                    self._commit(connection, batch)
                if last:
                    return

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
        for (_, future, _), result in zip(batch, results, strict=True):
            future.set_result(result)

    def _take(self) -> tuple[list[_Entry], bool]:
        """Everything that waits now (at least one entry), and whether it was the end."""
        batch: list[_Entry] = []
        entry = self._waiting.get()
        while entry is not None:
            batch.append(entry)
            if len(batch) == BATCH:
                return batch, False
            try:
                entry = self._waiting.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True


def set_durable(connection: Connection, durable: bool) -> None:
    if connection.dialect.name == "sqlite":
        cursor = connection.connection.cursor()
        cursor.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        cursor.close()
