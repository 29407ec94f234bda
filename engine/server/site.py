"""What all handlers share. The database and the engine load on threads of their own, behind the listening socket."""

import asyncio
import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from engine import events
from engine.folders import Folders
from engine.jobs.job import FINISHED, Job
from engine.jobs.story import Message
from engine.model_hashes import ModelHashes
from engine.outputs import settle
from engine.run import Job as Execution
from engine.server.access import DEFAULT_ID, folders_of
from engine.server.attempts import Attempts
from engine.server.heap import Heap
from engine.server.hub import Address, Hub
from engine.server.listeners import Listeners
from engine.server.log_book import LogBook
from engine.server.options import Options, Previews
from engine.server.runtime import Engine, Runtime
from engine.server.tasks import Downloads
from engine.server.tidy import drop_journals, drop_old_files

if TYPE_CHECKING:
    from engine.jobs.accounts import Accounts
    from engine.jobs.history import History
    from engine.jobs.store import JobStore
    from engine.jobs.worker import Running, Worker

log = logging.getLogger(__name__)
TRIM_SECONDS = 60.0
JOURNALS = "journals"


class NoUsersError(Exception):
    """Others could reach the server, and there is nobody who may."""

    def __str__(self) -> str:
        return "Others can reach this address. Add a user who may (python main.py users add NAME), or say --no-login."


class Site:
    """The server's parts by name. ``store``, ``history``, ``accounts`` and ``worker`` are there once ``ready`` is."""

    store: "JobStore"
    history: "History"
    accounts: "Accounts"
    worker: "Worker"

    def __init__(self, options: Options, load_engine: Callable[[], Engine]) -> None:
        self.options = options
        self.folders = options.folders
        self.runtime = Runtime(lambda: self._meet(load_engine()), options.folders)
        self.hub = Hub(lambda: self.store.remaining if hasattr(self, "store") else 0)
        self.listeners = Listeners()
        self.log_book = LogBook(self.hub.log)
        self.started = time.time()
        self.counts: dict[str, float] = {}
        self.ready: asyncio.Future[None]
        self.attempts = Attempts()
        self.downloads = Downloads()
        self.heap = Heap()
        self.model_hashes = ModelHashes(options.folders, options.folders.work("user") / "model-hashes.json")
        self.settings_lock = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    def folders_of(self, owner: str) -> Folders:
        return folders_of(self.folders, owner)

    def userdata(self, owner: str) -> Path:
        """The folder of a user's settings and workflows."""
        return self.folders.work("user") / (owner or DEFAULT_ID)

    def pack_roots(self) -> tuple[Path, ...]:
        """Where node packs are."""
        return self.options.pack_roots or (self.folders.base / "custom_nodes",)

    # life -------------------------------------------------------------------------------------------------------------

    async def open(self, _app: web.Application) -> None:
        """Begin to load; the socket listens at once."""
        self.ready = asyncio.get_running_loop().create_future()
        self.hub.start()
        logging.getLogger("engine").addHandler(self.log_book)
        self.listeners.start()
        self._tasks = [asyncio.create_task(self._load()), asyncio.create_task(self._tidy())]

    async def _load(self) -> None:
        try:
            await asyncio.to_thread(self._connect)
        except Exception as problem:
            log.critical("The server cannot start: %s", problem)
            self.ready.set_exception(problem)
            raise
        self.worker.start()
        self.ready.set_result(None)

    def _connect(self) -> None:
        from engine.jobs.accounts import Accounts
        from engine.jobs.database import database_url, open_database
        from engine.jobs.history import History
        from engine.jobs.store import JobStore
        from engine.jobs.worker import Worker

        self.store = JobStore(open_database(database_url(self.options.database_url, self.folders)))
        self.history = History(self.store)
        self.accounts = Accounts(self.store)
        if self.options.login_needed and not self.options.loopback and not self.accounts.count():
            raise NoUsersError
        self.worker = Worker(self.store, self._execute, self._tell, self.runtime.prepare)

    def _meet(self, engine: Engine) -> Engine:
        """Connect what packs tell clients with the hub. All that serving needs is there now."""
        self.heap.loaded()
        if engine.guests is not None:
            from engine.server.pack_jobs import PackJobs

            engine.guests.connect(self._send, self.folders, self.hub.remaining, PackJobs(self))
        return engine

    def _send(self, name: str | int, data: Any, sid: str | None = None) -> None:
        """What a pack tells a clientId is for the user whose job runs: another user's client may have the same."""
        running = self.worker.running
        self.hub.send(name, data, sid, running.job.owner if running is not None else None)

    async def close(self, _app: web.Application) -> None:
        """Park the running job, write what waits, end the threads."""
        logging.getLogger("engine").removeHandler(self.log_book)
        for task in self._tasks:
            task.cancel()
        await self.downloads.close()
        if hasattr(self, "worker"):
            await asyncio.to_thread(self.worker.stop)
        if hasattr(self, "store"):
            await asyncio.to_thread(self.store.close)
        if (engine := self.runtime.loaded) is not None:
            engine.close()

    async def _tidy(self) -> None:
        """Keep history and temp files within their bounds."""
        await self.ready
        from engine.jobs.history import Bounds

        while True:
            try:
                bounds = Bounds(self.options.max_history, self.options.history_days)
                gone: list[str] = await asyncio.wrap_future(self.history.trim(bounds))
                while len(gone) >= 1000:
                    gone = await asyncio.wrap_future(self.history.trim(bounds))
                await asyncio.to_thread(drop_old_files, self.folders.work("temp"), self.options.temp_hours * 3600)
                await asyncio.to_thread(drop_journals, self.folders.work("user") / JOURNALS, self._is_open)
                await asyncio.wrap_future(self.accounts.drop_expired())
                self.hub.forget_absent()
            except Exception:
                log.exception("Tidying up failed; it is tried again.")
            await asyncio.sleep(TRIM_SECONDS)

    # what the worker calls, on its thread -----------------------------------------------------------------------------

    async def _execute(self, running: "Running", emit: events.Emit) -> None:
        job = running.job
        engine = await self.runtime.engine()
        folders = self.folders_of(job.owner)
        graph = self.runtime.graph(engine, job, folders)
        extra = job.extra
        execution = Execution(
            id=job.id, prompt=job.prompt, extra=extra.get("extra_pnginfo") or {}, folders=folders, emit=emit,
            cancel=running.cancel, previews=previews_of(extra, self.options) != "none", journal=self.journal(job.id),
            sharp_previews=sharp_previews(extra, self.options), client=job.client_id,
            describe=self.options.describe,
        )  # fmt: skip
        if engine.residency is not None:
            execution.residency = engine.residency
        await engine.run(graph, execution)

    def _tell(self, running: "Running", event: events.Event | None, messages: list[Message]) -> None:
        job = running.job
        address = address_of(job)
        if isinstance(event, events.Preview):
            about = {
                "node_id": event.node, "prompt_id": job.id, "display_node_id": event.display,
                "parent_node_id": event.parent, "real_node_id": event.display,
            }  # fmt: skip
            everyone = previews_of(job.extra, self.options) == "all"
            self.hub.preview(address, job.id, event.data, event.mime, about, everyone=everyone)
        if isinstance(event, events.Progress) and event.note:
            self.hub.text(address, job.id, event.node, event.note)
        if isinstance(event, events.Started):
            messages = [("status", self.hub.status()), *messages]
        if event is not None and event.kind in ("finished", "failed", "cancelled"):
            messages = [*messages, ("status", self.hub.status())]
            self.hub.queue_changed()
            self.counts[event.kind] = self.counts.get(event.kind, 0) + 1
            self.heap.loaded()
            shutil.rmtree(self.journal(job.id), ignore_errors=True)
            settle(job.id, self.folders_of(job.owner))
        self.hub.tell(address, job.id, messages)
        self.listeners.tell(job.id, event)

    def journal(self, job_id: str) -> Path:
        """Where a job notes how far its sampling is, so that it can go on after a crash."""
        return self.folders.work("user") / JOURNALS / job_id

    def _is_open(self, job_id: str) -> bool:
        job = self.store.get(job_id)
        return job is not None and job.state not in FINISHED


SITE = web.AppKey("site", Site)


def site_of(request: web.Request) -> Site:
    return request.config_dict[SITE]


def address_of(job: Job) -> Address | None:
    return (job.owner, job.client_id) if job.client_id else None


def previews_of(extra: dict[str, Any], options: Options) -> Previews:
    """A prompt may say by itself whether it wants previews (``preview_method``)."""
    method = extra.get("preview_method")
    if method in (None, "default"):
        return options.previews
    return "none" if method == "none" else "all"


def sharp_previews(extra: dict[str, Any], options: Options) -> bool:
    """Whether a small decoder is to make them."""
    method = extra.get("preview_method")
    return options.sharp_previews if method in (None, "default") else method == "taesd"
