"""Names from outside, made into paths that stay where they belong."""

import contextlib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from engine.folders import PathError, inside
from engine.server.refusal import Refusal

DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\/\u202a-\u202e\u2066-\u2069]')
MAX_NAME = 200


def below(root: Path, name: str, status: int = 403) -> Path:
    """``root / name``, or a refusal where that leads out or names a device. An empty name is the root."""
    try:
        path = root if not name.strip("/\\. ") and ".." not in name else inside(root, name)
        fits = all(len(os.fsencode(part)) <= 255 and not DEVICES.match(part) for part in path.relative_to(root).parts)
    except (PathError, ValueError, OSError):
        raise Refusal(status, "This path is not allowed.") from None
    if not fits:
        raise Refusal(status, "This path is not allowed.")
    return path


def file_name(name: str, instead: str = "") -> str:
    """The last part of a name that a client gives a file, without what no file system takes."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    clean = UNSAFE.sub("_", last).strip(" .") or instead
    if DEVICES.match(clean):
        clean = f"_{clean}"
    stem, dot, extension = clean.rpartition(".")
    if len(os.fsencode(clean)) > MAX_NAME:
        kept = os.fsencode(stem or extension)[: MAX_NAME - 20].decode("utf-8", "ignore")
        clean = f"{kept}{dot}{extension[:16]}" if stem else kept
    return clean.encode("utf-8", "replace").decode()


@contextlib.contextmanager
def writing(path: Path, *, overwrite: bool = True) -> Iterator[IO[bytes]]:
    """A file that appears at ``path`` whole or not at all. Not ``overwrite``: FileExistsError where there is one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            os.replace(part, path)
        else:
            os.link(part, path)
    finally:
        part.unlink(missing_ok=True)


def free_name(path: Path, number: int) -> Path:
    """``name (1).ext`` and so on."""
    return path if number == 0 else path.with_name(f"{path.stem} ({number}){path.suffix}")
