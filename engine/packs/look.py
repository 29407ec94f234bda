"""What in a pack's code deserves a look before it is trusted. A help for the eye: code can hide from it."""

from __future__ import annotations

import ast
from pathlib import Path

from engine.packs.trust import files_of

TELLING = {
    "subprocess": "starts programs", "os.system": "starts programs", "os.popen": "starts programs",
    "socket": "opens connections", "requests": "opens connections", "urllib": "opens connections",
    "http": "opens connections", "aiohttp": "opens connections", "httpx": "opens connections", "ctypes": "calls native code",
    "pickle": "reads pickles, which are code", "eval": "runs text as code", "exec": "runs text as code",
    "compile": "runs text as code", "__import__": "imports by name", "importlib": "imports by name",
    "pip": "installs packages", "base64": "hides text", "marshal": "reads code", "winreg": "reads the registry",
}  # fmt: skip
LISTED = 12


def looks(pack: Path) -> list[str]:
    """The size of it, and where it does what harm is done with."""
    files = list(files_of(pack))
    code = [file for file in files if file.suffix == ".py"]
    lines = [f"{len(code)} Python files, {sum(_count(file) for file in code)} lines, {len(files) - len(code)} others"]
    native = [file for file in files if file.suffix.lower() in (".so", ".pyd", ".dll", ".sh", ".bat")]
    lines += [f"{_name(file, pack)}: native code or a script, which cannot be read here" for file in native[:LISTED]]
    found = [f"{_name(file, pack)}:{line}: {what} ({why})" for file in code for line, what, why in telling(file)]
    lines += found[:LISTED]
    if len(found) > LISTED:
        lines.append(f"... and {len(found) - LISTED} more")
    return lines


def telling(file: Path) -> list[tuple[int, str, str]]:
    """(line, name, why) of what a file imports or calls that is worth knowing."""
    try:
        tree = ast.parse(file.read_text(encoding="utf-8", errors="replace"))
    except (SyntaxError, ValueError, RecursionError) as error:
        return [(getattr(error, "lineno", 0) or 0, "cannot be read", str(error)[:80])]
    found: dict[str, tuple[int, str, str]] = {}
    for item in ast.walk(tree):
        names: list[str] = []
        if isinstance(item, ast.Import):
            names = [alias.name for alias in item.names]
        elif isinstance(item, ast.ImportFrom):
            names = [item.module or ""]
        elif isinstance(item, ast.Call):
            names = [ast.unparse(item.func)[:60]]
        for name in names:
            top = name.partition(".")[0]
            why = TELLING.get(name) or (TELLING.get(top) if not isinstance(item, ast.Call) or name == top else None)
            if why and name not in found:
                found[name] = (getattr(item, "lineno", 0), name, why)
    return sorted(found.values())


def _count(file: Path) -> int:
    return file.read_bytes().count(b"\n")


def _name(file: Path, pack: Path) -> str:
    return file.name if pack.is_file() else file.relative_to(pack.resolve()).as_posix()
