"""A node's window to the job it runs in: progress, preview, cancel, folders, output. ``Run()`` is a silent one for tests."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from engine.events import Emit, Preview, Progress, ignore
from engine.folders import Folders

if TYPE_CHECKING:
    from engine.diffusion.journal import FolderJournal
    from engine.diffusion.residency import Residency
    from engine.growth import Grow
    from engine.outputs import Pieces, Saved

T = TypeVar("T")
PROGRESS_SECONDS = 0.1
PREVIEW_SECONDS = 0.25


class CancelledError(Exception):
    """The user stopped the job. Raised inside nodes by ``run.check()`` and ``run.progress()``; let it pass."""


class Cancel:
    """Set from any thread; nodes see it at their next progress update."""

    def __init__(self) -> None:
        self.called = False
        self._then: list[Callable[[], None]] = []

    def __call__(self) -> None:
        self.called = True
        for then in self._then:
            then()

    def then(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` when the job is stopped, at once if it has been; on the thread that stops it."""
        self._then.append(callback)
        if self.called:
            callback()


def once(make: Callable[[], T]) -> Callable[[], T]:
    """``make``, called at most once whatever the threads; later calls give the first one's result."""
    lock = threading.Lock()
    made: list[T] = []

    def get() -> T:
        with lock:
            if not made:
                made.append(make())
            return made[0]

    return get


def residency_of_its_own() -> Residency:
    """A residency for one job alone: what a command or a test uses that keeps no models between jobs."""
    from engine.diffusion.residency import Residency

    return Residency()


@dataclass(slots=True)
class Job:
    """What all steps of one execution share. ``prompt`` is API JSON as submitted; ``extra`` is ComfyUI's extra_pnginfo.

    ``residency`` gives the holder of loaded networks; a server passes the same one to all jobs, made at the first call.
    ``journal`` is a folder for what sampling has computed so far, so that a killed job goes on where it was.
    ``sharp_previews``: pictures of the unfinished come from a small decoder, where there is one, not from a map of colours.
    ``describe``: results say how they were made (the prompt, and ``extra``).
    ``client`` is the websocket client that submitted it. ``steps`` are the steps there are by now, those of expansions too:
    what foreign nodes that rewrite graphs look at.
    """

    id: str = "local"
    prompt: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    folders: Folders = field(default_factory=Folders)
    emit: Emit = ignore
    cancel: Cancel = field(default_factory=Cancel)
    previews: bool = False
    sharp_previews: bool = False
    journal: Path | None = None
    describe: bool = True
    client: str | None = None
    steps: Mapping[str, Any] = field(default_factory=dict)
    residency: Callable[[], Any] = field(default_factory=lambda: once(residency_of_its_own))


@dataclass(slots=True)
class Run:
    """One call of one node. ``key`` is its content key, ``grow`` is there for async nodes: see ``engine.growth``."""

    node: str = ""
    type: str = ""
    display: str = ""
    parent: str | None = None
    job: Job = field(default_factory=Job)
    call_index: int = 0
    key: bytes = b""
    ui: dict[str, list[Any]] = field(default_factory=dict)
    grow: Grow | None = None
    _saved: int = 0
    _progress_at: float = 0.0
    _preview_at: float = 0.0

    @property
    def folders(self) -> Folders:
        return self.job.folders

    @property
    def place(self) -> Residency:
        """Where networks are loaded to: pass it to the loaders of engine.diffusion."""
        place: Residency = self.job.residency()
        return place

    @property
    def journal(self) -> FolderJournal | None:
        """Where this call of this node keeps what its network said, if the job is to survive a crash.

        Another prompt or another model file is another key: nothing is gone on with that began differently.
        """
        if self.job.journal is None:
            return None
        from engine.diffusion.journal import FolderJournal

        return FolderJournal(self.job.journal / f"{quote(self.node, safe='')}-{self.call_index}-{self.key.hex()[:16]}")

    @property
    def prompt(self) -> Mapping[str, Any] | None:
        return self.job.prompt

    @property
    def workflow(self) -> Mapping[str, Any] | None:
        return self.job.extra.get("workflow")

    def texts(self) -> dict[str, str]:
        """What a saved file is to say of how it was made, as JSON by name; nothing where that is not wanted."""
        if not self.job.describe:
            return {}
        told = {"prompt": json.dumps(self.prompt)} if self.prompt is not None else {}
        return told | {key: json.dumps(value) for key, value in self.job.extra.items()}

    @property
    def cancelled(self) -> bool:
        return self.job.cancel.called

    def check(self) -> None:
        """Raise CancelledError if the user has stopped the job. Cheap: call it in every loop."""
        if self.job.cancel.called:
            raise CancelledError

    def progress(self, value: float, total: float, note: str = "") -> None:
        """``value`` of ``total`` is done. Told to clients ten times a second at most, the last one always."""
        self.check()
        now = time.monotonic()
        if value < total and now - self._progress_at < PROGRESS_SECONDS:
            return
        self._progress_at = now
        self.job.emit(Progress(**self._who(), value=value, total=total, note=note))

    def wants_preview(self) -> bool:
        """Whether somebody looks and the last one is old enough: ask before making a picture."""
        return self.job.previews and time.monotonic() - self._preview_at >= PREVIEW_SECONDS

    def preview(self, data: bytes, mime: str = "image/jpeg") -> None:
        """Show an encoded picture of the unfinished result."""
        self._preview_at = time.monotonic()
        self.job.emit(Preview(**self._who(), data=data, mime=mime))

    def emit_ui(self, **shown: Sequence[Any]) -> None:
        """What an output node shows: ``run.emit_ui(images=[saved.ui()])``. Kept with the result; calls add up."""
        for name, items in shown.items():
            self.ui.setdefault(name, []).extend(items)

    def save(
        self, data: bytes | Pieces, extension: str, *, prefix: str = "ComfyUI", kind: str = "output",
        width: int = 0, height: int = 0,
    ) -> Saved:  # fmt: skip
        """Write ``data``, whole or in pieces, once under the next free number of ``prefix``; ``kind`` is "output" or "temp"."""
        from engine.outputs import commit

        index = self._saved
        self._saved += 1
        node = f"{self.node}#{self.call_index}" if self.call_index else self.node
        return commit(
            data, extension, job=self.job.id, node=node, index=index,
            folders=self.folders, prefix=prefix, kind=kind, prompt=self.prompt, width=width, height=height,
        )  # fmt: skip

    def _who(self) -> dict[str, Any]:
        return {"job": self.job.id, "node": self.node, "display": self.display or self.node, "parent": self.parent}
