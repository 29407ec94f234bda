"""Binary websocket frames: a big-endian event number, then its payload."""

import io
import json
import struct
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

IMAGE_TYPES = {"image/jpeg": 1, "image/png": 2}
PREVIEW_QUALITY = 95


class Binary(IntEnum):
    """``UNENCODED`` is only spoken inside the server: (format, picture, longest side) becomes ``PREVIEW``."""

    PREVIEW = 1
    UNENCODED = 2
    TEXT = 3
    PREVIEW_WITH_METADATA = 4


def preview(data: bytes, mime: str) -> bytes:
    return struct.pack(">II", Binary.PREVIEW, IMAGE_TYPES.get(mime, 1)) + data


def preview_with_metadata(data: bytes, mime: str, about: Mapping[str, Any]) -> bytes:
    words = json.dumps({**about, "image_type": mime}).encode()
    return struct.pack(">II", Binary.PREVIEW_WITH_METADATA, len(words)) + words + data


def text(node_id: str, words: str) -> bytes:
    name = node_id.encode()
    return struct.pack(">II", Binary.TEXT, len(name)) + name + words.encode()


def encode_picture(kind: str, picture: Any, longest: int | None) -> tuple[bytes, str]:
    """A PIL picture as JPEG or PNG bytes, made smaller where it is longer than ``longest``; with its MIME type."""
    from PIL import Image, ImageOps

    if longest is not None:
        picture = ImageOps.contain(picture, (longest, longest), Image.Resampling.BILINEAR)
    png = kind.upper() == "PNG"
    out = io.BytesIO()
    if png:
        picture.save(out, "PNG", compress_level=1)
    else:
        picture.convert("RGB").save(out, "JPEG", quality=PREVIEW_QUALITY)
    return out.getvalue(), "image/png" if png else "image/jpeg"
