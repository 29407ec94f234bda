"""``/api/assets/download`` and ``/api/tasks``: the server fetches a model file itself, and tells how far it is."""

import asyncio
import contextlib
import ipaddress
import logging
import shutil
import socket
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit

from aiohttp import web
from pydantic import Field

from engine.server.access import User, user_of
from engine.server.assets import MODEL_TYPE, body_of, check_tags, described, destination, hash_file, register
from engine.server.bodies import Answer, Body, json_answer
from engine.server.paths import file_name, writing
from engine.server.refusal import refuse_asset
from engine.server.site import Site, site_of
from engine.server.tasks import Download
from engine.server.uploads import Form

if TYPE_CHECKING:
    from aiohttp import ClientResponse

log = logging.getLogger(__name__)
SUFFIXES = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".gguf")
BLOCK, HOPS = 1 << 20, 5
SILENT_SECONDS = 120.0


class DownloadError(Exception):
    """What keeps a file from being fetched, in words."""


class DownloadBody(Body):
    source_url: str = Field(max_length=4000)
    filename: str = Field(default="", max_length=255)
    tags: list[str] = Field(default_factory=list, max_length=50)


class TaskAnswer(Answer):
    id: str
    status: str
    downloaded: int
    total: int | None = None
    error: str | None = None


async def post_download(request: web.Request) -> web.Response:
    """Fetch a model from ``source_url`` into the folder its tag ``model_type:FOLDER`` names; the task that does it."""
    site, user = site_of(request), user_of(request)
    body: DownloadBody = await body_of(request, DownloadBody)
    parts = urlsplit(body.source_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise refuse_asset(400, "MISSING_INPUT", "Expected source_url to be an address that begins with https:// or http://.")
    kind, root = destination(site, user, ["models", *check_tags(body.tags)])
    name = file_name(body.filename or unquote(parts.path.rsplit("/", 1)[-1]))
    if not name.lower().endswith(SUFFIXES):
        raise refuse_asset(400, "MISSING_INPUT", f"Expected a file name that ends in one of {', '.join(SUFFIXES)}, got {name!r}.")
    if (root / name).exists():
        raise refuse_asset(409, "FILE_EXISTS", f"There is a {name} in {kind}. Give another filename.")
    download = Download(body.source_url, root / name)
    tags = list(dict.fromkeys(["models", f"{MODEL_TYPE}{kind}", *body.tags]))
    site.downloads.add(download)
    download.task = asyncio.create_task(follow(site, user, download, kind, tags))
    return json_answer(download.told(), 202)


async def get_task(request: web.Request) -> web.Response:
    """How far a download is."""
    return json_answer(known(request).told())


async def delete_task(request: web.Request) -> web.Response:
    """Stop a download, or forget one that has ended."""
    download = known(request)
    if download.task is not None and not download.task.done():
        download.task.cancel()
        await asyncio.wait([download.task])
    else:
        del site_of(request).downloads.known[download.id]
    return web.Response(status=204)


def known(request: web.Request) -> Download:
    found = site_of(request).downloads.known.get(request.match_info["id"])
    if found is None:
        raise refuse_asset(404, "TASK_NOT_FOUND", "There is no such task.")
    return found


async def follow(site: Site, user: User, download: Download, kind: str, tags: list[str]) -> None:
    """Fetch, and write down how it ends."""
    try:
        async with site.downloads.places:
            download.status = "running"
            await fetch(download, private=site.options.private_downloads)
            root = download.path.parent
            digest = await asyncio.to_thread(hash_file, download.path)
            form = Form(name=download.path.name)
            asset = await asyncio.to_thread(register, site, user, download.path, root, kind, form, digest, tags)
        download.asset, download.status = described(asset), "completed"
    except asyncio.CancelledError:
        download.status = "cancelled"
        raise
    except FileExistsError:
        download.status, download.error = "failed", f"There is a {download.path.name} by now."
    except Exception as problem:
        download.status, download.error = "failed", f"{download.url}: {str(problem) or type(problem).__name__}"
        log.warning("download failed: %s", download.error)


async def fetch(download: Download, *, private: bool) -> None:
    """The file at the download's address, whole or not at all."""
    async with opened(download.url, private=private) as response:
        download.total = response.content_length
        download.path.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(download.path.parent).free
        if download.total is not None and download.total > free:
            raise DownloadError(f"It has {download.total:,} bytes, and {free:,} are free where it would go.")
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(writing(download.path, overwrite=False))
            async for block in response.content.iter_chunked(BLOCK):
                await asyncio.to_thread(file.write, block)
                download.downloaded += len(block)
            await asyncio.to_thread(stack.pop_all().close)


@contextlib.asynccontextmanager
async def opened(url: str, *, private: bool) -> AsyncIterator["ClientResponse"]:
    """The answer at ``url``, redirections followed; each address on the way is public, or ``private`` ones may be asked."""
    from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

    connector = TCPConnector(resolver=resolver(private))
    timeout = ClientTimeout(total=None, sock_connect=30, sock_read=SILENT_SECONDS)
    async with ClientSession(connector=connector, timeout=timeout, cookie_jar=DummyCookieJar()) as session:
        for _ in range(HOPS):
            host = urlsplit(url).hostname or ""
            with contextlib.suppress(ValueError):  # a host that is an address is never looked up
                check_address(str(ipaddress.ip_address(host)), private)
            async with session.get(url, allow_redirects=False, headers={"Accept-Encoding": "identity"}) as response:
                if response.status in (301, 302, 303, 307, 308) and "Location" in response.headers:
                    url = urljoin(url, response.headers["Location"])
                    if urlsplit(url).scheme not in ("http", "https"):
                        raise DownloadError("It leads to an address that is neither http nor https.")
                    continue
                if response.status != 200:
                    raise DownloadError(f"{host} answered {response.status} {response.reason}.")
                yield response
                return
        raise DownloadError(f"It leads elsewhere more than {HOPS} times.")


def resolver(private: bool) -> Any:
    """A resolver that knows public addresses only: checked where they are used, so that a name cannot change in between."""
    from aiohttp import ThreadedResolver

    class Public(ThreadedResolver):
        async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> Any:
            found = await super().resolve(host, port, family)
            for one in found:
                check_address(one["host"], private)
            return found

    return Public()


def check_address(address: str, private: bool) -> None:
    if not private and not ipaddress.ip_address(address.partition("%")[0]).is_global:
        raise DownloadError(f"{address} is not a public address. To fetch from this network, start with --private-downloads.")
