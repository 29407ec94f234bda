"""Which packs may run: a record of the files each had when its user trusted it.

A pack is code with the rights of whoever starts the program. So one that merely lies in custom_nodes/ does not run, and one whose
files have changed since asks again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from engine.folders import PROJECT
from engine.packs.confinement import Permissions

State = Literal["trusted", "changed", "new", "disabled"]
SHIPPED = {"example_pack": "691c0bde4fe3ac4ec6990be1aabc7289bb9a6ffa743f429834867dbd798c9641"}
"""Packs that come with the program, by their digest as they came."""

SKIPPED = frozenset({".git", ".venv", "node_modules"})
COMPILED = "__pycache__"
CODE = (".py", ".pyc", ".pyd", ".so", ".dll", ".dylib", ".js", ".mjs", ".json", ".toml", ".txt", ".cfg", ".ini", ".yaml", ".yml",
        ".pth", ".sh", ".bat", ".whl", ".zip", ".egg")  # fmt: skip


class LedgerError(ValueError):
    """A record that cannot be read: it is not guessed at."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one pack; ``digest`` is of its files when it was trusted.

    ``permissions`` and ``scripts`` (whether the editor has its scripts) count where it is isolated.
    """

    digest: str = ""
    disabled: bool = False
    source: str = ""
    isolated: bool = False
    permissions: Permissions = Permissions()
    scripts: bool = True

    @classmethod
    def of(cls, written: dict[str, Any]) -> Entry:
        return cls(**{**written, "permissions": Permissions.of(written.get("permissions") or {})})


@dataclass(slots=True)
class Ledger:
    """Entries by the pack's resolved path, in ``packs.json`` of the user folder."""

    path: Path
    entries: dict[str, Entry] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Ledger:
        if not path.is_file():
            return cls(path)
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            return cls(path, {key: Entry.of(value) for key, value in data["packs"].items()})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise LedgerError(f"{path} cannot be read ({error}). Repair it, or delete it and trust your packs again.") from None

    def write(self) -> None:
        """In one piece: a crash leaves the old record or the new one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"packs": {key: asdict(entry) for key, entry in sorted(self.entries.items())}}, indent=2)
        partial = self.path.with_name(f"{self.path.name}.{os.getpid()}.part")
        partial.write_text(text + "\n", encoding="utf-8")
        os.replace(partial, self.path)

    def entry(self, pack: Path) -> Entry:
        return self.entries.get(_key(pack), Entry())

    def put(self, pack: Path, entry: Entry) -> None:
        self.entries[_key(pack)] = entry
        self.write()

    def trust(
        self,
        pack: Path,
        *,
        isolated: bool = False,
        permissions: Permissions | None = None,
        scripts: bool = True,
        source: str = "",
    ) -> None:
        """Let the pack run as it is now."""
        source = source or self.entry(pack).source
        self.put(pack, Entry(digest(pack), False, source, isolated, permissions or Permissions(), scripts))

    def disable(self, pack: Path) -> None:
        self.put(pack, replace(self.entry(pack), disabled=True))

    def forget(self, pack: Path) -> None:
        self.entries.pop(_key(pack), None)
        self.write()

    def state(self, pack: Path) -> State:
        entry = self.entry(pack)
        if entry.disabled:
            return "disabled"
        trusted = entry.digest or (SHIPPED.get(pack.name, "") if pack.parent.resolve() == PROJECT / "custom_nodes" else "")
        if not trusted:
            return "new"
        return "trusted" if trusted == digest(pack) else "changed"


def digest(pack: Path) -> str:
    """A hash of the names and contents of everything a pack could run or read as code."""
    total = sha256()
    root = pack.resolve()
    for file in files_of(root):
        name = file.name if root.is_file() else file.relative_to(root).as_posix()
        total.update(name.encode() + b"\0" + sha256(file.read_bytes()).digest())
    return total.hexdigest()


def files_of(pack: Path) -> Iterable[Path]:
    """The files that count, in one order. Links count as what they lead to."""
    if pack.is_file():
        return [pack]
    found: list[Path] = []
    for above, below, names in os.walk(pack, followlinks=False):
        below[:] = sorted(name for name in below if name not in SKIPPED)
        paths = [Path(above) / name for name in names]
        counts = stands_alone if Path(above).name == COMPILED else is_code
        found += [path for path in paths if counts(path)]
        linked = [Path(above) / name for name in below if (Path(above) / name).is_symlink()]
        found += [file for link in linked for file in sorted(link.rglob("*.py")) if file.is_file()]
    return sorted(found)


def is_code(path: Path) -> bool:
    return path.suffix.lower() in CODE and path.is_file()


def stands_alone(compiled: Path) -> bool:
    """Whether Python would run this compiled file without a look at its source (PEP 552: a hash that is not checked)."""
    with compiled.open("rb") as file:
        head = file.read(8)
    return len(head) == 8 and int.from_bytes(head[4:8], "little") == 1


def _key(pack: Path) -> str:
    return str(pack.resolve())
