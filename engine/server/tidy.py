"""Keeping what is temporary from growing."""

import contextlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path


def drop_old_files(root: Path, seconds: float) -> int:
    """Delete files under ``root`` that were last written longer ago than that, and folders left empty; how many files."""
    if seconds <= 0 or not root.is_dir():
        return 0
    limit = time.time() - seconds
    dropped = 0
    for folder, _, names in os.walk(root, topdown=False):
        for name in names:
            path = Path(folder, name)
            with contextlib.suppress(OSError):
                if path.lstat().st_mtime < limit:
                    path.unlink()
                    dropped += 1
        if folder != str(root):
            with contextlib.suppress(OSError):
                if Path(folder).stat().st_mtime < limit:
                    Path(folder).rmdir()
    return dropped


def drop_journals(root: Path, is_open: Callable[[str], bool]) -> int:
    """Delete what sampling noted for jobs that will not go on: they were cancelled while they waited; how many."""
    stale = [path for path in root.iterdir() if not is_open(path.name)] if root.is_dir() else []
    for path in stale:
        shutil.rmtree(path, ignore_errors=True)
    return len(stale)
