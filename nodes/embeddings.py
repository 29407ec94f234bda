"""Textual inversions that prompts name."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from engine.node import Run

NAMED = re.compile(r"(?:^|[\s(])embedding:([^\s()]+)")


def embedding_finder(run: Run) -> Callable[[str], Path | None]:
    """Where ``embedding:name`` in a prompt looks: the embeddings folder, with or without the file's suffix."""

    def find(name: str) -> Path | None:
        for known in run.folders.names("embeddings"):
            if name in (known, known.rsplit(".", 1)[0]):
                return run.folders.find("embeddings", known)
        return None

    return find


def embeddings_in(run: Run, *texts: str | None) -> str:
    """What tells when an embedding named in a prompt has come, gone or changed: a fingerprint for the nodes that read prompts."""
    names = sorted({name for text in texts if text for name in NAMED.findall(text)})
    if not names:
        return ""
    find = embedding_finder(run)
    found = []
    for name in names:
        path = find(name) or find(re.sub(r"(:[\d.]+)?,*$", "", name))
        stat = path.stat() if path is not None else None
        found.append(f"{name} {stat.st_size} {stat.st_mtime_ns}" if stat is not None else f"{name} missing")
    return "\n".join(found)
