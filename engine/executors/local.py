"""Run in this process: a thread for the device, a few for files, and one whose loop holds everything together."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Self

from engine.cache import Cache
from engine.execute import Relief, Results, execute
from engine.graph import Graph
from engine.run import Job
from engine.spec import NodeSpec

IO_THREADS = 3


class LocalLanes:
    """One thread for the device, ``IO_THREADS`` for loading, encoding and saving beside it."""

    def __init__(self, io_threads: int = IO_THREADS) -> None:
        self._widths = {"device": 1, "io": io_threads}
        self._pools = {lane: ThreadPoolExecutor(width, f"lane-{lane}") for lane, width in self._widths.items()}

    def width(self, lane: str) -> int:
        return self._widths[lane]

    def start(self, lane: str, work: Callable[[], None]) -> None:
        self._pools[lane].submit(work)

    def close(self) -> None:
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)


def free_networks(job: Job) -> list[str]:
    """Drop the networks from memory, if any were loaded."""
    if "engine.diffusion.residency" not in sys.modules:
        return []
    place = job.residency()
    freed: int = place.nbytes
    place.free()
    return [f"{freed / 2**20:.0f} MB of networks let go"] if freed else []


@dataclass
class LocalExecutor:
    """Runs graphs one after another or side by side; they share the lanes and the cache. Usable from any thread or loop.

    ``home`` is a loop that async nodes may hold up; without one a loop of its own is made, on a thread of its own.
    """

    specs: Mapping[str, NodeSpec]
    cache: Cache = field(default_factory=Cache)
    relief: Relief = free_networks
    lanes: LocalLanes = field(default_factory=LocalLanes)
    home: asyncio.AbstractEventLoop | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    async def run(self, graph: Graph, job: Job) -> Results:
        """Run a graph on the engine's own thread, so that no node can hold up the caller's loop. At home it is simply run."""
        work = execute(graph, job, specs=self.specs, cache=self.cache, lanes=self.lanes, relief=self.relief)
        if self.home is asyncio.get_running_loop():
            return await work
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._own_loop()))

    def run_sync(self, graph: Graph, job: Job) -> Results:
        """The same for a command: the interrupt key stops the job, which then ends as a cancelled one does."""
        work = execute(graph, job, specs=self.specs, cache=self.cache, lanes=self.lanes, relief=self.relief)
        future = asyncio.run_coroutine_threadsafe(work, self._own_loop())
        try:
            return future.result()
        except KeyboardInterrupt:
            job.cancel()
            return future.result()

    def close(self) -> None:
        self.lanes.close()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._loop = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        if self.home is not None:
            return self.home
        with self._lock:
            if self._loop is None:
                loop = self._loop = asyncio.new_event_loop()

                def turn() -> None:
                    loop.run_forever()
                    loop.close()

                threading.Thread(target=turn, name="engine", daemon=True).start()
            return self._loop
