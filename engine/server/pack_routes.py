"""Routes that packs add: asked when no route of the server's own answers, behind the same checks."""

from aiohttp import web

from engine.server.access import Role, user_of
from engine.server.refusal import Refusal
from engine.server.site import site_of

EVERYTHING = "/{path}"
"""The editor's files and the routes of packs: at any path there could be one."""


async def pack_route(request: web.Request) -> web.StreamResponse:
    """A route of a pack."""
    answer = await pack_answer(request)
    if answer is not None:
        return answer
    if methods := await methods_at(request):
        raise Refusal(405, "405: Method Not Allowed", Allow=", ".join(sorted(methods)))
    raise Refusal(404, "404: Not Found")


async def methods_at(request: web.Request) -> set[str]:
    """The methods that the server's own routes know at this path; none where there is no such route."""
    found: set[str] = set()
    for resource in request.app.router.resources():
        if resource.canonical != EVERYTHING:
            found |= (await resource.resolve(request))[1]
    return found


async def pack_answer(request: web.Request) -> web.StreamResponse | None:
    """What a pack's route answers; None if none is for this path. Who may do nothing else may not do this."""
    site = site_of(request)
    await site.ready
    engine = await site.runtime.engine()
    found = await engine.guests.resolve(request) if engine.guests is not None else None
    if found is None:
        return None
    needed = Role.VIEWER if request.method in ("GET", "HEAD", "OPTIONS") else Role.USER
    if user_of(request).role < needed:
        raise Refusal(401, {"error": "Log in first."}, WWW_Authenticate="Bearer")
    answer: web.StreamResponse = await found(request)
    return answer
