"""What an isolated pack says it needs, what its user grants, and the difference as a command."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from engine.packs.confinement import Permissions
from engine.packs.environment import project_of
from engine.packs.places import PackError
from engine.packs.trust import Entry

GB = 1 << 30
LEAST_MEMORY = 1 << 30


def granted(said: argparse.Namespace, before: Entry) -> Permissions:
    """What was granted before to an isolated pack, and what is granted now. With ``--isolate`` it begins anew."""
    old = before.permissions if before.isolated and not said.isolate else Permissions()
    memory = old.memory if said.memory is None else int(said.memory * GB)
    if memory < LEAST_MEMORY:
        raise PackError(f"--memory: Python and torch alone need more than {said.memory:g} GB; give at least 1.")
    for path in (*said.read, *said.write):
        if not path.expanduser().exists():
            raise PackError(f"there is no folder {str(path)!r} to grant.")
    read, write = (
        tuple(dict.fromkeys([*known, *(str(path.expanduser().resolve()) for path in more)]))
        for known, more in ((old.read, said.read), (old.write, said.write))
    )
    return Permissions(read, write, said.allow_network or old.network, said.allow_subprocesses or old.subprocesses, memory)


def declared(pack: Path) -> Permissions:
    """``[tool.loom.permissions]`` of its pyproject.toml: network, subprocesses (true), read, write (folders), memory (GB)."""
    told = project_of(pack).get("tool", {}).get("loom", {}).get("permissions", {})
    try:
        return Permissions.of({**told, **({"memory": int(told["memory"] * GB)} if "memory" in told else {})})
    except (TypeError, ValueError, AttributeError):
        raise PackError(
            f"{pack.name}/pyproject.toml: [tool.loom.permissions] has network and subprocesses (true or false), read and write "
            f"(lists of folders) and memory (GB), but says {told!r}."
        ) from None


def missing(wanted: Permissions, given: Permissions) -> str:
    """The flags that would grant what is wanted and not given."""
    flags = ["--allow-network"] * (wanted.network and not given.network)
    flags += ["--allow-subprocesses"] * (wanted.subprocesses and not given.subprocesses)
    for flag, more, known in (("--read", wanted.read, given.read), ("--write", wanted.write, given.write)):
        flags += [f"{flag} {shlex.quote(path)}" for path in more if str(Path(path).expanduser().resolve()) not in known]
    flags += [f"--memory {wanted.memory / GB:g}"] * (wanted.memory > max(given.memory, Permissions().memory))
    return " ".join(flags)
