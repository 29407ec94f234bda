"""Keeping what is temporary from growing."""

import contextlib
import os
import time
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
