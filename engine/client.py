"""A client for scripts: queue a workflow, follow it, take what it made.

```
with Client().run("hello", text="a robot on the beach") as job:
    for event in job:
        if isinstance(event, Progress):
            print(f"{event.value:.0f} of {event.total:.0f}")
    for file in job.files():
        file.save(".")
```
``AsyncClient`` is the same with ``async with``, ``async for`` and ``await``.
"""

import base64
import contextlib
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pydantic import TypeAdapter

from engine.events import Event, Finished, Preview, Progress, StepFinished, StepStarted

if TYPE_CHECKING:
    import aiohttp

__all__ = ["AsyncClient", "AsyncJob", "Client", "Event", "File", "Finished", "Job", "Preview", "Progress", "Refused", "RunError",
           "StepFinished", "StepStarted"]  # fmt: skip
EVENT: TypeAdapter[Event] = TypeAdapter(Event)
OURS = ("job", "progress_state", "end")


class Refused(Exception):
    """The server said no; ``body`` is what it said."""

    def __init__(self, status: int, body: Any) -> None:
        error = body.get("error", body) if isinstance(body, Mapping) else body
        super().__init__(f"{status}: {error.get('message', error) if isinstance(error, Mapping) else error}")
        self.status, self.body = status, body


class RunError(Exception):
    """The job failed or was cancelled; ``job`` is the server's account of it."""

    def __init__(self, job: Mapping[str, Any]) -> None:
        error = job.get("execution_error") or {}
        super().__init__(error.get("exception_message") or f"the job was {job.get('status')}")
        self.job = dict(job)


@dataclass(frozen=True, slots=True)
class File:
    """A file that a job made."""

    filename: str
    subfolder: str
    type: str
    data: bytes = field(repr=False)

    def save(self, folder: str | Path) -> Path:
        """Write the file into a folder; the path."""
        path = Path(folder) / self.filename
        path.write_bytes(self.data)
        return path


def request_of(
    what: str | Mapping[str, Any], inputs: Mapping[str, Any], options: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """(path, body) that queue a saved workflow by name, a prompt, or a workflow of the editor."""
    if isinstance(what, str):
        return f"/api/workflows/{urllib.parse.quote(what)}/run", {"inputs": dict(inputs), **options}
    if inputs:
        raise TypeError("Inputs by name are for saved workflows; change a prompt's own inputs instead.")
    form = "workflow" if isinstance(what.get("nodes"), list) else "prompt"
    return "/api/prompt", {form: dict(what), **options}


def told(lines: Iterable[str]) -> tuple[str, dict[str, Any]] | None:
    """The event in one block of a stream; None for a comment."""
    parts = dict(line.split(": ", 1) for line in lines if ": " in line and not line.startswith(":"))
    return (parts["event"], json.loads(parts["data"])) if "event" in parts else None


def event_of(data: dict[str, Any]) -> Event:
    if data.get("kind") == "preview":
        data = {**data, "data": base64.b64decode(data["data"])}
    return EVENT.validate_python(data)


def files_of(outputs: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Every file among a job's outputs."""
    for output in outputs.values():
        for items in output.values():
            for item in items if isinstance(items, list) else ():
                if isinstance(item, dict) and "filename" in item:
                    yield {name: str(item.get(name, "")) for name in ("filename", "subfolder", "type")}


def body_of(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text.decode("utf-8", "replace")


class _End:
    """What both kinds of job know of how it ended."""

    id: str
    end: dict[str, Any] | None = None

    @property
    def outputs(self) -> dict[str, Any]:
        """What the nodes put out, by node; there once the job has ended."""
        if self.end is None:
            raise RuntimeError("The job has not ended yet; iterate over it or call wait().")
        found: dict[str, Any] = self.end.get("outputs", {})
        return found

    def _ended(self, data: dict[str, Any]) -> None:
        self.end = data
        if data.get("status") != "completed":
            raise RunError(data)


@dataclass
class Client:
    """Talks to a server; ``token`` is needed where the server has users."""

    url: str = "http://127.0.0.1:8188"
    token: str | None = None
    timeout: float = 60.0

    def run(self, what: str | Mapping[str, Any], /, *, queue: Mapping[str, Any] | None = None, **inputs: Any) -> "Job":
        """Queue a saved workflow by name with its inputs, or a prompt; ``queue`` takes priority, front, title, client_id."""
        path, body = request_of(what, inputs, queue or {})
        return Job(self, self.call("POST", path, body)["prompt_id"])

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON that a route answers; Refused where it says no."""
        with self._open(method, path, body, self.timeout) as reply:
            text = reply.read()
        return json.loads(text) if text else None

    def view(self, filename: str, subfolder: str = "", type: str = "output") -> bytes:
        """A file of the input, output or temp folder."""
        query = urllib.parse.urlencode({"filename": filename, "subfolder": subfolder, "type": type})
        with self._open("GET", f"/api/view?{query}", None, self.timeout) as reply:
            data: bytes = reply.read()
            return data

    def _open(self, method: str, path: str, body: Any, timeout: float) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        try:
            return urllib.request.urlopen(request, timeout=timeout)
        except urllib.error.HTTPError as no:
            with no:
                raise Refused(no.code, body_of(no.read())) from None


class Job(_End):
    """A queued job: iterate for its events. Leaving the ``with`` waits for it; leaving by an exception cancels it."""

    def __init__(self, client: Client, id: str) -> None:
        self.client, self.id = client, id

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.wait()
        elif self.end is None:
            with contextlib.suppress(OSError, Refused):
                self.cancel()

    def __iter__(self) -> Iterator[Event]:
        """The events until the job has ended; RunError where it did not end well."""
        if self.end is not None:
            return
        with self.client._open("GET", f"/api/jobs/{self.id}/events", None, self.client.timeout) as stream:
            block: list[str] = []
            for line in stream:
                text = line.decode().rstrip("\n")
                block.append(text)
                found = told(block) if not text else None
                if not text:
                    block = []
                if found is not None and found[0] == "end":
                    self._ended(found[1])
                    return
                if found is not None and found[0] not in OURS:
                    yield event_of(found[1])
        raise ConnectionError("The server went away before the job ended; the job goes on there.")

    def wait(self) -> dict[str, Any]:
        """Wait for the end; the outputs."""
        for _ in self:
            pass
        return self.outputs

    def cancel(self) -> bool:
        """Stop the job; False where it had ended."""
        stopped: bool = self.client.call("POST", f"/api/jobs/{self.id}/cancel")["cancelled"]
        return stopped

    def files(self) -> Iterator[File]:
        """The files that the job made."""
        for place in files_of(self.wait()):
            yield File(**place, data=self.client.view(**place))


class AsyncClient:
    """``Client`` for asyncio, on aiohttp: ``async with AsyncClient() as client``."""

    def __init__(self, url: str = "http://127.0.0.1:8188", token: str | None = None) -> None:
        self.url, self.token = url, token
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        import aiohttp

        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        self._session = aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(sock_read=60), read_bufsize=2**22)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    def run(self, what: str | Mapping[str, Any], /, *, queue: Mapping[str, Any] | None = None, **inputs: Any) -> "AsyncJob":
        """As ``Client.run``; the job is queued when it is entered (``async with client.run(...) as job``)."""
        return AsyncJob(self, *request_of(what, inputs, queue or {}))

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        async with self.request(method, path, body) as reply:
            text = await reply.read()
        return json.loads(text) if text else None

    async def view(self, filename: str, subfolder: str = "", type: str = "output") -> bytes:
        query = urllib.parse.urlencode({"filename": filename, "subfolder": subfolder, "type": type})
        async with self.request("GET", f"/api/view?{query}") as reply:
            return await reply.read()

    @contextlib.asynccontextmanager
    async def request(self, method: str, path: str, body: Any = None) -> "AsyncIterator[aiohttp.ClientResponse]":
        if self._session is None:
            raise RuntimeError("Enter the client first: async with AsyncClient() as client.")
        async with self._session.request(method, self.url + path, json=body) as reply:
            if reply.status >= 400:
                raise Refused(reply.status, body_of(await reply.read()))
            yield reply


class AsyncJob(_End):
    """``Job`` for asyncio."""

    def __init__(self, client: AsyncClient, path: str, body: dict[str, Any]) -> None:
        self.client, self.id = client, ""
        self._path, self._body = path, body

    async def __aenter__(self) -> Self:
        self.id = (await self.client.call("POST", self._path, self._body))["prompt_id"]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            await self.wait()
        elif self.end is None:
            with contextlib.suppress(OSError, Refused):
                await self.cancel()

    async def __aiter__(self) -> AsyncIterator[Event]:
        if self.end is not None:
            return
        async with self.client.request("GET", f"/api/jobs/{self.id}/events") as stream:
            block: list[str] = []
            async for line in stream.content:
                text = line.decode().rstrip("\n")
                block.append(text)
                found = told(block) if not text else None
                if not text:
                    block = []
                if found is not None and found[0] == "end":
                    self._ended(found[1])
                    return
                if found is not None and found[0] not in OURS:
                    yield event_of(found[1])
        raise ConnectionError("The server went away before the job ended; the job goes on there.")

    async def wait(self) -> dict[str, Any]:
        async for _ in self:
            pass
        return self.outputs

    async def cancel(self) -> bool:
        stopped: bool = (await self.client.call("POST", f"/api/jobs/{self.id}/cancel"))["cancelled"]
        return stopped

    async def files(self) -> AsyncIterator[File]:
        for place in files_of(await self.wait()):
            yield File(**place, data=await self.client.view(**place))
