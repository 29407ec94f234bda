"""How an isolated pack's process begins, ``python -m engine.packs.entry``: it confines itself, then enters its environment.

Up to there nothing is imported but the standard library and this program: a package of the environment could stand in for any
other, and its ``.pth`` files are code.
"""

from __future__ import annotations

import json
import site
import socket
import sys
from pathlib import Path
from typing import Any

from engine.packs.confinement import Permissions, confine


def enter(environment: Path, packages: Path) -> None:
    """Its packages come before this program's."""
    before = list(sys.path)
    site.addsitedir(str(packages))
    added = [entry for entry in sys.path if entry not in before]
    first = next((i for i, entry in enumerate(before) if Path(entry).name in ("site-packages", "dist-packages")), len(before))
    sys.path[:] = [*before[:first], *added, *before[first:]]
    sys.prefix = sys.exec_prefix = str(environment)
    sys.executable = str(environment / "bin" / "python")


def main() -> None:
    line = socket.socket(fileno=int(sys.argv[1]))
    config: dict[str, Any] = json.loads(sys.argv[2])
    refused = None
    try:
        confine(Permissions.of(config["permissions"]))
        if config["environment"]:
            enter(*map(Path, config["environment"]))
    except Exception as error:
        refused = error
    from engine.packs.cell import run

    run(line, config, refused)


if __name__ == "__main__":
    main()
