"""``/view``: files of the input, output and temp folders, as they are or as a smaller picture."""

import asyncio
import io
import mimetypes
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from aiohttp import web
from pydantic import BaseModel

from engine.folders import ANNOTATED, Folders
from engine.server.access import user_of
from engine.server.bodies import read_query
from engine.server.paths import below
from engine.server.refusal import Refusal, refuse
from engine.server.site import site_of

if TYPE_CHECKING:
    from PIL.Image import Image

KINDS = ("output", "input", "temp")
ACTIVE = re.compile(r"(text/(html|css|javascript|xml)|application/(x?html|xml|javascript|xhtml\+xml)|image/svg\+xml|.*\+xml)$")
"""Types that a browser would run or render as a page: never on our origin."""
MAX_PREVIEW_PIXELS = 512 * 1024 * 1024


class FileQuery(BaseModel):
    filename: str | None = None
    type: str = "output"
    subfolder: str = ""


class ViewQuery(FileQuery):
    preview: str | None = None
    channel: str = "rgba"


async def view(request: web.Request) -> web.StreamResponse:
    """A file; as a WebP or JPEG of some quality with ``preview``, or only its colour or transparency with ``channel``."""
    site = site_of(request)
    query = read_query(request, ViewQuery)
    if not query.filename:
        raise Refusal(404)
    user = user_of(request)
    if query.filename.startswith("blake3:"):
        from engine.server.assets import path_of_hash

        path = await path_of_hash(site, user, query.filename)
    else:
        path = find(site.folders_of(user.id), query.filename, query.type, query.subfolder)
    if query.preview is not None:
        kind, quality = preview_format(query.preview)
        return await picture(path, lambda image: encode(image, kind, quality, query.channel), f"image/{kind}", path.name)
    if query.channel != "rgba":
        if query.channel not in ("rgb", "a"):
            raise Refusal(400, "Expected the channel rgba, rgb or a.")
        return await picture(path, lambda image: encode(image, "png", 0, query.channel), "image/png", path.name)
    return plain_file(path)


async def remove(request: web.Request) -> web.Response:
    """Delete a file that a run made. What was uploaded stays: other workflows may load it."""
    query = read_query(request, FileQuery)
    path = find(site_of(request).folders_of(user_of(request).id), query.filename or "", query.type, query.subfolder)
    if path.is_relative_to(site_of(request).folders_of(user_of(request).id).work("input")):
        raise refuse(403, "Only files that a run made can be deleted here.")
    await asyncio.to_thread(path.unlink, missing_ok=True)
    return web.Response(status=204)


def find(folders: Folders, filename: str, kind: str, subfolder: str) -> Path:
    """The file's path: 400 for a name that is none, 403 for a sub-folder that leads out, 404 where nothing is."""
    if annotated := ANNOTATED.match(filename):
        filename, kind = annotated["name"], annotated["kind"]
    if filename.startswith(("/", "\\")) or ".." in filename or "\0" in filename:
        raise Refusal(400)
    if kind not in KINDS:
        raise Refusal(400)
    folder = below(folders.work(kind), subfolder)
    path = below(folder, filename.replace("\\", "/").rsplit("/", 1)[-1], 400)
    if path == folder or not path.is_file():
        raise Refusal(404)
    return path


def plain_file(path: Path) -> web.FileResponse:
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    headers = disposition(path.name)
    if ACTIVE.match(kind):
        kind = "application/octet-stream"
        headers["Content-Disposition"] = "attachment; " + headers["Content-Disposition"]
    headers |= {"Content-Type": kind, "Vary": "Sec-Fetch-Dest", "Content-Security-Policy": "sandbox; default-src 'none'"}
    return web.FileResponse(path, headers=headers)


def disposition(name: str) -> dict[str, str]:
    plain = name.encode("ascii", "replace").decode().replace('"', "_").replace("\\", "_")
    value = f'filename="{plain}"'
    return {"Content-Disposition": value if plain == name else f"{value}; filename*=UTF-8''{quote(name, safe='')}"}


def preview_format(wanted: str) -> tuple[str, int]:
    """``webp;80`` taken apart; JPEG for ``jpeg``, else WebP; quality 90 where none is given."""
    kind, _, quality = wanted.partition(";")
    number = int(quality) if quality.isascii() and quality.isdigit() and len(quality) < 4 else 90
    return ("jpeg" if kind == "jpeg" else "webp"), min(max(number, 1), 100)


async def picture(path: Path, work: Any, kind: str, name: str) -> web.Response:
    """A re-encoded picture; 415 for what is none, 413 for one with too many pixels."""
    data = await asyncio.to_thread(opened, path, work)
    return web.Response(body=data, content_type=kind, headers={**disposition(name), "Cache-Control": "private, max-age=60"})


def opened(path: Path, work: Any) -> bytes:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            if image.width * image.height > MAX_PREVIEW_PIXELS:
                raise Refusal(413, f"The picture has {image.width} x {image.height} pixels; that is too many for a preview.")
            found: bytes = work(image)
            return found
    except UnidentifiedImageError:
        raise Refusal(415, "This file is no picture.") from None
    except Image.DecompressionBombError:
        raise Refusal(413, "The picture has too many pixels.") from None
    except (OSError, SyntaxError, ValueError) as problem:
        raise Refusal(422, f"The picture cannot be read: {problem}") from None


def encode(image: "Image", kind: str, quality: int, channel: str) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    found = image
    if channel == "a":
        alpha = image.convert("RGBA").getchannel("A")
        found = Image.new("RGBA", image.size)
        found.putalpha(alpha)
    elif channel == "rgb" or kind == "jpeg":
        found = image.convert("RGB")
    elif found.mode not in ("RGB", "RGBA"):
        found = image.convert("RGBA")
    options: Mapping[str, Any] = {"quality": quality} if kind != "png" else {}
    found.save(out, kind.upper(), **options)
    return out.getvalue()
