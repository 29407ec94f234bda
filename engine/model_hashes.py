"""SHA-256 of model files, computed beside everything else and kept, so that a file can be found by what it holds."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from engine.folders import Folders, nearest

log = logging.getLogger(__name__)
BLOCK = 1 << 22
SHORT = 10
"""So many digits of a hash are quoted at least (AutoV2)."""


class ModelHashes:
    """The hashes of the files in model folders; ``kept`` is where they are noted, by path, size and time of change."""

    def __init__(self, folders: Folders, kept: Path) -> None:
        self.folders, self.kept = folders, kept
        self._known: dict[str, tuple[int, int, str]] | None = None
        self._waiting: deque[Path] = deque()
        self._changed = threading.Condition()
        self._busy = False

    def find(self, kind: str, digest: str, *, like: str = "", seconds: float = 2.0) -> tuple[str | None, bool]:
        """The name of the file with this SHA-256 (or its beginning), and whether every file could be looked at in time.

        Files that were never looked at are read now, those called most ``like`` it first, for so many seconds; what is left
        goes on in the background, and the next call knows more.
        """
        digest = digest.lower()
        if len(digest) < SHORT or kind not in self.folders.kinds():
            return None, True
        paths = self._paths(kind, like)
        end = time.monotonic() + seconds
        with self._changed:
            self._ask(paths.values())
            while True:
                for name, path in paths.items():
                    if (known := self._hash_of(path)) is not None and known.startswith(digest):
                        return name, True
                left = end - time.monotonic()
                if all(self._hash_of(path) is not None or path not in self._waiting for path in paths.values()):
                    return None, True
                if left <= 0:
                    return None, False
                self._changed.wait(left)

    def _paths(self, kind: str, like: str) -> dict[str, Path]:
        names = self.folders.names(kind)
        first = nearest(like, names, 20) if like else []
        return {name: self.folders.find(kind, name) for name in dict.fromkeys([*first, *names])}

    def _ask(self, paths: Iterable[Path]) -> None:
        """Have the files that are not known read, unless they are about to be. Called with the lock."""
        self._waiting.extend(path for path in paths if self._hash_of(path) is None and path not in self._waiting)
        if self._waiting and not self._busy:
            self._busy = True
            threading.Thread(target=self._work, name="model-hashes", daemon=True).start()

    def _hash_of(self, path: Path) -> str | None:
        known = self._read().get(str(path))
        return known[2] if known is not None and known[:2] == stamp(path) else None

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._busy = False
                    self._save()
                    self._changed.notify_all()
                    return
                path = self._waiting[0]
            at = stamp(path)
            try:
                found = sha256(path)
            except OSError as problem:
                log.warning("%s cannot be read: %s", path, problem.strerror)
                found = ""
            with self._changed:
                self._waiting.popleft()
                self._read()[str(path)] = (*at, found)
                self._changed.notify_all()

    def _read(self) -> dict[str, tuple[int, int, str]]:
        if self._known is None:
            try:
                said = json.loads(self.kept.read_text())
                self._known = {path: (int(entry[0]), int(entry[1]), str(entry[2])) for path, entry in said.items()}
            except (OSError, ValueError, TypeError, LookupError, AttributeError):
                self._known = {}
        return self._known

    def _save(self) -> None:
        part = self.kept.with_suffix(f".{os.getpid()}.part")
        try:
            self.kept.parent.mkdir(parents=True, exist_ok=True)
            self._known = {path: known for path, known in self._read().items() if Path(path).exists()}
            part.write_text(json.dumps(self._known))
            part.replace(self.kept)
        except OSError as problem:
            log.warning("%s cannot be written: %s", self.kept, problem.strerror)


def stamp(path: Path) -> tuple[int, int]:
    """What changes when a file does: its size and its time."""
    try:
        found = path.stat()
    except OSError:
        return -1, -1
    return found.st_size, found.st_mtime_ns


def sha256(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            found.update(block)
    return found.hexdigest()
