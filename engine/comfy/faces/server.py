"""``PromptServer.instance``: what packs tell clients, the routes they add, the prompts they look at."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from engine.comfy.finder import missing
from engine.comfy.host import current_call, host

if TYPE_CHECKING:
    from aiohttp import web

_missing = missing(__name__)


class BinaryEventTypes:
    """Numbers of the websocket's binary frames."""

    PREVIEW_IMAGE = 1
    UNENCODED_PREVIEW_IMAGE = 2
    TEXT = 3
    PREVIEW_IMAGE_WITH_METADATA = 4


def __getattr__(name: str) -> Any:
    if name == "web":
        from aiohttp import web

        return web
    return _missing(name)


class PromptQueueFace:
    """The server's jobs as packs look at them; empty where no server runs."""

    @property
    def currently_running(self) -> dict[int, Any]:
        return dict(enumerate(self.get_current_queue()[0]))

    @property
    def queue(self) -> list[Any]:
        return self.get_current_queue()[1]

    @property
    def history(self) -> dict[str, Any]:
        return self.get_history()

    def get_tasks_remaining(self) -> int:
        return host().remaining()

    def get_current_queue(self) -> tuple[list[Any], list[Any]]:
        """Running and waiting: (number, id, prompt, extra, outputs)."""
        server = host().server
        return server.queue() if server is not None else ([], [])

    get_current_queue_volatile = get_current_queue

    def get_history(self, prompt_id: str | None = None, max_items: int | None = None, offset: int = -1) -> dict[str, Any]:
        server = host().server
        return server.past(prompt_id, max_items) if server is not None else {}

    def delete_queue_item(self, function: Callable[[Any], bool]) -> bool:
        """Take away the first waiting job that ``function`` is true for."""
        server = host().server
        found = next((item for item in self.queue if function(item)), None)
        if server is None or found is None:
            return False
        server.cancel([str(found[1])])
        return True

    def wipe_queue(self) -> None:
        if (server := host().server) is not None:
            server.cancel(None)

    def set_flag(self, name: str, data: Any) -> None:
        """``unload_models`` or ``free_memory``: done when no job runs."""
        server = host().server
        if server is not None and data and name in ("unload_models", "free_memory"):
            server.free(True, name == "free_memory")

    def put(self, item: Any) -> None:
        """Queue (number, id, prompt, extra, outputs, ...), checked as any prompt; a number below 0 goes before all that waits."""
        server = host().server
        if server is None:
            raise RuntimeError("There is no queue: no server runs.")
        number, job_id, prompt, extra, outputs = item[:5]
        server.put(str(job_id), dict(prompt), dict(extra or {}), list(outputs or ()), number < 0)


class App:
    """Takes routes as an aiohttp application does, which the real one no longer would once it serves."""

    def __init__(self) -> None:
        self.added: list[Any] = []
        self.middlewares: list[Any] = []
        self.router = self

    def add_routes(self, routes: Any) -> None:
        self.added.extend(routes)

    def add_route(self, method: str, path: str, handler: Any, **kwargs: Any) -> None:
        from aiohttp import web

        self.added.append(web.route(method, path, handler, **kwargs))

    def add_get(self, path: str, handler: Any, **kwargs: Any) -> None:
        self.add_route("GET", path, handler)

    def add_post(self, path: str, handler: Any, **kwargs: Any) -> None:
        self.add_route("POST", path, handler)

    def add_static(self, prefix: str, path: Any, **kwargs: Any) -> None:
        from aiohttp import web

        self.added.append(web.static(prefix, path, **kwargs))


class PromptServer:
    """There is one, ``PromptServer.instance``."""

    instance: PromptServer

    def __init__(self) -> None:
        self.on_prompt_handlers: list[Callable[[dict[str, Any]], dict[str, Any]]] = []
        self.prompt_queue = PromptQueueFace()
        self.sockets: dict[str, Any] = {}
        self.sockets_metadata: dict[str, Any] = {}
        self.supports = ["custom_nodes_from_web"]
        self.number = 0
        self.user_manager = None
        self.app = App()

    @cached_property
    def routes(self) -> web.RouteTableDef:
        """Decorators for routes; they answer behind the server's own checks, with and without ``/api``."""
        from aiohttp import web

        return web.RouteTableDef()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        try:
            return asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.get_event_loop_policy().get_event_loop()

    @property
    def address(self) -> str:
        return str(host().options.get("listen") or "127.0.0.1").split(",")[0]

    @property
    def port(self) -> int:
        return int(host().options.get("port") or 8188)

    @property
    def client_id(self) -> str | None:
        """The client whose prompt is at work."""
        call = current_call()
        return call.run.job.client if call else None

    @property
    def last_node_id(self) -> str | None:
        call = current_call()
        return call.run.node if call else None

    @property
    def last_prompt_id(self) -> str | None:
        call = current_call()
        return call.run.job.id if call else None

    def send_sync(self, event: str | int, data: Any, sid: str | None = None) -> None:
        """Tell one client, or all; from any thread."""
        host().send(event, data, sid)

    async def send(self, event: str | int, data: Any, sid: str | None = None) -> None:
        host().send(event, data, sid)

    async def send_json(self, event: str, data: Any, sid: str | None = None) -> None:
        host().send(event, data, sid)

    async def send_bytes(self, event: int, data: Any, sid: str | None = None) -> None:
        host().send(event, data, sid)

    async def send_image(self, image_data: Any, sid: str | None = None) -> None:
        host().send(BinaryEventTypes.UNENCODED_PREVIEW_IMAGE, image_data, sid)

    def send_progress_text(self, text: str | bytes, node_id: str, sid: str | None = None) -> None:
        """Show words at a node."""
        words = text.encode() if isinstance(text, str) else text
        name = str(node_id).encode()
        host().send(BinaryEventTypes.TEXT, len(name).to_bytes(4, "big") + name + words, sid)

    def queue_updated(self) -> None:
        """The server tells by itself."""

    def add_on_prompt_handler(self, handler: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """``handler`` may change each prompt before it is checked."""
        self.on_prompt_handlers.append(handler)

    def trigger_on_prompt(self, json_data: dict[str, Any]) -> dict[str, Any]:
        for handler in self.on_prompt_handlers:
            json_data = handler(json_data) or json_data
        return json_data


PromptServer.instance = PromptServer()
