"""The real application on a real socket, with a real database, driven by a real client."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from engine.folders import Folders
from engine.server.app import make_app
from engine.server.options import Options
from engine.server.runtime import Engine
from engine.server.site import SITE, Site
from tests.server.nodes_for_tests import SPECS

SECONDS = 60.0
"""After so long something hangs, even on a machine with other things to do."""


@dataclass
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


class Socket:
    """A websocket as a script has it: what comes, in order."""

    def __init__(self, server: "Server", socket: aiohttp.ClientWebSocketResponse) -> None:
        self.server, self.socket = server, socket

    def receive(self, seconds: float = SECONDS) -> Any:
        """The next message: JSON read, binary as bytes."""
        message = self.server.call(self.socket.receive(seconds))
        if message.type is aiohttp.WSMsgType.BINARY:
            return message.data
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise ConnectionError(str(message.type))
        return json.loads(message.data)

    def until(self, wanted: Callable[[Any], bool]) -> list[Any]:
        """Everything up to and with the first message that is ``wanted``."""
        found = [self.receive()]
        while not wanted(found[-1]):
            found.append(self.receive())
        return found

    def until_end(self, prompt_id: str) -> list[Any]:
        return self.until(lambda m: is_end(m, prompt_id))

    def send(self, data: Any) -> None:
        self.server.call(self.socket.send_str(json.dumps(data)))

    def close(self) -> None:
        self.server.call(self.socket.close())


def is_end(message: Any, prompt_id: str) -> bool:
    data = message.get("data") if isinstance(message, dict) else None
    return isinstance(data, dict) and message["type"] == "executing" and data == {"node": None, "prompt_id": prompt_id}


class Server:
    """A server in this process, on a thread of its own."""

    def __init__(self, options: Options, load: Callable[[], Engine] | None = None) -> None:
        self.options, self.load = options, load or load_engine
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.headers: dict[str, str] = {}
        self.call(self._start())

    async def _start(self) -> None:
        app = make_app(self.options, self.load)
        self.site: Site = app[SITE]
        self.runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self.runner.setup()
        at = web.TCPSite(self.runner, "127.0.0.1", 0)
        await at.start()
        self.port = self.runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))

    def call(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(SECONDS * 2)

    def stop(self) -> None:
        async def end() -> None:
            await self.session.close()
            await self.runner.cleanup()

        self.call(end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()

    def request(self, method: str, path: str, **how: Any) -> Reply:
        async def work() -> Reply:
            headers = {**self.headers, **how.pop("headers", {})}
            async with self.session.request(method, self.url + path, headers=headers, allow_redirects=False, **how) as answer:
                return Reply(answer.status, answer.headers, await answer.read())

        reply: Reply = self.call(work())
        return reply

    def get(self, path: str, **how: Any) -> Reply:
        return self.request("GET", path, **how)

    def post(self, path: str, **how: Any) -> Reply:
        return self.request("POST", path, **how)

    def socket(self, client_id: str, **how: Any) -> Socket:
        headers = {**self.headers, **how.pop("headers", {})}
        url = f"{self.url}/ws?clientId={client_id}"
        return Socket(self, self.call(self.session.ws_connect(url, headers=headers, **how)))

    def queue(self, prompt: Any, **more: Any) -> str:
        reply = self.post("/prompt", json={"prompt": prompt, **more})
        assert reply.status == 200, reply.text
        found: str = reply.json["prompt_id"]
        return found

    def wait(self, prompt_id: str) -> Any:
        """The history entry, once there is one."""
        for _ in range(int(SECONDS * 50)):
            entry = self.get(f"/history/{prompt_id}").json.get(prompt_id)
            if entry is not None:
                return entry
            threading.Event().wait(0.02)
        raise TimeoutError(prompt_id)


def load_engine() -> Engine:
    from engine.executors.local import LocalExecutor

    executor = LocalExecutor(SPECS)
    return Engine(SPECS, executor.run, lambda _models, results: executor.cache.clear() if results else None, close=executor.close)


def chain(length: int = 3, start: int = 0) -> dict[str, Any]:
    """Numbers added up, then shown."""
    nodes: dict[str, Any] = {"1": {"class_type": "Number", "inputs": {"value": start}}}
    for n in range(2, length):
        nodes[str(n)] = {"class_type": "Add", "inputs": {"a": [str(n - 1), 0], "b": n}}
    nodes[str(length)] = {"class_type": "Show", "inputs": {"value": [str(length - 1), 0]}}
    return nodes


def waiting(seconds: float = 30.0, seed: int = 0) -> dict[str, Any]:
    return {
        "1": {"class_type": "Wait", "inputs": {"seconds": seconds, "seed": seed}},
        "2": {"class_type": "Show", "inputs": {"value": ["1", 0]}},
    }


@pytest.fixture
def options(tmp_path: Path) -> Options:
    models = tmp_path / "models"
    (models / "checkpoints").mkdir(parents=True)
    return Options(folders=Folders(base=tmp_path), port=0, quiet=True)


@pytest.fixture
def make_server(options: Options) -> Iterator[Callable[..., Server]]:
    made: list[Server] = []

    def make(**changes: Any) -> Server:
        server = Server(replace(options, **changes))
        made.append(server)
        return server

    yield make
    for server in made:
        if server.thread.is_alive():
            server.stop()


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    return make_server()
