"""What a step's result depends on besides the prompt: the content of files, and what its node says."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

from engine.folders import Folders, MissingFileError, PathError
from engine.graph import Step, settle
from engine.run import Job, Run
from engine.spec import Folder

log = logging.getLogger(__name__)

BLOCK = 64 * 1024
BLOCKS = 16


@dataclass(frozen=True, slots=True)
class Print:
    """The content of a step's ``files`` by input name, and what its node returned as a fingerprint; NaN is like no other."""

    files: Mapping[str, str] = field(default_factory=dict)
    other: Any = None


def print_of(step: Step, job: Job) -> Print:
    """Ask files and node. A node that cannot tell is run every time."""
    spec = step.spec
    other: Any = None
    if spec.fingerprint is not None:
        literals = {port.name: None for port in spec.inputs} | dict(step.params)
        try:
            other = settle(spec.fingerprint(literals, Run(step.id, spec.type, step.display, step.parent, job)))
        except Exception as error:
            log.warning("node %s (%s) has no fingerprint and runs every time: %s", step.id, step.title, error)
            other = float("nan")
    return Print(files_of(step, job.folders), other)


def files_of(step: Step, folders: Folders) -> dict[str, str]:
    """The print of each file that the step's params name."""
    found: dict[str, str] = {}
    for port in step.spec.files:
        name = step.params.get(port.name)
        if isinstance(name, str) and isinstance(port.choices, Folder) and name not in port.choices.extra:
            with suppress(MissingFileError, PathError, OSError):
                found[port.name] = file_print(folders.find(port.choices.name, name))
    return found


def file_print(path: Path) -> str:
    """What tells a file from others without reading all of it: its size, both ends and blocks between (milliseconds)."""
    stat = path.stat()
    return _print(os.fspath(path), stat.st_size, stat.st_mtime_ns, stat.st_ino)


@lru_cache(maxsize=4096)
def _print(path: str, size: int, mtime_ns: int, inode: int) -> str:
    digest = blake2b(str(size).encode(), digest_size=20)
    with open(path, "rb") as file:
        if size <= BLOCK * BLOCKS:
            digest.update(file.read())
        else:
            for i in range(BLOCKS):
                file.seek((size - BLOCK) * i // (BLOCKS - 1))
                digest.update(file.read(BLOCK))
    return digest.hexdigest()
