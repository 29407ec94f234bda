"""What ComfyUI keeps in module globals, in one object: packs reach it through ``import folder_paths`` and its like.

Packs share one process and one set of module names, so there is one host a process; it is made when the first of them loads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from engine.folders import Folders
from engine.run import Run
from engine.spec import NodeSpec


def nowhere(event: str | int, data: Any, sid: str | None = None) -> None:
    """Where messages go as long as no server listens."""


@dataclass(slots=True)
class Call:
    """One call of one foreign node; ``graphs`` counts the GraphBuilders it has made."""

    run: Run
    graphs: int = 0


@dataclass(slots=True)
class Pack:
    """A pack that was imported: where it is, and the name of its module."""

    name: str
    path: Path
    module: str


class Jobs(Protocol):
    """What packs may ask of the server's jobs, from any thread."""

    def queue(self) -> tuple[list[list[Any]], list[list[Any]]]:
        """The running and the waiting jobs as ComfyUI's queue items."""
        ...

    def past(self, job_id: str | None, most: int | None) -> dict[str, Any]:
        """Entries of the history by id."""
        ...

    def cancel(self, job_ids: list[str] | None) -> None:
        """Take waiting jobs away: these, or all."""
        ...

    def put(self, job_id: str, prompt: dict[str, Any], extra: dict[str, Any], targets: list[str] | None, first: bool) -> None:
        """Queue a prompt, at the end or before all that waits; GraphError with its problems if nothing of it can run."""
        ...

    def free(self, models: bool, results: bool) -> None:
        """Let models go, and results, as soon as no job runs."""
        ...


@dataclass(slots=True)
class Host:
    """``classes`` are the node classes of packs, ``specs`` every node type there is, both by name."""

    folders: Folders = field(default_factory=Folders)
    options: Mapping[str, Any] = field(default_factory=dict)
    classes: dict[str, type] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    specs: Mapping[str, NodeSpec] = field(default_factory=dict)
    packs: dict[str, Pack] = field(default_factory=dict)
    web_folders: dict[str, Path] = field(default_factory=dict)
    replacements: dict[str, Any] = field(default_factory=dict)
    schedulers: dict[str, Callable[..., Any]] = field(default_factory=dict)
    remaining: Callable[[], int] = lambda: 0
    server: Jobs | None = None
    send: Callable[[str | int, Any, str | None], None] = nowhere
    residency: Callable[[], Any] | None = None
    last: Call | None = None
    instances: dict[tuple[str, str], Any] = field(default_factory=dict)
    instances_of: str = ""
    native_classes: dict[str, Any] = field(default_factory=dict)
    _natives: dict[str, NodeSpec] = field(default_factory=dict)

    def natives(self) -> Mapping[str, NodeSpec]:
        """The native node types, read when a pack first asks for one."""
        if not self._natives:
            from engine.registry import load

            self._natives.update(load().specs)
        return self._natives

    def instance(self, type_name: str, cls: type, run: Run) -> Any:
        """The object that answers for this node: the same one as last time while its id stays in the graphs that are run."""
        if run.job.id != self.instances_of and run.job.steps:
            known = {id.partition(".")[0] for id in run.job.steps}
            for key in [key for key in self.instances if key[0].partition(".")[0] not in known]:
                del self.instances[key]
            self.instances_of = run.job.id
        key = run.node, type_name
        if type(self.instances.get(key)) is not cls:
            self.instances[key] = cls()
        return self.instances[key]


CURRENT: ContextVar[Call | None] = ContextVar("CURRENT", default=None)


@cache
def host() -> Host:
    """The one host of this process."""
    return Host()


@contextmanager
def calling(run: Run) -> Iterator[Call]:
    """Let whatever is called inside know which node it works for; threads it starts are told of the last such call."""
    call = Call(run)
    token = CURRENT.set(call)
    host().last = call
    try:
        yield call
    finally:
        CURRENT.reset(token)


def current_call() -> Call | None:
    """The call that is at work: of this context, else the last one of all."""
    return CURRENT.get() or host().last


def current_run() -> Run:
    """The run of the call at work; a silent one outside of any."""
    call = current_call()
    return call.run if call else Run()


def current_folders() -> Folders:
    """The folders of the job at work, else those of the process."""
    call = CURRENT.get()
    return call.run.folders if call else host().folders
