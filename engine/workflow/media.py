"""What a picture, film or sound says of its making: the prompt and workflow in its metadata, read without decoding it."""

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

MAX_TEXT = 64 * 2**20
MAX_PARTS = 100_000
USER_COMMENT, EXIF_FOLDER = 0x9286, 0x8769
EBML, SEGMENT, TAGS, TAG, SIMPLE_TAG, TAG_NAME, TAG_STRING = (
    0x1A45DFA3, 0x18538067, 0x1254C367, 0x7373, 0x67C8, 0x45A3, 0x4487,
)  # fmt: skip
MP4_FOLDERS = frozenset({b"moov", b"udta", b"trak", b"mdia"})


def read_media(path: Path) -> dict[str, Any]:
    """The texts by name (``prompt``, ``workflow``, ``parameters`` ...), JSON where they are JSON; empty where there are none."""
    with path.open("rb") as file:
        head = file.read(16)
        file.seek(0)
        if head[4:8] == b"ftyp":
            found = dict(mp4_texts(file))
        elif head[:4] == b"\x1aE\xdf\xa3":
            found = dict(webm_texts(file))
        elif head[:4] == b"fLaC":
            found = dict(flac_texts(file))
        elif head[:8] == b"\x89PNG\r\n\x1a\n" or head[:4] == b"RIFF" or head[:3] == b"\xff\xd8\xff":
            return picture_texts(path)
        else:
            found = safetensors_texts(file)
    return spread({key.lower(): json_or_text(text) for key, text in found.items()})


def picture_texts(path: Path) -> dict[str, Any]:
    from engine.metadata import read_metadata

    found = {key.lower(): value for key, value in read_metadata(path).items()}
    if not found.keys() & {"prompt", "workflow", "parameters"}:
        comment = user_comment(path)
        if comment:
            found["parameters"] = json_or_text(comment)
    return spread(found)


def user_comment(path: Path) -> str:
    """The EXIF comment, where other programs put their infotext."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            comment = image.getexif().get_ifd(EXIF_FOLDER).get(USER_COMMENT, b"")
    except Exception:
        return ""
    if isinstance(comment, str):
        return comment
    if not isinstance(comment, bytes):
        return ""
    code, text = comment[:8], comment[8:]
    if code.startswith(b"UNICODE"):
        return text.decode("utf-16-le" if text[1:2] == b"\0" else "utf-16-be", "replace").strip("\0")
    return text.decode("utf-8", "replace").strip("\0")


def spread(found: dict[str, Any]) -> dict[str, Any]:
    """Some programs put both texts into one comment: take it apart."""
    for key in ("comment", "parameters", "description", "usercomment"):
        inner = found.get(key)
        if isinstance(inner, Mapping) and inner.keys() & {"prompt", "workflow"}:
            more = {name: json_or_text(value) if isinstance(value, str) else value for name, value in inner.items()}
            return {**more, **{name: value for name, value in found.items() if name != key}}
    return found


def json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


# MP4 and MOV: boxes -----------------------------------------------------------------------------------------------------


def boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, end) of the content of each box between two places; a box that is too long ends the list."""
    at = start
    for _ in range(MAX_PARTS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8 or at + 8 > end:
            return
        size, kind = struct.unpack(">I4s", head)
        inside = at + 8
        if size == 1:
            size = int.from_bytes(file.read(8), "big")
            inside += 8
        stop = end if size == 0 else at + size
        if stop <= at or stop > end or stop < inside:
            return
        yield kind, inside, stop
        at = stop


def mp4_texts(file: BinaryIO) -> Iterator[tuple[str, str]]:
    """The entries of every ``meta`` box: named ones (``keys`` and ``ilst``), and iTunes' comment."""
    end = file.seek(0, 2)
    pending = [(0, end)]
    while pending:
        for kind, start, stop in list(boxes(file, *pending.pop())):
            if kind in MP4_FOLDERS:
                pending.append((start, stop))
            elif kind == b"meta":
                yield from meta_texts(file, start, stop)


def meta_texts(file: BinaryIO, start: int, stop: int) -> Iterator[tuple[str, str]]:
    file.seek(start + 4)
    start += 0 if file.read(4) == b"hdlr" else 4
    names: list[str] = []
    for kind, inside, end in list(boxes(file, start, stop)):
        if kind == b"keys":
            names = [data.decode("utf-8", "replace") for data in key_names(file, inside, end)]
        elif kind == b"ilst":
            for entry, from_, to in list(boxes(file, inside, end)):
                number = int.from_bytes(entry, "big")
                name = names[number - 1] if 0 < number <= len(names) else {b"\xa9cmt": "comment"}.get(entry, "")
                for inner, at, until in list(boxes(file, from_, to)):
                    if inner == b"data" and name and 8 <= until - at <= MAX_TEXT:
                        file.seek(at + 8)
                        yield name, file.read(until - at - 8).decode("utf-8", "replace")


def key_names(file: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    file.seek(start + 4)
    count = int.from_bytes(file.read(4), "big")
    at = start + 8
    for _ in range(min(count, MAX_PARTS)):
        file.seek(at)
        size = int.from_bytes(file.read(4), "big")
        if size < 8 or at + size > end or size > MAX_TEXT:
            return
        file.read(4)
        yield file.read(size - 8)
        at += size


# WebM and Matroska: EBML elements ---------------------------------------------------------------------------------------


def webm_texts(file: BinaryIO) -> Iterator[tuple[str, str]]:
    end = file.seek(0, 2)
    for kind, start, stop in elements(file, 0, end):
        if kind == SEGMENT:
            for tags, from_, to in elements(file, start, stop):
                if tags == TAGS:
                    yield from tag_texts(file, from_, to)


def tag_texts(file: BinaryIO, start: int, stop: int) -> Iterator[tuple[str, str]]:
    for tag, from_, to in list(elements(file, start, stop)):
        for simple, at, until in list(elements(file, from_, to)) if tag == TAG else []:
            if simple != SIMPLE_TAG:
                continue
            parts = {}
            for part, begin, finish in list(elements(file, at, until)):
                if part in (TAG_NAME, TAG_STRING) and finish - begin <= MAX_TEXT:
                    file.seek(begin)
                    parts[part] = file.read(finish - begin).decode("utf-8", "replace").rstrip("\0")
            if TAG_NAME in parts and TAG_STRING in parts:
                yield parts[TAG_NAME], parts[TAG_STRING]


def elements(file: BinaryIO, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(id, start, end) of the content of each element. One of unknown length reaches to the end."""
    at = start
    for _ in range(MAX_PARTS):
        if at >= end:
            return
        file.seek(at)
        kind = variable_int(file, keep_marker=True)
        size = variable_int(file, keep_marker=False)
        if kind is None or size is None:
            return
        inside = file.tell()
        stop = end if size < 0 else inside + size
        if stop > end:
            stop = end
        yield kind, inside, stop
        at = stop


def variable_int(file: BinaryIO, *, keep_marker: bool) -> int | None:
    """EBML's number: leading zeros say how many bytes follow. All ones is an unknown length: -1."""
    first = file.read(1)
    if not first or first[0] == 0:
        return None
    length = 8 - first[0].bit_length() + 1
    rest = file.read(length - 1)
    if len(rest) < length - 1:
        return None
    value = int.from_bytes(first + rest, "big")
    if keep_marker:
        return value
    value -= 1 << (7 * length)
    return -1 if value == (1 << (7 * length)) - 1 else value


# FLAC: a Vorbis comment block; safetensors: the header -------------------------------------------------------------------


def flac_texts(file: BinaryIO) -> Iterator[tuple[str, str]]:
    file.seek(4)
    for _ in range(128):
        head = file.read(4)
        if len(head) < 4:
            return
        length = int.from_bytes(head[1:], "big")
        if head[0] & 0x7F == 4:
            yield from vorbis_comments(file.read(length))
        else:
            file.seek(length, 1)
        if head[0] & 0x80:
            return


def vorbis_comments(data: bytes) -> Iterator[tuple[str, str]]:
    at = 4 + int.from_bytes(data[:4], "little")
    count = int.from_bytes(data[at : at + 4], "little")
    at += 4
    for _ in range(min(count, MAX_PARTS)):
        size = int.from_bytes(data[at : at + 4], "little")
        text = data[at + 4 : at + 4 + size]
        at += 4 + size
        if at > len(data):
            return
        name, found, value = text.decode("utf-8", "replace").partition("=")
        if found:
            yield name, value


def safetensors_texts(file: BinaryIO) -> dict[str, str]:
    size = int.from_bytes(file.read(8), "little")
    if not 2 <= size <= MAX_TEXT:
        return {}
    try:
        header = json.loads(file.read(size))
    except (ValueError, RecursionError):
        return {}
    found = header.get("__metadata__") if isinstance(header, dict) else None
    return {key: value for key, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else {}
