"""Results to disk exactly once: a job that runs twice writes each of its outputs once, whole, under ComfyUI's names."""

from __future__ import annotations

import contextlib
import datetime
import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from engine.folders import WORK_FOLDERS, Folders, inside

CLAIMS = ".claims"
FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
TOKEN = re.compile(r"%([^%]+)%")
DATE_PART = re.compile("yyyy|yy|MM|M|dd|d|hh|h|mm|m|ss|s")
CLOCK = {"year": "%Y", "month": "%m", "day": "%d", "hour": "%H", "minute": "%M", "second": "%S"}


class OutputError(OSError):
    """A result could not be written; the message says why and where."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A file that was written. ``type`` is the folder it is in: "output" or "temp"."""

    filename: str
    subfolder: str
    type: str
    path: Path

    def ui(self) -> dict[str, str]:
        """As ComfyUI's clients ask for it: the query of ``/view``."""
        return {"filename": self.filename, "subfolder": self.subfolder, "type": self.type}


Pieces = Iterable[bytes]
"""A file, piece by piece. One with an ``offset`` goes over what was written there: it is only known when all has been written."""


def write_pieces(file: BinaryIO, data: bytes | Pieces) -> None:
    """Write them in order, each after the last but those that go over earlier ones."""
    for piece in (data,) if isinstance(data, bytes) else data:
        offset: int | None = getattr(piece, "offset", None)
        if offset is not None:
            file.seek(offset)
        file.write(piece)
        if offset is not None:
            file.seek(0, os.SEEK_END)
    file.flush()


def commit(
    data: bytes | Pieces, extension: str, *, job: str, node: str, index: int, folders: Folders, prefix: str = "ComfyUI",
    kind: str = "output", prompt: Mapping[str, Any] | None = None, width: int = 0, height: int = 0,
) -> Saved:  # fmt: skip
    """Write the ``index``-th result of a job's node, unless it is written; the next free number of ``prefix`` names it.

    Large results come in pieces, which are only asked for if they are to be written.

    The bytes first become a claim, a file named after (job, node, index) that only one writer can make; then the claim gets its
    public name by a hard link. A crash at any moment leaves either nothing visible or the whole file, and the next try goes on.
    """
    root = folders.work(kind)
    named = inside(root, expand_prefix(prefix, prompt, width=width, height=height, index=index), links=False)
    claims = root / CLAIMS / _safe(job)
    claim = claims / f"{_safe(node)}-{index}"
    part = claims / f"{uuid.uuid4().hex}.part"
    try:
        named.parent.mkdir(parents=True, exist_ok=True)
        claims.mkdir(parents=True, exist_ok=True)
        if not claim.exists():
            _write(part, data)
            with contextlib.suppress(FileExistsError):
                os.link(part, claim)
        with _alone(claim):
            path = _published(claim, root) or _publish(claim, root, named, extension.lstrip("."))
    except OSError as error:
        raise OutputError(error.errno, f"{why(error)} {root}") from error
    finally:
        part.unlink(missing_ok=True)
    subfolder = path.parent.relative_to(root).as_posix()
    return Saved(path.name, "" if subfolder == "." else subfolder, kind, path)


def settle(job: str, folders: Folders) -> None:
    """The job is over: its outputs are no longer claimed, and deleting one frees its bytes."""
    for kind in ("output", "temp"):
        shutil.rmtree(folders.work(kind) / CLAIMS / _safe(job), ignore_errors=True)
        with contextlib.suppress(OSError):
            (folders.work(kind) / CLAIMS).rmdir()


def shown_files(ui: Mapping[str, Any] | None, folders: Folders) -> list[Path]:
    """The files among what a node shows."""
    items = [item for value in (ui or {}).values() if isinstance(value, list | tuple) for item in value]
    files = [item for item in items if isinstance(item, dict) and {"filename", "subfolder", "type"} <= item.keys()]
    known = [item for item in files if item["type"] in WORK_FOLDERS]
    return [folders.work(item["type"]) / str(item["subfolder"]) / str(item["filename"]) for item in known]


def expand_prefix(
    prefix: str, prompt: Mapping[str, Any] | None = None, *, width: int = 0, height: int = 0, index: int = 0
) -> str:
    """``%date:yyyy-MM-dd%``, ``%year%`` ..., ``%width%``, ``%height%``, ``%batch_num%`` and ``%Node.widget%`` filled in."""
    now = datetime.datetime.now()

    def fill(match: re.Match[str]) -> str:
        token = match[1]
        if token == "date" or token.startswith("date:"):
            pattern = token[5:] or "yyyyMMddhhmmss"
            return FORBIDDEN.sub("_", DATE_PART.sub(lambda part: _date_part(now, part[0]), pattern))
        if token in CLOCK:
            return now.strftime(CLOCK[token])
        if token in ("width", "height", "batch_num"):
            return str({"width": width, "height": height, "batch_num": index}[token])
        value = _widget(token, prompt or {})
        return match[0] if value is None else FORBIDDEN.sub("_", str(value))

    return TOKEN.sub(fill, prefix)


def _date_part(now: datetime.datetime, part: str) -> str:
    letter = part[0]
    value = {"y": now.year, "M": now.month, "d": now.day, "h": now.hour, "m": now.minute, "s": now.second}[letter]
    return f"{value:0{len(part)}}"[-len(part) :] if len(part) > 1 else str(value)


def _widget(token: str, prompt: Mapping[str, Any]) -> Any:
    """The value of ``Node.widget``, the node being named by title, type or id."""
    name, dot, widget = token.rpartition(".")
    for id, node in prompt.items() if dot else ():
        names = (id, node.get("class_type"), (node.get("_meta") or {}).get("title"))
        value = node.get("inputs", {}).get(widget)
        if name in names and isinstance(value, str | int | float):
            return value
    return None


def _publish(claim: Path, root: Path, named: Path, extension: str) -> Path:
    """Give the claim the next free number; the name is noted first, so that a crash leaves no doubt."""
    number = _last_number(named)
    while True:
        number += 1
        path = named.with_name(f"{named.name}_{number:05}_.{extension}")
        if path.exists():
            continue
        _note(claim).write_text(path.relative_to(root).as_posix())
        with contextlib.suppress(FileExistsError):
            os.link(claim, path)
            _sync(path.parent)
            return path


def _published(claim: Path, root: Path) -> Path | None:
    """The public name that an earlier try gave the claim."""
    if not _note(claim).exists():
        return None
    path = root / _note(claim).read_text()
    return path if path.exists() and path.samefile(claim) else None


def _note(claim: Path) -> Path:
    return claim.with_name(f"{claim.name}.name")


@contextlib.contextmanager
def _alone(claim: Path) -> Iterator[None]:
    """One writer at a time publishes a claim, also of several processes, where the system has file locks."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with open(claim, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _last_number(named: Path) -> int:
    pattern = re.compile(re.escape(named.name) + r"_(\d+)", re.IGNORECASE)
    with os.scandir(named.parent) as entries:
        return max((int(match[1]) for entry in entries if (match := pattern.match(entry.name))), default=0)


def _write(path: Path, data: bytes | Pieces) -> None:
    with open(path, "xb") as file:
        write_pieces(file, data)
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _safe(name: str) -> str:
    return FORBIDDEN.sub("_", name).lstrip(".") or "_"


def why(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "no space left in"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "no permission to write in"
    return f"{error.strerror or error}: cannot write in"
