"""The last lines of the log, for the editor's console: ``/internal/logs`` and the websocket's ``logs`` messages."""

import asyncio
import os
from pathlib import Path

from aiohttp import web

from engine.server.access import user_of
from engine.server.bodies import Answer, Body, json_answer, read_body
from engine.server.log_book import size
from engine.server.refusal import Refusal
from engine.server.site import site_of


class Lines(Answer):
    entries: list[dict[str, str]]
    size: dict[str, int]


class Subscription(Body):
    clientId: str
    enabled: bool


async def logs(request: web.Request) -> web.Response:
    """The last lines as one text."""
    book = site_of(request).log_book
    return json_answer("".join(f"{entry['t']} - {entry['m']}" for entry in book.entries))


async def raw_logs(request: web.Request) -> web.Response:
    """The last lines with their times."""
    return json_answer({"entries": list(site_of(request).log_book.entries), "size": size()})


async def subscribe(request: web.Request) -> web.Response:
    """Have new lines sent to a websocket, or no longer."""
    wanted = await read_body(request, Subscription)
    client = site_of(request).hub.clients.get((user_of(request).id, wanted.clientId))
    if client is not None:
        client.logs = wanted.enabled
    return web.Response()


async def folder_paths(request: web.Request) -> web.Response:
    """Where each kind of model is looked for."""
    folders = site_of(request).folders
    return json_answer({kind: [str(root) for root in folders.roots(kind)] for kind in folders.kinds()})


async def newest_files(request: web.Request) -> web.Response:
    """The files directly in the input, output or temp folder, newest first."""
    kind = request.match_info["kind"]
    if kind not in ("input", "output", "temp"):
        raise Refusal(400, "Expected input, output or temp.")
    folder = site_of(request).folders_of(user_of(request).id).work(kind)
    return json_answer(await asyncio.to_thread(list_newest, folder))


def list_newest(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        files = [(entry.stat().st_mtime, entry.name) for entry in entries if entry.is_file() and not entry.name.startswith(".")]
    return [name for _, name in sorted(files, reverse=True)]
