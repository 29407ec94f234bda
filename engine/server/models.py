"""Model folders: what is there, what a file says of itself."""

import asyncio
import base64
import functools
import io
import json
from pathlib import Path
from typing import Any

from aiohttp import web
from pydantic import BaseModel, RootModel

from engine.folders import MissingFileError, PathError
from engine.server.bodies import json_answer
from engine.server.refusal import Refusal
from engine.server.site import Site, site_of

MAX_HEADER = 1024 * 1024
HIDDEN = ("configs", "custom_nodes")
SIDECARS = (".preview.png", ".preview.jpg", ".preview.jpeg", ".preview.webp", ".png", ".jpg", ".jpeg", ".webp")


class Names(RootModel[list[str]]):
    pass


class ModelFolder(BaseModel):
    name: str
    folders: list[str]


class ModelFolders(RootModel[list[ModelFolder]]):
    pass


class ModelFile(BaseModel):
    name: str
    pathIndex: int
    modified: float
    created: float
    size: int


class ModelFiles(RootModel[list[ModelFile]]):
    pass


class FileLineage(BaseModel):
    kind: str
    family: str | None
    title: str | None
    channels: int | None


class Lineages(RootModel[dict[str, dict[str, FileLineage]]]):
    pass


async def embeddings(request: web.Request) -> web.Response:
    """The textual inversions, by name without extension."""
    names = await asyncio.to_thread(site_of(request).folders.names, "embeddings")
    return json_answer([name.rsplit(".", 1)[0] for name in names])


async def model_kinds(request: web.Request) -> web.Response:
    """The model folders."""
    return json_answer(site_of(request).folders.kinds())


async def models_of(request: web.Request) -> web.Response:
    """The files of a model folder, with sub-folders."""
    site = site_of(request)
    return json_answer(await asyncio.to_thread(site.folders.names, known_kind(site, request)))


def known_kind(site: Site, request: web.Request) -> str:
    from engine.folders import ALIASES

    kind = ALIASES.get(request.match_info["folder"], request.match_info["folder"])
    if kind not in site.folders.kinds():
        raise Refusal(404)
    return kind


async def model_folders(request: web.Request) -> web.Response:
    """The model folders with the directories that each is searched in."""
    folders = site_of(request).folders
    found = [{"name": kind, "folders": [str(root) for root in folders.roots(kind)]} for kind in folders.kinds()]
    return json_answer([entry for entry in found if entry["name"] not in HIDDEN])


async def model_files(request: web.Request) -> web.Response:
    """The files of a model folder with size and times."""
    site = site_of(request)
    return json_answer(await asyncio.to_thread(describe_files, site, known_kind(site, request)))


def describe_files(site: Site, kind: str) -> list[dict[str, Any]]:
    roots = site.folders.roots(kind)
    found = []
    for name in site.folders.names(kind):
        for index, root in enumerate(roots):
            path = root / name
            if path.is_file():
                stat = path.stat()
                times = {"modified": stat.st_mtime, "created": stat.st_ctime, "size": stat.st_size}
                found.append({"name": name, "pathIndex": index, **times})
                break
    return found


async def model_preview(request: web.Request) -> web.Response:
    """A picture of what a model makes: the file beside it, or the one inside it."""
    site = site_of(request)
    kind = known_kind(site, request)
    roots = site.folders.roots(kind)
    index = request.match_info["index"]
    if not index.isdigit() or len(index) > 4 or int(index) >= len(roots):
        raise Refusal(404)
    try:
        path = site.folders.find(kind, request.match_info["file"])
    except (MissingFileError, PathError, OSError):
        raise Refusal(404) from None
    picture = await asyncio.to_thread(preview_of, path)
    if picture is None:
        raise Refusal(404)
    return web.Response(body=picture, content_type="image/webp")


def preview_of(path: Path) -> bytes | None:
    from engine.server.files import encode, opened

    for ending in SIDECARS:
        beside = path.with_name(path.stem + ending)
        if beside.is_file():
            return opened(beside, lambda image: encode(image, "webp", 80, "rgba"))
    covers = metadata_of(path).get("ssmd_cover_images") if path.suffix == ".safetensors" else None
    try:
        found = json.loads(covers or "[]")
        return base64.b64decode(found[0]) if found else None
    except (ValueError, TypeError, LookupError):
        return None


def has_preview(path: Path) -> bool:
    if any(path.with_name(path.stem + ending).is_file() for ending in SIDECARS):
        return True
    return path.suffix == ".safetensors" and "ssmd_cover_images" in metadata_of(path)


async def view_metadata(request: web.Request) -> web.Response:
    """What a safetensors file says of itself."""
    site = site_of(request)
    name = request.query.get("filename", "")
    if not name.endswith(".safetensors"):
        raise Refusal(404)
    try:
        path = site.folders.find(known_kind(site, request), name)
    except (MissingFileError, PathError, OSError):
        raise Refusal(404) from None
    found = await asyncio.to_thread(metadata_of, path)
    if not found:
        raise Refusal(404)
    return json_answer(found)


def metadata_of(path: Path) -> dict[str, Any]:
    """The ``__metadata__`` of a safetensors header; empty where there is none or the header is no header."""
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if size > MAX_HEADER:
                return {}
            header = json.load(io.BytesIO(file.read(size)))
    except (OSError, ValueError, RecursionError):
        return {}
    found = header.get("__metadata__") if isinstance(header, dict) else None
    return found if isinstance(found, dict) else {}


async def lineages(request: web.Request) -> web.Response:
    """Whose each model file is, told from its header, by folder and name; files that say nothing are left out."""
    return json_answer(await asyncio.to_thread(lineages_of, site_of(request)))


def lineages_of(site: Site) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for kind in site.folders.kinds():
        if kind in HIDDEN:
            continue
        files = {name: told for name in site.folders.names(kind) if (told := lineage_of(site, kind, name)) is not None}
        if files:
            found[kind] = files
    return found


def lineage_of(site: Site, kind: str, name: str) -> dict[str, Any] | None:
    try:
        path = site.folders.find(kind, name)
        stat = path.stat()
    except (MissingFileError, PathError, OSError):
        return None
    return read_lineage(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=8192)
def read_lineage(path: Path, nbytes: int, changed: int) -> dict[str, Any] | None:
    """Kept by the file's size and time of change: reading a header takes some milliseconds."""
    from engine.diffusion.containers import CheckpointError
    from engine.diffusion.lineage import lineage

    del nbytes, changed
    try:
        found = lineage(path)
    except CheckpointError:
        return None
    return None if found.kind == "other" else found.as_dict()
