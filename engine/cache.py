"""Results by content key. What is dear to recompute and small stays longest; what is old goes first."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.keys import Key

if TYPE_CHECKING:
    from engine.disk import Disk

OBJECT_NBYTES = 1024
FLOOR_SECONDS = 1e-4
SCALARS = {int, float, bool, type(None)}


@dataclass(frozen=True, slots=True)
class Result:
    """What a step left: one value an output (``Items`` where that is a list), and what it showed."""

    values: tuple[Any, ...]
    ui: Mapping[str, Any] | None = None


@dataclass(slots=True)
class _Entry:
    result: Result
    nbytes: int
    seconds: float
    worth: float = 0.0


@dataclass(slots=True)
class Cache:
    """The memory tier, bounded in bytes (0: keep nothing) and, if asked, in entries; behind it a disk tier if there is one.

    Eviction is GreedyDual-Size: an entry is worth ``age + seconds / nbytes``, where ``age`` is the worth of the last one evicted.
    Safe to call from any thread.
    """

    max_bytes: int = 2 * 2**30
    max_entries: int | None = None
    disk: Disk | None = None
    nbytes: int = 0
    hits: int = 0
    misses: int = 0
    _entries: dict[Key, _Entry] = field(default_factory=dict)
    _heap: list[tuple[float, Key]] = field(default_factory=list)
    _age: float = 0.0
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __contains__(self, key: Key) -> bool:
        return key in self._entries or (self.disk is not None and key in self.disk)

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key) -> Result | None:
        """The result under ``key``, which is thereby as good as new."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self.hits += 1
                self._rate(key, entry)
                return entry.result
        stored = self.disk.get(key) if self.disk is not None else None
        if stored is None:
            self.misses += 1
            return None
        self.hits += 1
        values, seconds = stored
        result = Result(values)
        self._keep(key, result, seconds)
        return result

    def put(self, key: Key, result: Result, seconds: float) -> None:
        """Keep a result that took ``seconds``, as long as it is worth its bytes."""
        self._keep(key, result, seconds)
        if self.disk is not None and result.ui is None:
            self.disk.put(key, result.values, seconds)

    def forget(self, key: Key) -> None:
        with self._lock:
            entry = self._entries.pop(key, None)
            self.nbytes -= entry.nbytes if entry else 0

    def clear(self) -> None:
        """Drop the memory tier."""
        self.shrink(0)

    def shrink(self, to_bytes: int) -> int:
        """Drop the least worthy until ``to_bytes`` are left; how many bytes that freed."""
        with self._lock:
            before = self.nbytes
            while self._entries and (self.nbytes > to_bytes or to_bytes == 0):
                self._evict()
            return before - self.nbytes

    def _keep(self, key: Key, result: Result, seconds: float) -> None:
        size = nbytes(result.values)
        if size > self.max_bytes:
            return
        with self._lock:
            self.forget(key)
            entry = self._entries[key] = _Entry(result, size, seconds)
            self.nbytes += size
            self._rate(key, entry)
            while self.nbytes > self.max_bytes or (self.max_entries is not None and len(self._entries) > self.max_entries):
                self._evict()

    def _rate(self, key: Key, entry: _Entry) -> None:
        entry.worth = self._age + max(entry.seconds, FLOOR_SECONDS) / entry.nbytes
        heapq.heappush(self._heap, (entry.worth, key))
        if len(self._heap) > 4 * len(self._entries) + 64:
            self._heap = [(e.worth, k) for k, e in self._entries.items()]
            heapq.heapify(self._heap)

    def _evict(self) -> None:
        while self._heap:
            worth, key = heapq.heappop(self._heap)
            entry = self._entries.get(key)
            if entry is not None and entry.worth == worth:
                self._age = worth
                self.forget(key)
                return


def nbytes(value: Any) -> int:
    """Bytes of the arrays in nested tuples, lists and dicts. Networks are held by residency: any other object counts as 1 KB."""
    total = OBJECT_NBYTES
    pending = [value]
    seen: set[int] = set()
    while pending:
        item = pending.pop()
        if type(item) in SCALARS or id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, dict):
            pending.extend(item.values())
        elif isinstance(item, list | tuple):
            pending.extend(item)
        elif isinstance(item, str | bytes):
            total += len(item)
        elif hasattr(item, "dtype") and hasattr(item, "shape") and isinstance(size := getattr(item, "nbytes", None), int):
            total += size
        else:
            total += OBJECT_NBYTES
    return total
