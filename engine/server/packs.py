"""What node packs bring besides nodes: scripts for the editor, example workflows, translations, blueprints."""

import asyncio
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiohttp import web

from engine.server.bodies import json_answer
from engine.server.refusal import Refusal
from engine.server.site import Site, site_of
from engine.server.static import serve_below

TEMPLATE_FOLDERS = ("example_workflows", "example", "examples", "workflow", "workflows")
LOCALE_FILES = ("main", "nodeDefs", "commands", "settings")
MAX_BYTES = 8 * 1024 * 1024


def pack_folders(site: Site) -> Iterator[tuple[str, Path]]:
    """The packs that are folders, by name."""
    for root in site.pack_roots():
        if root.is_dir():
            for path in sorted(root.iterdir()):
                if path.is_dir() and not path.name.startswith((".", "__")) and not path.name.endswith(".disabled"):
                    yield path.name, path


async def extensions(request: web.Request) -> web.Response:
    """The scripts that the editor loads: its own and those of packs."""
    site = site_of(request)
    return json_answer(await asyncio.to_thread(list_extensions, site))


def list_extensions(site: Site) -> list[str]:
    front = site.options.front_end
    own = [f"/{path.relative_to(front).as_posix()}" for path in sorted((front / "extensions").rglob("*.js"))]
    engine = site.runtime.loaded
    packs = []
    for name, folder in (engine.web_folders if engine else {}).items():
        scripts = sorted(folder.rglob("*.js"))
        packs += [f"/extensions/{quote(name)}/{quote(path.relative_to(folder).as_posix())}" for path in scripts]
    return own + packs


async def extension_file(request: web.Request) -> web.StreamResponse:
    """A file of a pack's web folder."""
    site = site_of(request)
    name, path = request.match_info["pack"], request.match_info["path"]
    engine = site.runtime.loaded
    folder = engine.web_folders.get(name) if engine else None
    if folder is None:
        return serve_below(site.options.front_end / "extensions", f"{name}/{path}")
    return serve_below(folder, path)


async def workflow_templates(request: web.Request) -> web.Response:
    """Example workflows of packs, by pack."""
    return json_answer(await asyncio.to_thread(list_templates, site_of(request)))


def list_templates(site: Site) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, folder in pack_folders(site):
        names = [path.stem for kind in TEMPLATE_FOLDERS for path in sorted((folder / kind).glob("*.json"))]
        if names:
            found[name] = names
    return found


async def workflow_template(request: web.Request) -> web.StreamResponse:
    """One example workflow of a pack, or its picture."""
    pack, name = request.match_info["pack"], request.match_info["path"]
    for known, folder in pack_folders(site_of(request)):
        if known == pack:
            for kind in TEMPLATE_FOLDERS:
                if (folder / kind / name).is_file():
                    return serve_below(folder / kind, name)
    raise Refusal(404)


async def translations(request: web.Request) -> web.Response:
    """The words of packs by language."""
    return json_answer(await asyncio.to_thread(list_translations, site_of(request)))


def list_translations(site: Site) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _, folder in pack_folders(site):
        for language in sorted((folder / "locales").glob("*/")):
            words = found.setdefault(language.name, {})
            for kind in LOCALE_FILES:
                said = read_object(language / f"{kind}.json")
                if said:
                    merge(words, said if kind == "main" else {kind: said})
    return found


def merge(into: dict[str, Any], more: dict[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            merge(into[name], value)
        else:
            into[name] = value


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object in a file; empty for anything else."""
    try:
        if path.stat().st_size > MAX_BYTES:
            return {}
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


async def node_replacements(request: web.Request) -> web.Response:
    """Which node type took the place of which."""
    engine = await site_of(request).runtime.engine()
    return json_answer(engine.replacements)


async def global_subgraphs(request: web.Request) -> web.Response:
    """The blueprints of packs, without their data."""
    found = await asyncio.to_thread(blueprints, site_of(request))
    shown = {key: {name: entry[name] for name in ("source", "name", "info")} for key, entry in found.items()}
    return json_answer(shown)


async def global_subgraph(request: web.Request) -> web.Response:
    """One blueprint."""
    found = await asyncio.to_thread(blueprints, site_of(request))
    entry = found.get(request.match_info["id"])
    if entry is None:
        return json_answer(None, 404)
    data = await asyncio.to_thread(read_object, entry["path"])
    return json_answer({"source": entry["source"], "name": entry["name"], "info": entry["info"], "data": json.dumps(data)})


def blueprints(site: Site) -> dict[str, dict[str, Any]]:
    found = {}
    for pack, folder in pack_folders(site):
        for path in sorted((folder / "subgraphs").glob("*.json")):
            key = hashlib.sha256(f"{pack}/{path.name}".encode()).hexdigest()
            found[key] = {"source": "custom_node", "name": path.stem, "info": {"node_pack": f"custom_nodes.{pack}"}, "path": path}
    return found
