"""``/upload/image`` and ``/upload/mask``: files into the input folder, never over another one unasked."""

import asyncio
import hashlib
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import BodyPartReader, web

from engine.folders import Folders
from engine.server.access import user_of
from engine.server.bodies import Answer, json_answer
from engine.server.files import KINDS, find
from engine.server.paths import below, file_name, free_name, writing
from engine.server.refusal import Refusal
from engine.server.site import Site, site_of

MAX_FIELDS = 32
MAX_FIELD_BYTES = 64 * 1024
MAX_NUMBER = 10_000


class Uploaded(Answer):
    name: str
    subfolder: str
    type: str


@dataclass
class Form:
    """A multipart body: its one file and its words."""

    name: str = ""
    data: bytes | None = None
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def overwrite(self) -> bool:
        return self.fields.get("overwrite", "").lower() in ("true", "1")


async def upload_image(request: web.Request) -> web.Response:
    """Store a file; one that is there already under that name keeps its name, another gets a number."""
    site = site_of(request)
    form = await read_form(request)
    if form.data is None or not file_name(form.name):
        raise Refusal(400)
    await asyncio.to_thread(check_pixels, form.data, site.options.max_pixels)
    return json_answer(await store(site, request, form, form.data))


async def upload_mask(request: web.Request) -> web.Response:
    """Store a picture whose transparency is the uploaded mask's; its text metadata is kept."""
    site = site_of(request)
    form = await read_form(request)
    if form.data is None or not file_name(form.name):
        raise Refusal(400)
    folders = site.folders_of(user_of(request).id)
    original = original_of(form, folders)
    data = await asyncio.to_thread(masked, original, form.data, site.options.max_pixels)
    return json_answer(await store(site, request, form, data))


async def read_form(request: web.Request) -> Form:
    """The multipart body; 400 where it is none, 413 where it is too large."""
    if not request.content_type.startswith("multipart/"):
        raise Refusal(400, "Expected multipart/form-data.")
    form = Form()
    try:
        reader = await request.multipart()
        for _ in range(MAX_FIELDS):
            part = await reader.next()
            if part is None:
                return form
            if not isinstance(part, BodyPartReader):
                raise Refusal(400, "Expected a plain form, not one inside another.")
            if part.filename is not None and part.name in ("image", "file", "mask") and form.data is None:
                form.name, form.data = part.filename, bytes(await part.read(decode=True))
            elif part.name:
                form.fields[part.name] = await word(part)
    except (ValueError, AssertionError, LookupError, RuntimeError):
        raise Refusal(400, "The form cannot be read.") from None
    raise Refusal(413, f"The form has more than {MAX_FIELDS} fields.")


async def word(part: BodyPartReader) -> str:
    data = bytes(await part.read(decode=True))
    if len(data) > MAX_FIELD_BYTES:
        raise Refusal(413, f"The field {part.name} is too long.")
    return data.decode("utf-8", "replace")


async def store(site: Site, request: web.Request, form: Form, data: bytes) -> dict[str, Any]:
    """Write the file where the form says, and tell where that was."""
    kind = form.fields.get("type") or "input"
    if kind not in KINDS:
        raise Refusal(400, "Expected the type input, output or temp.")
    user = user_of(request)
    root = site.folders_of(user.id).work(kind)
    subfolder = form.fields.get("subfolder", "").replace("\\", "/")
    folder = below(root, subfolder, 400)
    path = await asyncio.to_thread(place, folder / file_name(form.name), data, form.overwrite)
    from engine.server.assets import register_upload

    asset = await register_upload(site, user, path, kind, data)
    return {"name": path.name, "subfolder": subfolder, "type": kind, **({"asset": asset} if asset else {})}


def place(path: Path, data: bytes, overwrite: bool) -> Path:
    """Write ``data`` at ``path`` or, where another file has that name, at the next free one; the path."""
    wanted = hashlib.sha256(data).digest()
    for number in range(MAX_NUMBER):
        at = free_name(path, number)
        if not overwrite and has_content(at, len(data), wanted):
            return at
        if at.is_dir():
            continue
        try:
            with writing(at, overwrite=overwrite) as file:
                file.write(data)
            return at
        except FileExistsError:
            continue
        except OSError as problem:
            raise Refusal(507, f"The file cannot be written: {problem.strerror}.") from None
    raise Refusal(409, "There are too many files of this name.")


def has_content(path: Path, size: int, digest: bytes) -> bool:
    return path.is_file() and path.stat().st_size == size and hashlib.sha256(path.read_bytes()).digest() == digest


def check_pixels(data: bytes, limit: int) -> None:
    """Refuse a picture that would not fit into memory. What is no picture, or a broken one, is left to the node that reads it."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            size = image.size
    except Image.DecompressionBombError:
        raise Refusal(422, "The picture has too many pixels.") from None
    except Exception:
        return
    if size[0] * size[1] > limit:
        raise Refusal(422, f"The picture has {size[0]} x {size[1]} pixels; the bound is {limit}.")


def original_of(form: Form, folders: Folders) -> Path:
    """The picture that the mask belongs to."""
    try:
        said = json.loads(form.fields.get("original_ref", ""))
        name, kind, subfolder = said["filename"], said.get("type", "output"), said.get("subfolder", "")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Refusal(400, "Expected original_ref, a JSON object with filename, subfolder and type.") from None
    if not all(isinstance(part, str) for part in (name, kind, subfolder)):
        raise Refusal(400, "Expected texts in original_ref.")
    return find(folders, name, kind, subfolder)


def masked(original: Path, mask: bytes, limit: int) -> bytes:
    from PIL import Image, UnidentifiedImageError
    from PIL.PngImagePlugin import PngInfo

    check_pixels(mask, limit)
    try:
        with Image.open(original) as picture, Image.open(io.BytesIO(mask)) as over:
            info = PngInfo()
            for name, value in getattr(picture, "text", {}).items():
                info.add_text(name, value)
            alpha = over.convert("RGBA").getchannel("A")
            found = picture.convert("RGBA")
            found.putalpha(alpha if alpha.size == found.size else alpha.resize(found.size))
            out = io.BytesIO()
            found.save(out, "PNG", compress_level=4, pnginfo=info)
            return out.getvalue()
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as problem:
        raise Refusal(422, f"The picture or its mask cannot be read: {problem}") from None
