"""Earlier states of a user's workflows: whoever overwrites one, its last five stay."""

import os
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

FOLDER, HIDDEN = "workflows", ".versions"
KEPT = 5


def keep(path: Path, root: Path) -> None:
    """Before a workflow at ``path`` in the user's folder ``root`` is overwritten: the file there becomes its newest version.

    ``workflows/a/b.json`` has its versions in ``workflows/.versions/a/b.json/``, named by the time they were replaced.
    """
    folder = root / FOLDER
    if path.suffix != ".json" or not path.is_relative_to(folder) or not path.is_file():
        return
    inner = path.relative_to(folder)
    if inner.parts[0] == HIDDEN:
        return
    place = folder / HIDDEN / inner
    place.mkdir(parents=True, exist_ok=True)
    version = place / f"{datetime.now(UTC).strftime('%Y-%m-%dT%H-%M-%S-%f')[:-3]}Z.json"
    with suppress(FileExistsError):  # another save in the same millisecond: one of them is enough
        try:
            os.link(path, version)
        except OSError:  # a file system without hard links
            shutil.copy2(path, version)
    for old in sorted(place.glob("*.json"))[:-KEPT]:
        old.unlink(missing_ok=True)
