"""The engine behind the server: node types and executor, loaded on the worker's thread while the socket already answers."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.folders import Folders
from engine.jobs.job import Job
from engine.server.refusal import refuse
from engine.spec import NodeSpec

if TYPE_CHECKING:
    from engine.graph import Graph
    from engine.run import Job as Execution

log = logging.getLogger(__name__)
GRAPHS_KEPT = 1000
NODES_KEPT = 256


@dataclass
class Engine:
    """What loading yields. ``run`` executes a checked graph; ``free`` drops results (and, when asked, models)."""

    specs: Mapping[str, NodeSpec]
    run: Callable[["Graph", "Execution"], Any]
    free: Callable[[bool, bool], None] = lambda _models, _results: None
    failures: list[Any] = field(default_factory=list)
    web_folders: Mapping[str, Path] = field(default_factory=dict)
    residency: Callable[[], Any] | None = None
    replacements: Mapping[str, Any] = field(default_factory=dict)
    guests: Any = None
    """What foreign packs bring to the server, ``engine.comfy.guests.Guests``, if there are any."""
    absent: Callable[[str], str | None] = lambda _type: None
    """Who has an unknown node type, and why it is unknown."""
    close: Callable[[], None] = lambda: None


class Runtime:
    """Loads an ``Engine`` once; others wait for it."""

    def __init__(self, load: Callable[[], Engine], folders: Folders) -> None:
        self.folders = folders
        self._load = load
        self._loaded: Future[Engine] = Future()
        self._graphs: dict[str, Graph] = {}

    @property
    def loaded(self) -> Engine | None:
        """The engine, if it is there by now."""
        return self._loaded.result() if self._loaded.done() and self._loaded.exception() is None else None

    async def prepare(self) -> None:
        """Load; called once, on the worker's loop."""
        began = time.perf_counter()
        try:
            self._loaded.set_result(self._load())
        except BaseException as problem:
            self._loaded.set_exception(problem)
            raise
        log.info("%d node types in %.2f s", len(self._loaded.result().specs), time.perf_counter() - began)

    async def engine(self) -> Engine:
        if not self._loaded.done():
            await asyncio.wait([asyncio.wrap_future(self._loaded)])
        if (problem := self._loaded.exception()) is not None:
            raise refuse(503, f"The node types could not be loaded: {problem}")
        return self._loaded.result()

    def check(self, engine: Engine, prompt: Any, targets: list[str] | None, folders: Folders) -> "Graph":
        """The prompt as a graph; GraphError with every problem if no output can run."""
        from engine.graph import build
        from engine.prompt import parse

        return build(parse(prompt), engine.specs, folders, targets=targets, strict=False, absent=engine.absent)

    def keep(self, job_id: str, graph: "Graph") -> None:
        """Remember a checked graph, so that it need not be built again when its turn comes; of many the first."""
        if len(graph.steps) <= NODES_KEPT and len(self._graphs) < GRAPHS_KEPT:
            self._graphs[job_id] = graph

    def forget(self, job_id: str) -> None:
        self._graphs.pop(job_id, None)

    def graph(self, engine: Engine, job: Job, folders: Folders) -> "Graph":
        found = self._graphs.pop(job.id, None)
        return found if found is not None else self.check(engine, job.prompt, job.targets, folders)
