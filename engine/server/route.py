"""One entry of the route table: where, who may, and what goes in and out."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web
from pydantic import BaseModel

from engine.server.access import Role

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """``answer`` is the model of the JSON in a 200, or a MIME type; ``refusals`` the other statuses with what they mean.

    The first line of the handler's docstring is the route's summary. ``early`` routes are answered while the rest still
    loads; ``bare`` ones exist only as they are written, the others with and without ``/api``.
    """

    method: str
    path: str
    handler: Handler
    role: Role = Role.VIEWER
    query: type[BaseModel] | None = None
    body: type[BaseModel] | object | str | None = None
    answer: type[BaseModel] | object | str | None = None
    status: int = 200
    refusals: Mapping[int, str] = field(default_factory=dict)
    early: bool = False
    bare: bool = False

    def paths(self) -> list[str]:
        if self.bare:
            return [self.path]
        plain = self.path.removeprefix("/api")
        return [plain, f"/api{plain}"]
