"""Who listens, and what each of them is told. Lives on the server's loop; ``tell`` and ``send`` may be called from any thread."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from engine.jobs.job import dump, plain
from engine.jobs.story import NODE_COST, Encoded, Message
from engine.server import frames
from engine.server.frames import Binary
from engine.server.outbox import Frame, Outbox

GATHER_SECONDS = 0.004
STATUS_SECONDS = 0.1
ABSENT_SECONDS = 60.0
ABSENT_FRAMES, ABSENT_BYTES = 256, 1024 * 1024
MAX_WATCHED = 1000
STATE = frozenset({"status", "progress", "progress_state"})
Address = tuple[str, str]
"""(user, clientId): the same clientId of two users is two clients."""


@dataclass(eq=False)
class Client:
    """A websocket, or the memory of one that left a moment ago and may come back."""

    address: Address
    outbox: Outbox = field(default_factory=Outbox)
    features: Mapping[str, Any] = field(default_factory=dict)
    filled: asyncio.Event = field(default_factory=asyncio.Event)
    socket: web.WebSocketResponse | None = None
    left_at: float | None = None
    lost: bool = False
    logs: bool = False
    watching: set[str] = field(default_factory=set)
    everyone: bool = False
    """May see every user's jobs."""

    def sees(self, user: str) -> bool:
        return self.everyone or self.address[0] == user

    def put(self, frame: Frame, key: Hashable = None) -> None:
        if self.lost:
            return
        if not self.outbox.put(frame, key):
            self.lost = True
            self.outbox.take()
        self.filled.set()


def encode(name: str, data: object) -> str:
    if isinstance(data, Encoded):
        return f'{{"type":"{name}","data":{data}}}'
    try:
        return dump({"type": name, "data": data})
    except (TypeError, ValueError, RecursionError):
        return dump({"type": name, "data": plain(data)})


class Hub:
    """The clients by address, and what is on its way to them."""

    def __init__(self, remaining: Callable[[], int]) -> None:
        self.remaining = remaining
        self.clients: dict[Address, Client] = {}
        self.watchers: set[Client] = set()
        self.dropped = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._inbox: deque[Callable[[], None]] = deque()
        self._waking = False
        self._status_at = 0.0
        self._status_timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()

    # from any thread --------------------------------------------------------------------------------------------------

    def _post(self, act: Callable[[], None]) -> None:
        """Have the loop do ``act`` within ``GATHER_SECONDS``: waking it for every event would cost more than the events."""
        if self._loop is None or self._loop.is_closed():
            return
        self._inbox.append(act)
        if not self._waking:
            self._waking = True
            self._loop.call_soon_threadsafe(self._drain_soon)

    def _drain_soon(self) -> None:
        asyncio.get_running_loop().call_later(GATHER_SECONDS, self._drain)

    def _drain(self) -> None:
        self._waking = False
        while self._inbox:
            self._inbox.popleft()()

    def tell(self, address: Address | None, job: str, messages: list[Message]) -> None:
        """Send a job's messages to the client that submitted it, and to those who watch the job."""
        if messages and self.clients:
            self._post(lambda: self._tell(address, job, messages))

    def preview(
        self, address: Address | None, job: str, data: bytes, mime: str, about: Mapping[str, Any], *, everyone: bool = False
    ) -> None:
        """Send a picture to those who know previews; to ``everyone`` else in the old form."""
        if self.clients:
            self._post(lambda: self._preview(address, job, data, mime, about, everyone))

    def text(self, address: Address | None, job: str, node: str, words: str) -> None:
        """Show words at a node, to clients that say what they know: others take any binary message for a picture."""
        if self.clients:
            frame = frames.text(node, words)
            self._post(lambda: self._text(address, job, node, frame))

    def send(self, name: str | int, data: Any, sid: str | None = None, user: str | None = None) -> None:
        """What node packs call: to one clientId (of ``user``), or to all. A ``Binary`` number sends a binary frame."""
        self._post(lambda: self._send(name, data, sid, user))

    def log(self, data: Any) -> None:
        """Send log lines to those who asked for them."""
        if any(client.logs for client in list(self.clients.values())):
            self._post(lambda: self._log(encode("logs", data)))

    def queue_changed(self) -> None:
        self._post(self._plan_status)

    # on the loop ------------------------------------------------------------------------------------------------------

    def _listeners(self, address: Address | None, job: str) -> list[Client]:
        found = [client for client in self.watchers if client.watching & {"*", job} and (not address or client.sees(address[0]))]
        own = self.clients.get(address) if address else None
        return found if own is None or own in found else [own, *found]

    def watch(self, client: Client, job: str, on: bool = True) -> None:
        """Tell a client of a job that another one submitted; ``*`` stands for all that its user may see."""
        if on and len(client.watching) < MAX_WATCHED:
            client.watching.add(job)
        elif not on:
            client.watching.discard(job)
        if client.watching:
            self.watchers.add(client)
        else:
            self.watchers.discard(client)

    def _tell(self, address: Address | None, job: str, messages: list[Message]) -> None:
        clients = self._listeners(address, job)
        if not clients:
            return
        knowing = [client for client in clients if client.features.get("supports_node_cost")]
        for name, data in messages:
            listeners = knowing if name == NODE_COST else clients
            if not listeners:
                continue
            frame = encode(name, data)
            key = (name, job) if name in STATE else None
            for client in listeners:
                client.put(frame, key)

    def _preview(
        self, address: Address | None, job: str, data: bytes, mime: str, about: Mapping[str, Any], everyone: bool
    ) -> None:
        for client in self._listeners(address, job):
            if client.features.get("supports_preview_metadata"):
                client.put(frames.preview_with_metadata(data, mime, about), ("preview", job))
            elif everyone:
                client.put(frames.preview(data, mime), ("preview", job))

    def _text(self, address: Address | None, job: str, node: str, frame: bytes) -> None:
        for client in self._listeners(address, job):
            if client.features:
                client.put(frame, ("text", job, node))

    def _log(self, frame: str) -> None:
        for client in self.clients.values():
            if client.logs:
                client.put(frame, None)

    def _send(self, name: str | int, data: Any, sid: str | None, user: str | None) -> None:
        frame = encode(name, data) if isinstance(name, str) else encode_binary(name, data)
        for client in list(self.clients.values()):
            if sid is None or (client.address[1] == sid and user in (None, client.address[0])):
                client.put(frame)

    def status(self) -> dict[str, Any]:
        return {"status": {"exec_info": {"queue_remaining": self.remaining()}}}

    def _plan_status(self) -> None:
        """Tell everyone how long the queue is: now, or, when that was told a moment ago, soon."""
        wait = self._status_at + STATUS_SECONDS - time.monotonic()
        if wait <= 0:
            self._send_status()
        elif self._status_timer is None:
            self._status_timer = asyncio.get_running_loop().call_later(wait, self._send_status)

    def _send_status(self) -> None:
        if self._status_timer is not None:
            self._status_timer.cancel()
            self._status_timer = None
        self._status_at = time.monotonic()
        frame = encode("status", self.status())
        for client in self.clients.values():
            client.put(frame, "status")

    # coming and going -------------------------------------------------------------------------------------------------

    def join(self, address: Address, *, everyone: bool = False) -> Client:
        """A client that connects; where its clientId was here a moment ago, what it missed waits for it."""
        self.forget_absent()
        earlier = self.clients.pop(address, None)
        client = Client(address, everyone=everyone)
        client.put(encode("status", {**self.status(), "sid": address[1]}))
        if earlier is not None:
            client.features, client.watching = earlier.features, earlier.watching
            missed = earlier.outbox.take() if earlier.left_at is not None else []
            for frame in missed:
                client.put(frame)
            earlier.lost = True
            earlier.filled.set()
            self.watchers.discard(earlier)
            if client.watching:
                self.watchers.add(client)
        self.clients[address] = client
        return client

    def leave(self, client: Client) -> None:
        if self.clients.get(client.address) is client:
            client.left_at = time.monotonic()
            client.socket = None
            client.lost = False
            client.logs = False
            client.outbox = Outbox(ABSENT_FRAMES, ABSENT_BYTES)

    async def close(self) -> None:
        """End every connection: the server goes down."""
        for client in list(self.clients.values()):
            if client.socket is not None:
                with contextlib.suppress(Exception):
                    await asyncio.wait_for(client.socket.close(code=1001), 1.0)

    def forget_absent(self) -> None:
        """Drop those who left a minute ago and did not come back."""
        limit = time.monotonic() - ABSENT_SECONDS
        for address, client in list(self.clients.items()):
            if client.left_at is not None and (client.left_at < limit or client.lost):
                del self.clients[address]
                self.watchers.discard(client)

    @property
    def connected(self) -> int:
        return sum(client.left_at is None for client in self.clients.values())


def encode_binary(kind: int, data: Any) -> bytes:
    """A frame of what a node pack hands over for a binary event."""
    if kind == Binary.UNENCODED:
        return frames.preview(*frames.encode_picture(*data))
    if kind == Binary.PREVIEW_WITH_METADATA:
        (image_kind, picture, longest), about = data
        encoded, mime = frames.encode_picture(image_kind, picture, longest)
        return frames.preview_with_metadata(encoded, mime, about)
    return int(kind).to_bytes(4, "big") + bytes(data)
