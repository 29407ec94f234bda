"""extra_model_paths.yaml: the models folder of another program, used where it is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.folders import ALIASES

Roots = dict[str, tuple[Path, ...]]


def extra_paths(base: Path, files: Sequence[Path]) -> tuple[Roots, Roots, list[Path]]:
    """Model folders to search first (``is_default``), those to search last, and directories of packs.

    A section is ``kind: path``, or several paths on lines of their own; ``base_path`` goes before each of them, and a relative
    one starts where the file is. ``extra_model_paths.yaml`` in ``base`` is read without being named.
    """
    own = base / "extra_model_paths.yaml"
    first: Roots = {}
    last: Roots = {}
    packs: list[Path] = []
    for file in [*([own] if own.is_file() else []), *files]:
        for section in _sections(file):
            root = _path(section.get("base_path") or ".", file.resolve().parent)
            into = first if section.get("is_default") else last
            for key, value in section.items():
                if key in ("base_path", "is_default") or not isinstance(value, str):
                    continue
                paths = tuple(_path(line.strip(), root) for line in value.splitlines() if line.strip())
                if key == "custom_nodes":
                    packs += paths
                else:
                    kind = ALIASES.get(key, key)
                    into[kind] = (*into.get(kind, ()), *paths)
    return first, last, packs


def _sections(file: Path) -> list[dict[str, Any]]:
    import yaml

    from engine.settings import SettingsError

    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"there is no file {str(file)!r} (extra_model_paths_config)") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file.name}: {error}") from None
    return [section for section in (data or {}).values() if isinstance(section, dict)]


def _path(text: str, root: Path) -> Path:
    return root / os.path.expandvars(os.path.expanduser(text))
