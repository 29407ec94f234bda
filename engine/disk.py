"""The disk tier of the cache: latents, conditioning and pictures that were dear to make, found again after a restart.

``blobs/<digest>.safetensors`` holds the tensors of one result and, as metadata, how they were nested; its name is the hash of
its bytes. ``keys/<key>`` says which blob a step's result is, and how long it took. Both are written beside and renamed, so that a
crash leaves nothing half; a blob that is not what its name says is dropped. The least recently used go when the budget is spent.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import uuid
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

from engine.items import Items
from engine.keys import NBYTES, Key

log = logging.getLogger(__name__)

WORTH_SECONDS = 0.2
SHARE = 8
SCALARS = (bool, int, float, str, type(None))
NESTS: dict[type, str] = {list: "list", tuple: "tuple", Items: "items"}


class NotPortable(Exception):
    """A value that means nothing to another process: a network, a blocker, a foreign object."""


class Disk:
    """At most ``max_bytes`` in ``directory``. What the code of engine/diffusion computes differently is never found again."""

    def __init__(self, directory: Path, max_bytes: int, salt: bytes | None = None) -> None:
        self.blobs, self.names, self.max_bytes = directory / "blobs", directory / "keys", max_bytes
        self._salt = salt if salt is not None else code_salt()
        self._lock = threading.Lock()
        self.blobs.mkdir(parents=True, exist_ok=True)
        self.names.mkdir(parents=True, exist_ok=True)
        self.nbytes = sum(entry.stat().st_size for entry in os.scandir(self.blobs))
        # Nearly every look-up is for what is not there: the file system need not be asked.
        self._known = {entry.name for entry in os.scandir(self.names)}

    def __contains__(self, key: Key) -> bool:
        return self._name(key) in self._known

    def get(self, key: Key) -> tuple[tuple[Any, ...], float] | None:
        """The values under ``key`` and the seconds they took."""
        name = self._name(key)
        if name not in self._known:
            return None
        try:
            note = json.loads((self.names / name).read_text())
            blob = self.blobs / f"{note['blob']}.safetensors"
            data = blob.read_bytes()
        except (OSError, ValueError, KeyError, TypeError):
            self._known.discard(name)
            (self.names / name).unlink(missing_ok=True)
            return None
        if blake2b(data, digest_size=NBYTES).hexdigest() != note["blob"]:
            log.warning("a cached result on disk was damaged and is dropped: %s", blob.name)
            self._drop(blob)
            return None
        os.utime(blob)
        return tuple(unpacked(data)), float(note["seconds"])

    def put(self, key: Key, values: tuple[Any, ...], seconds: float) -> None:
        """Keep values that are worth it and can be written; a full disk is no error."""
        if seconds < WORTH_SECONDS:
            return
        try:
            data = packed(list(values))
            if len(data) > self.max_bytes // SHARE:
                return
            digest = blake2b(data, digest_size=NBYTES).hexdigest()
            blob = self.blobs / f"{digest}.safetensors"
            with self._lock:
                if not blob.exists():
                    _write(blob, data)
                    self.nbytes += len(data)
                name = self._name(key)
                _write(self.names / name, json.dumps({"blob": digest, "seconds": seconds}).encode())
                self._known.add(name)
            if self.nbytes > self.max_bytes:
                self._shrink()
        except NotPortable:
            return
        except OSError as error:
            log.warning("a result could not be cached on disk: %s", error)

    def _name(self, key: Key) -> str:
        return blake2b(key, key=self._salt, digest_size=NBYTES).hexdigest()

    def _shrink(self) -> None:
        with self._lock:
            entries = sorted(os.scandir(self.blobs), key=lambda entry: entry.stat().st_mtime_ns)
        for entry in entries:
            if self.nbytes <= self.max_bytes * 9 // 10:
                break
            self._drop(Path(entry.path))
        self._forget_names()

    def _forget_names(self) -> None:
        """Drop the names of what is gone, or they would grow without a bound."""
        there = {entry.name.removesuffix(".safetensors") for entry in os.scandir(self.blobs)}
        for name in list(self._known):
            path = self.names / name
            try:
                gone = json.loads(path.read_text())["blob"] not in there
            except (OSError, ValueError, KeyError, TypeError):
                gone = True
            if gone:
                self._known.discard(name)
                path.unlink(missing_ok=True)

    def _drop(self, blob: Path) -> None:
        with self._lock:
            try:
                size = blob.stat().st_size
                blob.unlink()
                self.nbytes -= size
            except OSError:
                pass


def packed(values: list[Any]) -> bytes:
    """Nested lists, tuples and dicts of tensors and scalars as one safetensors file."""
    import torch
    from safetensors.torch import save

    tensors: dict[str, torch.Tensor] = {}

    def note(value: Any) -> Any:
        if type(value) in SCALARS:
            return {"is": value}
        if type(value) is torch.Tensor:
            name = str(len(tensors))
            tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
            return {"tensor": name}
        if type(value) in NESTS:
            return {NESTS[type(value)]: [note(item) for item in value]}
        if type(value) is dict and all(type(key) is str for key in value):
            return {"dict": [[key, note(item)] for key, item in value.items()]}
        raise NotPortable

    try:
        tree = json.dumps(note(values))
        return save(tensors, {"tree": tree})
    except (RecursionError, TypeError, RuntimeError) as error:
        raise NotPortable from error


def unpacked(data: bytes) -> Any:
    """The inverse of ``packed``."""
    from safetensors.torch import load

    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    tensors = load(data)
    kinds: dict[str, Callable[[Any], Any]] = {
        "is": lambda value: value,
        "tensor": lambda name: tensors[name],
        "list": lambda items: [read(item) for item in items],
        "tuple": lambda items: tuple(read(item) for item in items),
        "items": lambda items: Items(read(item) for item in items),
        "dict": lambda pairs: {key: read(item) for key, item in pairs},
    }

    def read(note: dict[str, Any]) -> Any:
        ((kind, value),) = note.items()
        return kinds[kind](value)

    return read(json.loads(header["__metadata__"]["tree"]))


def code_salt() -> bytes:
    """A hash of engine/diffusion: what computes the results."""
    digest = blake2b(digest_size=NBYTES)
    for path in sorted((Path(__file__).parent / "diffusion").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.digest()


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(f"{uuid.uuid4().hex}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
