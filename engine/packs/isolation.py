"""A pack in a process of its own, seen from here: its node types, and calls that go there and come back."""

from __future__ import annotations

import json
import logging
import queue
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.folders import PROJECT, Folders
from engine.packs import wire
from engine.packs.confinement import Permissions, supported
from engine.packs.described import plain, spec_of, step_in_words
from engine.packs.environment import site_of
from engine.packs.handle import Handle, together
from engine.packs.scripts import web_folders_in
from engine.packs.trust import digest
from engine.registry import Failure
from engine.run import CancelledError, Run
from engine.spec import NodeSpec

log = logging.getLogger(__name__)
START_SECONDS = 120.0
GRACE_SECONDS = 2.0
VALIDATE_SECONDS = 10.0


class IsolationError(RuntimeError):
    """An isolated pack that failed, ended or cannot be started; the message says which and why."""


@dataclass(eq=False)
class Cell:
    """A pack's process; started when it is needed, started anew when it has ended. One call at a time."""

    path: Path
    folders: Folders
    permissions: Permissions = field(default_factory=Permissions)
    environment: Path | None = None
    web_folders: dict[str, Path] = field(default_factory=dict)
    """Scripts for the editor by the name they are served under: they run in the page, not here."""
    dropped: list[tuple[int, int]] = field(default_factory=list)
    _process: subprocess.Popen[bytes] | None = None
    _line: socket.socket | None = None
    _scratch: tempfile.TemporaryDirectory[str] | None = None
    _life: int = 0
    _told: tuple[Any, ...] | None = None
    _silenced: bool = False
    _graphs: frozenset[str] = frozenset()
    """Node types that want to see the graph as it has become."""
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def name(self) -> str:
        return self.path.stem if self.path.is_file() else self.path.name

    def specs(self) -> list[NodeSpec | Failure]:
        """Start it and ask what it has."""
        ready = self.start()
        version = digest(self.path)
        self._graphs = frozenset(told["type"] for told in ready["specs"] if "DYNPROMPT" in told["hidden"].values())
        self.web_folders = web_folders_in(self.path, ready["web"])
        if left := [f"{int(ready[what])} {what}" for what in ("routes", "handlers") if ready[what]]:
            self.left_out(" and ".join(left).replace("handlers", "prompt handlers"))
        failures = [Failure(str(module), str(message), str(lines)) for module, message, lines in ready["failures"]]
        return [*(spec_of(self, told, version) for told in ready["specs"]), *failures]

    def start(self) -> dict[str, Any]:
        if (why := supported()) is not None:
            raise IsolationError(f"{self.name} cannot be isolated: {why}. It does not run.")
        self.stop()
        ours, theirs = socket.socketpair()
        self._scratch = tempfile.TemporaryDirectory(prefix=f"{self.name}-")
        self._life += 1
        words = [sys.executable, "-m", "engine.packs.entry", str(theirs.fileno()), json.dumps(self.config())]
        home = self._scratch.name
        environment = {
            "HOME": home, "TMPDIR": home, "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "OMP_WAIT_POLICY": "PASSIVE",
            "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "XDG_CACHE_HOME": home, "MPLCONFIGDIR": home,
        }  # fmt: skip
        if self.environment is not None:  # what programs that the pack may start are to see
            environment |= {"VIRTUAL_ENV": str(self.environment), "PATH": f"{self.environment / 'bin'}:/usr/bin:/bin"}
        self._process = self.spawn(words, environment, theirs.fileno())
        weakref.finalize(self, self._process.kill)
        theirs.close()
        self._line = ours
        ready = self.next(time.monotonic() + START_SECONDS, None)
        if ready.get("op") != "ready":
            self.stop()
            raise IsolationError(f"{ready.get('kind')}: {ready.get('message')}")
        log.info("%s runs in a process of its own (%d)", self.name, self._process.pid)
        return ready

    def spawn(self, words: list[str], environment: Mapping[str, str], line: int) -> subprocess.Popen[bytes]:
        """Start the process from a thread that lives as long as it: the kernel ends a process with the thread that made it."""
        made: queue.Queue[subprocess.Popen[bytes] | OSError] = queue.Queue()

        def keep() -> None:
            try:
                process = subprocess.Popen(
                    words, cwd=PROJECT, env=environment, pass_fds=[line], stdin=subprocess.DEVNULL, stdout=2,
                    start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                made.put(error)
                return
            made.put(process)
            process.wait()

        threading.Thread(target=keep, name=f"cell-{self.name}", daemon=True).start()
        started = made.get()
        if isinstance(started, OSError):
            raise IsolationError(f"{self.name} cannot be started: {started}")
        return started

    def config(self) -> dict[str, Any]:
        assert self._scratch is not None
        folders = {name: str(self.folders.work(name)) for name in ("input", "output", "temp", "user")}
        more = {
            name: {kind: [str(path) for path in paths] for kind, paths in getattr(self.folders, name).items()}
            for name in ("extra", "first")
        }
        folders |= {"base": str(self.folders.base), "models": str(self.folders.models or self.folders.base / "models")}
        read = [str(self.path), str(PROJECT / "engine"), str(PROJECT / "nodes"), folders["models"], folders["input"]]
        read += [str(root) for kind in self.folders.kinds() for root in self.folders.roots(kind)]
        environment = [str(self.environment), str(site_of(self.environment))] if self.environment else []
        read += environment[:1]
        write = [self._scratch.name, folders["output"], folders["temp"], *self.permissions.write]
        for folder in (folders["output"], folders["temp"]):
            Path(folder).mkdir(parents=True, exist_ok=True)
        permissions = {
            "read": [*read, *self.permissions.read], "write": write, "network": self.permissions.network,
            "subprocesses": self.permissions.subprocesses, "memory": self.permissions.memory,
        }  # fmt: skip
        return {
            "path": str(self.path.resolve()),
            "folders": folders,
            "more_folders": more,
            "permissions": permissions,
            "environment": environment,
        }

    def stop(self) -> None:
        """End the process; what stayed in it is gone."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
        if self._process is not None:
            self._process.wait()
        if self._line is not None:
            self._line.close()
        if self._scratch is not None:
            self._scratch.cleanup()
        self._process = self._line = self._scratch = None

    # Calls

    def ask(self, run: Run, seconds: float | None = None, **message: Any) -> dict[str, Any]:
        """Send a question and see to what it asks back, until it is answered; after ``seconds`` the process is ended."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self.start()
            dropped, self.dropped[:] = list(self.dropped), []
            numbers = [number for life, number in dropped if life == self._life]
            assert self._line is not None
            wire.send(self._line, {**message, "drop": numbers, "run": self.told_of(run)}, self.number)
            until = None if seconds is None else time.monotonic() + seconds
            while True:
                said = self.next(until, run)
                match said.get("op"):
                    case "done":
                        if said.get("unsent") and not self._silenced:
                            self._silenced = True
                            self.left_out("messages to clients")
                        return said
                    case "cancelled":
                        raise CancelledError
                    case "error":
                        raise IsolationError(f"{said.get('message') or said.get('kind')} ({said.get('kind')}, in {self.name})")
                wire.send(self._line, self.favour(said, run), self.number)

    def ask_if_idle(self, **message: Any) -> Any:
        """The answer to what cannot wait for a job: None while one is at work."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            return self.ask(Run(), VALIDATE_SECONDS, **message)["value"]
        finally:
            self._lock.release()

    def told_of(self, run: Run) -> dict[str, Any]:
        """What a node in there may know of its job; the prompt is told once a job."""
        job = run.job
        told = {
            "job": job.id, "node": run.node, "type": run.type, "display": run.display, "call_index": run.call_index,
            "previews": job.previews, "describe": job.describe,
        }  # fmt: skip
        about = (self._life, run.prompt, job.extra)
        if self._told is None or any(new is not old for new, old in zip(about, self._told, strict=True)):
            self._told = about
            told |= {"prompt": plain(run.prompt), "extra": plain(job.extra)}
        wanted = job.steps if run.type in self._graphs else {run.node: job.steps[run.node]} if run.node in job.steps else {}
        return {**told, "steps": {id: step_in_words(step) for id, step in wanted.items()}}

    def next(self, until: float | None, run: Run | None) -> dict[str, Any]:
        """The next message. A stopped job gives it a moment, then ends the process; so does a time that is up."""
        assert self._line is not None
        stopping: float | None = None
        while True:
            readable, _, _ = select.select([self._line], [], [], 0.1)
            if readable:
                try:
                    return wire.receive(self._line, lambda number: Handle(self, number, self._life))
                except (wire.ClosedError, OSError):
                    raise self.ended(self.reason()) from None
                except wire.WireError as error:
                    raise self.ended(f"{self.name} sent {error}. Its process was ended.") from None
            now = time.monotonic()
            if run is not None and run.cancelled:
                stopping = stopping or now + GRACE_SECONDS
            if (stopping is not None and now > stopping) or (until is not None and now > until):
                what = "stop" if stopping is not None else "start" if run is None else "answer"
                over = self.ended(f"{self.name} did not {what} in time. Its process was ended.")
                raise CancelledError if stopping is not None else over

    def reason(self) -> str:
        """Why the process is gone, in words."""
        assert self._process is not None
        code = self._process.wait(GRACE_SECONDS * 2)
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        return f"the process of {self.name} {how}. The next call starts it anew."

    def ended(self, why: str) -> IsolationError:
        """End the process if it has not; the error that says why, which is logged too."""
        self.stop()
        log.warning("%s", why)
        return IsolationError(why)

    def favour(self, asked: Mapping[str, Any], run: Run) -> dict[str, Any]:
        """What a node asks of its job."""
        match asked.get("op"):
            case "check":
                return {"cancelled": run.cancelled}
            case "progress":
                if not run.cancelled:
                    run.progress(float(asked["value"]), float(asked["total"]), str(asked["note"])[:200])
                return {"cancelled": run.cancelled}
            case "preview":
                if run.wants_preview() and asked["mime"] in ("image/jpeg", "image/png"):
                    run.preview(bytes(asked["data"]), str(asked["mime"]))
                return {}
            case "save":
                kind = "temp" if asked["kind"] == "temp" else "output"
                saved = run.save(
                    bytes(asked["data"]), str(asked["extension"]), prefix=str(asked["prefix"]), kind=kind,
                    width=int(asked["width"]), height=int(asked["height"]),
                )  # fmt: skip
                return {**saved.ui(), "path": str(saved.path)}
        raise self.ended(f"{self.name} asked for {asked.get('op')!r}, which there is not. Its process was ended.")

    def left_out(self, what: str) -> None:
        log.warning(
            "%s is isolated: its %s are left out. If it does not work without them and you trust it with your rights: "
            "python main.py packs trust %s --no-isolate",
            self.name, what, self.name,
        )  # fmt: skip

    def number(self, value: Any) -> int:
        """The number of an object that is in there; others cannot go in."""
        if isinstance(value, Handle) and value.cell is self and value.life == self._life:
            return value.number
        if isinstance(value, Handle) and value.cell is self:
            raise wire.StaysError("was in a process that has ended. Run the node that made it again.", value)
        where = f"the process of {value.cell.name}" if isinstance(value, Handle) else "the server's process"
        raise wire.StaysError(
            f"lives in {where} and cannot be given to {self.name}, which is isolated. {together(self.name)}", value
        )
