"""The prompt and workflow inside a picture: written as ComfyUI writes them, read without decoding a pixel."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from PIL.Image import Exif
    from PIL.PngImagePlugin import PngInfo

PNG = b"\x89PNG\r\n\x1a\n"
MAX_TEXT = 64 * 2**20
MAKE, MODEL = 0x010F, 0x0110


def texts(prompt: Mapping[str, Any] | None, extra: Mapping[str, Any] | None = None) -> dict[str, str]:
    """``prompt`` and every key of extra_pnginfo (``workflow`` above all) as JSON."""
    found = {} if prompt is None else {"prompt": json.dumps(prompt)}
    return found | {key: json.dumps(value) for key, value in (extra or {}).items()}


def png_info(prompt: Mapping[str, Any] | None, extra: Mapping[str, Any] | None = None) -> PngInfo:
    """Text chunks for ``image.save(..., pnginfo=)``."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for key, text in texts(prompt, extra).items():
        info.add_text(key, text)
    return info


def exif(prompt: Mapping[str, Any] | None, extra: Mapping[str, Any] | None = None) -> Exif:
    """The same for WebP and JPEG: the camera's model is the prompt, its maker and the tags below it are the rest."""
    from PIL import Image

    tags = Image.Exif()
    for i, (key, text) in enumerate(texts(None, extra).items()):
        tags[MAKE - i] = f"{key}:{text}"
    if prompt is not None:
        tags[MODEL] = f"prompt:{json.dumps(prompt)}"
    return tags


def read_metadata(path: Path) -> dict[str, Any]:
    """What a picture says of its making, JSON where it is JSON; empty if it says nothing or is no picture."""
    with path.open("rb") as file:
        if file.read(len(PNG)) == PNG:
            found = dict(_png_texts(file))
        else:
            found = _exif_texts(path)
    return {key: _json(text) for key, text in found.items()}


def _png_texts(file: BinaryIO) -> Iterator[tuple[str, str]]:
    """The tEXt, zTXt and iTXt chunks, up to ``MAX_TEXT`` bytes unpacked; a truncated file ends the list."""
    left = MAX_TEXT
    while len(head := file.read(8)) == 8 and left > 0:
        length, kind = struct.unpack(">I4s", head)
        if kind in (b"tEXt", b"zTXt", b"iTXt") and length <= MAX_TEXT:
            data = file.read(length)
            if len(data) == length and (text := _chunk(kind, data, left)) is not None:
                left -= len(text[1])
                yield text
        elif kind == b"IEND":
            return
        else:
            file.seek(length, 1)
        file.seek(4, 1)


def _chunk(kind: bytes, data: bytes, limit: int) -> tuple[str, str] | None:
    key, found, rest = data.partition(b"\0")
    if not found:
        return None
    packed = kind == b"zTXt"
    if packed:
        rest = rest[1:]
    elif kind == b"iTXt":
        packed = rest[:1] == b"\1"
        rest = rest[2:].split(b"\0", 2)[-1]
    if packed:
        try:
            rest = zlib.decompressobj().decompress(rest, limit)
        except zlib.error:
            return None
    return key.decode("latin-1"), rest.decode("utf-8" if kind == b"iTXt" else "latin-1", "replace")


def _exif_texts(path: Path) -> dict[str, str]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            values = [value for value in image.getexif().values() if isinstance(value, str)]
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return {}
    pairs = (value.partition(":") for value in values)
    return {key.lower(): text for key, colon, text in pairs if colon and text.lstrip()[:1] in ("{", "[")}


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
