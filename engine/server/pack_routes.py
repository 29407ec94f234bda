"""Routes that packs add: asked when no route of the server's own answers, behind the same checks."""

from aiohttp import web

from engine.server.access import Role, user_of
from engine.server.refusal import Refusal
from engine.server.site import site_of


async def pack_route(request: web.Request) -> web.StreamResponse:
    """A route of a pack."""
    answer = await pack_answer(request)
    if answer is None:
        raise Refusal(404, "404: Not Found")
    return answer


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
