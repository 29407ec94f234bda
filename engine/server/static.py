"""The editor's files, and the page that stands in where there are none."""

import asyncio
import gzip
import logging
import mimetypes
from functools import cache, lru_cache
from pathlib import Path
from urllib.parse import quote

from aiohttp import web

from engine.folders import PROJECT, PathError, inside
from engine.server.access import Role, user_of
from engine.server.joined import Joiner, UnjoinableError
from engine.server.pack_routes import pack_answer
from engine.server.policy import policy_of
from engine.server.refusal import Refusal
from engine.server.site import site_of

log = logging.getLogger(__name__)
PAGES = Path(__file__).parent / "pages"
OURS = PROJECT / "web"
IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".svg", ".gif", ".ico", ".avif")
SECONDS_A_DAY = 86_400
SECONDS_A_YEAR = 365 * SECONDS_A_DAY


async def index(request: web.Request) -> web.StreamResponse:
    """The editor."""
    site = site_of(request)
    if site.options.login_needed and user_of(request).role is Role.ANYONE:
        after = f"?next={quote(request.path_qs, safe='')}" if request.query_string else ""
        return web.Response(status=303, headers={"Location": f"/login{after}", "Cache-Control": "no-store"})
    page = site.options.front_end / "index.html"
    if not page.is_file():
        return send_file(PAGES / "missing.html")
    try:
        found = None if "parts" in request.query else await asyncio.to_thread(joiner(site.options.front_end).joined)
    except UnjoinableError as why:
        log.warning("The editor is served in parts: %s", why)
        found = None
    if found is None:
        answer = send_file(page)
        if site.options.front_end != OURS:
            answer.headers["Content-Security-Policy"] = await asyncio.to_thread(policy_of, page)
        return answer
    return web.Response(text=found.page, content_type="text/html", headers={"Cache-Control": "no-cache"})


@cache
def joiner(root: Path) -> Joiner:
    return Joiner(root)


async def joined(request: web.Request) -> web.StreamResponse:
    """The editor's modules in one script, or its styles in one sheet. The name says what is inside: it may be kept for ever."""
    found = await asyncio.to_thread(joiner(site_of(request).options.front_end).joined)
    if found is None or (file := found.files.get(request.match_info["name"])) is None:
        raise Refusal(404, "404: Not Found")
    kind, plain, packed = file
    headers = {"Cache-Control": f"public, max-age={SECONDS_A_YEAR}, immutable", "Vary": "Accept-Encoding"}
    headers["Content-Type"] = f"{kind}; charset=utf-8"
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        return web.Response(body=packed, headers=headers | {"Content-Encoding": "gzip"})
    return web.Response(body=plain, headers=headers)


async def docs(request: web.Request) -> web.StreamResponse:
    """The API's description as a page."""
    return send_file(PAGES / "docs.html")


async def login(request: web.Request) -> web.StreamResponse:
    """Where to log in."""
    return send_file(PAGES / "login.html")


async def static(request: web.Request) -> web.StreamResponse:
    """A file of the editor; where there is none, what a pack's route answers."""
    site = site_of(request)
    try:
        path = found_below(site.options.front_end, request.match_info["path"])
    except Refusal:
        if (answer := await pack_answer(request)) is None:
            raise
        return answer
    return packed(path) if path.suffix == ".svg" and "gzip" in request.headers.get("Accept-Encoding", "") else send_file(path)


async def page(request: web.Request) -> web.StreamResponse:
    """A file of the server's own pages."""
    return serve_below(PAGES, request.match_info["path"])


def serve_below(root: Path, name: str) -> web.StreamResponse:
    """A file under ``root``; 404 for anything that is not."""
    return send_file(found_below(root, name))


def found_below(root: Path, name: str) -> Path:
    """The path of a file under ``root``; 404 for anything that is not."""
    try:
        path = inside(root, name)
        found = path.is_file()
    except (PathError, OSError, ValueError):
        raise Refusal(404, "404: Not Found") from None
    if not found or any(part.startswith(".") for part in Path(name).parts):
        raise Refusal(404, "404: Not Found")
    return path


def packed(path: Path) -> web.Response:
    """A drawing as gzip, which is a fifth of it. Scripts and styles come joined; what else there is, is packed already."""
    headers = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding", "Cache-Control": f"public, max-age={SECONDS_A_DAY}"}
    headers["Content-Type"] = "image/svg+xml; charset=utf-8"
    return web.Response(body=gzipped(path, path.stat().st_mtime_ns), headers=headers)


@lru_cache(64)
def gzipped(path: Path, modified: int) -> bytes:
    del modified
    return gzip.compress(path.read_bytes())


def send_file(path: Path) -> web.FileResponse:
    """The file, with how long a browser may keep it: pictures for a day, code only as long as it is unchanged."""
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if path.suffix in (".js", ".mjs"):
        kind = "text/javascript"
    lasting = path.suffix.lower() in IMAGES
    cached = f"public, max-age={SECONDS_A_DAY}" if lasting else "no-cache"
    text = kind.startswith("text/") or kind in ("application/json", "image/svg+xml")
    return web.FileResponse(path, headers={"Cache-Control": cached, "Content-Type": f"{kind}; charset=utf-8" if text else kind})
