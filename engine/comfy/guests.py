"""What foreign packs bring to a server: routes, scripts, prompts they change, messages to clients."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.comfy.host import Host, Jobs
from engine.folders import Folders

if TYPE_CHECKING:
    from aiohttp import web

Handler = Callable[["web.Request"], Awaitable["web.StreamResponse"]]


class Guests:
    """The host as a server sees it."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._table: tuple[int, web.UrlDispatcher] | None = None

    @property
    def web_folders(self) -> Mapping[str, Path]:
        return self.host.web_folders

    @property
    def replacements(self) -> Mapping[str, Any]:
        return self.host.replacements

    def connect(self, send: Callable[..., None], folders: Folders, remaining: Callable[[], int], jobs: Jobs) -> None:
        """From here on messages of packs go to clients, they see the server's jobs, and it knows the folders they added."""
        for shared, added in ((folders.extra, self.host.folders.extra), (folders.first, self.host.folders.first)):
            assert isinstance(shared, dict)
            shared.update(added)
        self.host.folders = folders
        self.host.send, self.host.remaining, self.host.server = send, remaining, jobs

    def on_prompt(self, body: dict[str, Any]) -> dict[str, Any]:
        """The body of a prompt as packs want it."""
        from engine.comfy.faces.server import PromptServer

        return PromptServer.instance.trigger_on_prompt(body)

    async def resolve(self, request: web.Request) -> Handler | None:
        """The handler of the pack route a request is for, the request now having its match."""
        found = await self._routes().resolve(request)
        if found.http_exception is not None:
            return None
        found.add_app(request.app)
        request._match_info = found
        request._cache.pop("match_info", None)
        return found.handler

    def _routes(self) -> web.UrlDispatcher:
        """What packs have registered, with and without ``/api``."""
        from aiohttp import web

        from engine.comfy.faces.server import PromptServer

        server = PromptServer.instance
        count = len(server.routes) + len(server.app.added)
        if self._table is None or self._table[0] != count:
            table = web.UrlDispatcher()
            for route in [*server.routes, *server.app.added]:
                route.register(table)
                if isinstance(route, web.RouteDef):
                    web.RouteDef(route.method, "/api" + route.path, route.handler, route.kwargs).register(table)
            self._table = count, table
        return self._table[1]
