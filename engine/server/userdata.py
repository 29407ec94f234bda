"""``/userdata``: a user's own files (workflows above all), and moving them."""

import asyncio
import os
from pathlib import Path
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from engine.server.access import user_of
from engine.server.bodies import json_answer, read_bytes, read_query
from engine.server.paths import below, writing
from engine.server.refusal import Refusal
from engine.server.site import site_of
from engine.server.versions import keep

MAX_LISTED = 20_000


class ListQuery(BaseModel):
    dir: str = ""
    recurse: str = ""
    full_info: str = ""
    split: str = ""


class PathQuery(BaseModel):
    path: str = ""


class WriteQuery(BaseModel):
    overwrite: str = "true"
    full_info: str = "false"


def is_true(word: str) -> bool:
    return word.lower() in ("true", "1")


def root_of(request: web.Request) -> Path:
    return site_of(request).userdata(user_of(request).id)


def info_of(path: Path, root: Path) -> dict[str, Any]:
    stat = path.stat()
    return {
        "path": path.relative_to(root).as_posix(), "size": stat.st_size, "modified": stat.st_mtime, "created": stat.st_ctime,
    }  # fmt: skip


async def list_files(request: web.Request) -> web.Response:
    """The files of a folder: paths, paths in parts (``split``), or with sizes and times (``full_info``)."""
    query = read_query(request, ListQuery)
    if not query.dir:
        raise Refusal(400, "Directory not provided")
    folder = below(root_of(request), query.dir)
    if not folder.is_dir():
        raise Refusal(404, "The requested directory does not exist")
    found = await asyncio.to_thread(files_in, folder, is_true(query.recurse))
    if is_true(query.full_info):
        return json_answer([info_of(path, folder) for path in found])
    names = [path.relative_to(folder).as_posix() for path in found]
    return json_answer([[name, *name.split("/")] for name in names] if is_true(query.split) else names)


def files_in(folder: Path, recurse: bool) -> list[Path]:
    """Visible files, in order of their names; links that lead out are passed over."""
    found: list[Path] = []
    for where, below_it, names in os.walk(folder):
        below_it[:] = sorted(name for name in below_it if recurse and not name.startswith("."))
        found += [Path(where, name) for name in sorted(names) if not name.startswith(".")]
        if len(found) > MAX_LISTED:
            break
    return [path for path in found[:MAX_LISTED] if path.is_file() and path.resolve().is_relative_to(folder.resolve())]


async def list_entries(request: web.Request) -> web.Response:
    """The folders and files directly in a folder, folders first."""
    query = read_query(request, PathQuery)
    root = root_of(request)
    folder = below(root, query.path)
    if not folder.is_dir():
        if folder == root:
            return json_answer([])
        raise Refusal(404, "The requested directory does not exist")
    return json_answer(await asyncio.to_thread(entries_of, folder, root))


def entries_of(folder: Path, root: Path) -> list[dict[str, Any]]:
    found = []
    for path in sorted(folder.iterdir(), key=lambda path: (path.is_file(), path.name.lower())):
        if path.name.startswith(".") or not path.resolve().is_relative_to(root.resolve()):
            continue
        entry: dict[str, Any] = {"name": path.name, "path": path.relative_to(root).as_posix()}
        if path.is_dir():
            entry["type"] = "directory"
        else:
            stat = path.stat()
            entry |= {"type": "file", "size": stat.st_size, "modified": stat.st_mtime}
        found.append(entry)
    return found


def file_of(request: web.Request, part: str) -> Path:
    """The file that a part of the URL names; 400 for a name that is none."""
    root = root_of(request)
    path = below(root, request.match_info[part])
    if path == root:
        raise Refusal(400, "No file name")
    return path


async def get_file(request: web.Request) -> web.StreamResponse:
    """A file."""
    path = file_of(request, "file")
    if not path.is_file():
        raise Refusal(404)
    kind = "application/json" if path.suffix == ".json" else "application/octet-stream"
    return web.FileResponse(path, headers={"Content-Type": kind, "Cache-Control": "no-cache"})


async def put_file(request: web.Request) -> web.Response:
    """Write a file, whole or not at all; 409 where one is and ``overwrite`` is false. A workflow's last five versions stay."""
    query = read_query(request, WriteQuery)
    path = file_of(request, "file")
    data = await read_bytes(request)
    await asyncio.to_thread(write, path, data, query.overwrite.lower() != "false", root_of(request))
    return told(request, path, query)


def write(path: Path, data: bytes, overwrite: bool, root: Path) -> None:
    try:
        if overwrite and path.is_file() and path.read_bytes() != data:
            keep(path, root)
        with writing(path, overwrite=overwrite) as file:
            file.write(data)
    except FileExistsError:
        raise Refusal(409, "File already exists") from None
    except (IsADirectoryError, NotADirectoryError):
        raise Refusal(400, "A folder and a file cannot have the same name.") from None
    except OSError as problem:
        raise Refusal(507, f"The file cannot be written: {problem.strerror}.") from None


def told(request: web.Request, path: Path, query: WriteQuery) -> web.Response:
    root = root_of(request)
    return json_answer(info_of(path, root) if is_true(query.full_info) else path.relative_to(root).as_posix())


async def delete_file(request: web.Request) -> web.Response:
    """Delete a file."""
    path = file_of(request, "file")
    if not path.is_file():
        raise Refusal(404)
    path.unlink()
    return web.Response(status=204)


async def move_file(request: web.Request) -> web.Response:
    """Give a file another name; 409 where that is taken and ``overwrite`` is false."""
    query = read_query(request, WriteQuery)
    source, target = file_of(request, "file"), file_of(request, "dest")
    if not source.is_file():
        raise Refusal(404)
    if query.overwrite.lower() == "false" and target.exists():
        raise Refusal(409, "File already exists")
    if target.is_dir():
        raise Refusal(400, "A folder has this name.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(source, target)
    except OSError:
        raise Refusal(400, "A folder and a file cannot have the same name.") from None
    return told(request, target, query)
