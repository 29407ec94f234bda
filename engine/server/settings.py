"""``/settings``: what a user has set in the editor, one JSON file a user."""

import asyncio
import json
from pathlib import Path
from typing import Any

from aiohttp import web

from engine.jobs.job import dump
from engine.server.access import user_of
from engine.server.bodies import json_answer, read_json
from engine.server.paths import writing
from engine.server.refusal import refuse
from engine.server.site import Site, site_of

FILE = "comfy.settings.json"
MAX_BYTES = 4 * 1024 * 1024


def load(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def path_of(site: Site, request: web.Request) -> Path:
    return site.userdata(user_of(request).id) / FILE


async def get_settings(request: web.Request) -> web.Response:
    """All settings."""
    return json_answer(load(path_of(site_of(request), request)))


async def get_setting(request: web.Request) -> web.Response:
    """One setting; null where it is not set."""
    return json_answer(load(path_of(site_of(request), request)).get(request.match_info["id"]))


async def post_settings(request: web.Request) -> web.Response:
    """Change some settings; the others stay."""
    changes = await read_json(request)
    if not isinstance(changes, dict):
        raise refuse(400, "Expected a JSON object of settings.")
    return await change(request, changes)


async def post_setting(request: web.Request) -> web.Response:
    """Change one setting."""
    return await change(request, {request.match_info["id"]: await read_json(request)})


async def change(request: web.Request, changes: dict[str, Any]) -> web.Response:
    site = site_of(request)
    path = path_of(site, request)
    async with site.settings_lock:
        data = dump(load(path) | changes).encode()
        if len(data) > MAX_BYTES:
            raise refuse(413, f"Settings may have at most {MAX_BYTES} bytes.")
        await asyncio.to_thread(save, path, data)
    return web.Response()


def save(path: Path, data: bytes) -> None:
    with writing(path) as file:
        file.write(data)
