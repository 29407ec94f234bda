"""The inside of an isolated pack's process: its nodes, and the calls that come in. ``engine.packs.entry`` has confined it."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import socket
import sys
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from engine.folders import Folders
from engine.node import Lazy
from engine.packs import wire
from engine.packs.described import described
from engine.registry import Failure, is_foreign, load_pack
from engine.run import CancelledError, Job, Run
from engine.spec import Link, NodeSpec

if TYPE_CHECKING:
    from engine.outputs import Pieces


@dataclass
class Prison:
    """The inside: node types by name, and objects that stay here, by number."""

    line: socket.socket
    specs: dict[str, NodeSpec]
    folders: Folders
    objects: dict[int, Any]
    last: int = 0
    unsent: bool = False
    """Whether the pack had something to tell clients."""
    job: Mapping[str, Any] = field(default_factory=dict)
    """The prompt and the metadata of the job at work: they come with its first call."""

    def keep(self, value: Any) -> int:
        self.last += 1
        self.objects[self.last] = value
        return self.last

    def find(self, number: int) -> Any:
        return self.objects[number]

    def tell(self, **message: Any) -> None:
        wire.send(self.line, message, self.keep)

    def ask(self, **message: Any) -> dict[str, Any]:
        self.tell(**message)
        return wire.receive(self.line, self.find)

    def serve(self) -> None:
        """Answer until the other side is gone."""
        while True:
            try:
                asked = wire.receive(self.line, self.find)
            except wire.ClosedError:
                return
            for number in asked.get("drop", ()):
                self.objects.pop(number, None)
            try:
                self.tell(op="done", **self.answer(asked), unsent=self.unsent)
            except CancelledError:
                self.tell(op="cancelled")
            except (Exception, SystemExit) as error:
                lines = traceback.format_exception(error)
                self.tell(op="error", kind=type(error).__name__, message=str(error), lines=lines)

    def answer(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        spec = self.specs[asked["type"]]
        run = InnerRun(self, asked["run"])
        match asked["op"]:
            case "call":
                inputs = dict(asked["inputs"])
                if spec.is_async and spec.needs is None:
                    inputs |= {port.name: Lazy(inputs[port.name]) for port in spec.inputs if port.lazy and port.name in inputs}
                with inference():
                    return {"value": waited(spec.call(inputs, run)), "ui": dict(run.ui)}
            case "fingerprint":
                assert spec.fingerprint is not None
                return {"value": waited(spec.fingerprint(asked["inputs"], run))}
            case "validate":
                assert spec.validate is not None
                answer = waited(spec.validate(asked["inputs"], asked["linked"]))
                return {"value": answer if answer is None or isinstance(answer, bool | str) else str(answer)}
            case "choices":
                port = spec.port(asked["port"])
                assert port is not None
                listed = port.choices(self.folders) if callable(port.choices) else port.choices
                return {"value": list(listed or ())}
            case "needs":
                assert spec.needs is not None
                return {"value": [str(name) for name in waited(spec.needs(asked["inputs"], run)) or ()]}
        raise ValueError(asked["op"])


class InnerRun(Run):
    """What a node in here sees of its job: progress, previews and files go through the other side, which decides."""

    __slots__ = ("prison",)

    def __init__(self, prison: Prison, told: Mapping[str, Any]) -> None:
        if "prompt" in told:
            prison.job = told
        job = Job(
            id=told["job"], prompt=prison.job["prompt"], extra=prison.job["extra"] or {}, folders=prison.folders,
            previews=told["previews"], describe=told["describe"],
            steps={id: step_of(id, step) for id, step in told["steps"].items()},
        )  # fmt: skip
        super().__init__(told["node"], told["type"], told["display"], None, job, told["call_index"])
        self.prison = prison

    def check(self) -> None:
        if self.prison.ask(op="check")["cancelled"]:
            raise CancelledError

    def progress(self, value: float, total: float, note: str = "") -> None:
        if self.prison.ask(op="progress", value=float(value), total=float(total), note=str(note))["cancelled"]:
            raise CancelledError

    def preview(self, data: bytes, mime: str = "image/jpeg") -> None:
        self.prison.ask(op="preview", data=data, mime=mime)

    def save(
        self,
        data: bytes | Pieces,
        extension: str,
        *,
        prefix: str = "ComfyUI",
        kind: str = "output",
        width: int = 0,
        height: int = 0,
    ) -> Any:
        from engine.outputs import Saved, write_pieces

        file = BytesIO()
        write_pieces(file, bytes(data) if isinstance(data, bytearray) else data)
        told = {"data": file.getvalue(), "extension": extension, "prefix": prefix, "kind": kind, "width": width, "height": height}
        saved = self.prison.ask(op="save", **told)
        return Saved(saved["filename"], saved["subfolder"], saved["type"], Path(saved["path"]))


def step_of(id: str, told: Mapping[str, Any]) -> Any:
    """A step as far as a node may look at it."""
    links = {name: Link(node, output) for name, (node, output) in told["links"].items()}
    return SimpleNamespace(
        id=id, spec=SimpleNamespace(type=told["type"]), params=told["params"] or {}, links=links, display=told["display"],
        parent=told["parent"],
    )  # fmt: skip


def inference() -> Any:
    from engine.calling import inference as mode

    return mode()


def waited(value: Any) -> Any:
    if not inspect.isawaitable(value):
        return value

    async def wait() -> Any:
        return await value

    return asyncio.run(wait())


def load(path: Path, folders: Folders) -> Iterable[Any]:
    """The pack's nodes; ComfyUI's modules, where it wants them, look into our folders."""
    if is_foreign(path):
        importlib.import_module("engine.comfy.host").host().folders = folders
    return load_pack(path)


def brought(prison: Prison) -> dict[str, Any]:
    """What the pack has for a server: its web folders, and how many routes and prompt handlers nobody will call."""
    comfy = sys.modules.get("engine.comfy.host")
    if comfy is None:
        return {"web": {}, "routes": 0, "handlers": 0}

    def unsent(event: str | int, data: Any, sid: str | None = None) -> None:
        prison.unsent = True

    host = comfy.host()
    host.send = unsent
    server = importlib.import_module("engine.comfy.faces.server").PromptServer.instance
    return {
        "web": {name: str(folder) for name, folder in host.web_folders.items()},
        "routes": len(server.routes) + len(server.app.added), "handlers": len(server.on_prompt_handlers),
    }  # fmt: skip


def run(line: socket.socket, config: Mapping[str, Any], refused: Exception | None) -> None:
    """Load the pack and answer; if the process could not be confined, only say so."""
    given: Any = {name: Path(path) for name, path in config["folders"].items()}
    more: Any = {
        name: {kind: tuple(map(Path, paths)) for kind, paths in kinds.items()} for name, kinds in config["more_folders"].items()
    }
    folders = Folders(**given, **more)
    prison = Prison(line, {}, folders, {})
    failures: list[list[str]] = []
    try:
        if refused is not None:
            raise refused
        for found in load(Path(config["path"]), folders):
            if isinstance(found, Failure):
                failures.append([found.module, found.message, found.traceback])
            else:
                prison.specs[found.type] = found
        specs = [described(spec, folders) for spec in prison.specs.values()]
        prison.tell(op="ready", specs=specs, failures=failures, **brought(prison))
    except (Exception, SystemExit) as error:
        prison.tell(op="error", kind=type(error).__name__, message=str(error), lines=traceback.format_exception(error))
        return
    prison.serve()
