"""The editor's scripts of isolated packs: files that are served, and run in the page."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)


def web_folders_in(pack: Path, told: Mapping[str, Any]) -> dict[str, Path]:
    """The folders of scripts that a pack names, as far as they are its own: nothing else would be served in its name."""
    found = {str(name): Path(str(folder)).resolve() for name, folder in told.items()}
    for name, folder in found.items():
        if not folder.is_relative_to(pack.resolve()):
            log.warning("%s: its scripts are left out, %s is not in its folder", name, folder)
    return {name: folder for name, folder in found.items() if folder.is_relative_to(pack.resolve())}
