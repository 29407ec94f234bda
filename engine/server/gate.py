"""What every request passes: Host and Origin, login, role; and what every answer carries."""

import errno
import logging
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from engine.server.access import LOCAL, NOBODY, USER, Role, User
from engine.server.options import Options, is_address, is_loopback
from engine.server.policy import POLICY
from engine.server.refusal import Refusal, refuse
from engine.server.route import Route
from engine.server.site import SITE, Site

log = logging.getLogger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
COOKIE = "loom_session"
SAFE = ("GET", "HEAD", "OPTIONS")
PERSONAL = ("/settings", "/userdata", "/v2/userdata", "/me")
TOKEN_IN_QUERY = ("/ws", "/events")
CORS_METHODS = "GET, POST, PUT, PATCH, DELETE, OPTIONS"


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn refusals into answers; let no other exception show more than that there was one."""
    site = request.config_dict[SITE]
    try:
        check_host(request, site.options)
        if site.options.cors_origin is None:
            check_origin(request)
        elif request.method == "OPTIONS":
            return with_headers(web.Response(), site.options)
        return with_headers(await handler(request), site.options)
    except Refusal as no:
        return with_headers(no.response(), site.options)
    except web.HTTPRequestEntityTooLarge:
        return with_headers(refuse(413, "The body is larger than this server takes.").response(), site.options)
    except web.HTTPException as other:
        for name, value in headers(site.options).items():
            other.headers.setdefault(name, value)
        raise
    except HttpProcessingError as bad:
        return with_headers(refuse(400, f"The request cannot be read: {bad.message[:200]}").response(), site.options)
    except (ConnectionError, TimeoutError):
        raise
    except Exception as problem:
        log.exception("%s %s failed", request.method, request.path)
        if is_full(problem):
            why = "There is no room on the disk that the jobs are kept on. Make some, then try again."
            return with_headers(refuse(507, why).response(), site.options)
        return with_headers(refuse(500, "The server failed; its log says how.").response(), site.options)


def is_full(problem: BaseException) -> bool:
    """Whether a disk is the reason: said by the system, or by the database in its own words."""
    return (isinstance(problem, OSError) and problem.errno == errno.ENOSPC) or "database or disk is full" in str(problem)


def headers(options: Options) -> dict[str, str]:
    found = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin"}
    if options.cors_origin is not None:
        found |= {
            "Access-Control-Allow-Origin": options.cors_origin,
            "Access-Control-Allow-Methods": CORS_METHODS,
            "Access-Control-Allow-Headers": "Content-Type, Authorization, Idempotency-Key",
            "Cross-Origin-Resource-Policy": "cross-origin",
        }
        if options.cors_origin != "*":
            found["Access-Control-Allow-Credentials"] = "true"
    return found


def with_headers(response: web.StreamResponse, options: Options) -> web.StreamResponse:
    if response.prepared:
        return response
    for name, value in headers(options).items():
        response.headers.setdefault(name, value)
    if options.compress and isinstance(response, web.Response):
        response.enable_compression()
    if response.content_type == "text/html":
        response.headers.setdefault("Content-Security-Policy", POLICY)
    return response


def check_host(request: web.Request, options: Options) -> None:
    """Without login, answer only to names that nobody else can point here: no page of another site may pass for ours.

    A server of this machine alone answers to this machine's names, one that others reach to addresses; both to those that
    were allowed. Where everyone must log in, another name brings no cookie along and so no harm.
    """
    if options.login_needed:
        return
    host = host_of(request.headers.get("Host", ""))
    known = is_loopback(host) or host in options.allowed_hosts or host in options.hosts
    if not known and (options.loopback or not is_address(host)):
        cure = f"--allowed-hosts {host[:100]} makes it." if host else ""
        raise Refusal(403, f"This server does not answer to the name {host[:100]!r}. {cure}")


def check_origin(request: web.Request) -> None:
    """A page of another site may neither change nor read anything here."""
    origin = request.headers.get("Origin")
    if origin is not None and same_port(urlsplit(origin).netloc.lower()) != same_port(request.headers.get("Host", "").lower()):
        raise Refusal(403)
    if request.headers.get("Sec-Fetch-Site") == "cross-site" and request.method not in SAFE:
        raise Refusal(403)


def host_of(netloc: str) -> str:
    """The name without the port."""
    try:
        return (urlsplit(f"//{netloc}").hostname or "").lower()
    except ValueError:
        return ""


def same_port(netloc: str) -> str:
    return netloc.removesuffix(":80").removesuffix(":443")


def bind(route: Route) -> Handler:
    """The route's handler behind the checks of its entry."""

    async def handle(request: web.Request) -> web.StreamResponse:
        site = request.config_dict[SITE]
        if not route.early:
            await site.ready
        user = request[USER] = await who(request, site, route)
        if user.role < route.role:
            if user.role is Role.ANYONE:
                raise Refusal(401, {"error": "Log in first."}, WWW_Authenticate="Bearer")
            raise refuse(403, f"This needs the role {route.role.name.lower()}; {user.name} has {user.role.name.lower()}.")
        return await route.handler(request)

    return handle


async def who(request: web.Request, site: Site, route: Route) -> User:
    """The user behind a request: by token, by session, or the one user of a server without login."""
    if not site.options.login_needed:
        return local_user(request, site)
    token = token_of(request)
    if token is None or (route.early and not site.ready.done()):
        return NOBODY
    account = site.accounts.holder(token)
    return User(account.id, account.name, Role[account.role.upper()]) if account else NOBODY


def local_user(request: web.Request, site: Site) -> User:
    """Without login everyone is the administrator; with ``--multi-user`` the client says whose settings and files it wants.

    Jobs and pictures are everyone's: neither a websocket nor an ``<img>`` can say for whom it asks.
    """
    profile = request.headers.get("comfy-user")
    personal = request.path.removeprefix("/api").startswith(PERSONAL)
    if not site.options.multi_user or profile is None or not personal or not site.ready.done():
        return LOCAL
    for account in site.accounts.list():
        if account.id == profile:
            return User(account.id, account.name, Role.ADMIN)
    return LOCAL if profile == LOCAL.id else NOBODY


def token_of(request: web.Request) -> str | None:
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer" and token:
        return token.strip()
    if cookie := request.cookies.get(COOKIE):
        return cookie
    return request.query.get("token") if request.path.endswith(TOKEN_IN_QUERY) else None
