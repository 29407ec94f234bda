"""Packs on disk: finding one by its name, fetching one from somewhere, taking one away."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from engine.registry import pack_paths

MAX_FILES = 20_000
MAX_BYTES = 1 << 30
GIT = re.compile(r"^(https?://|git://|ssh://|git@|file://)")
NAME = re.compile(r"^[A-Za-z][A-Za-z0-9_-]*$")


class PackError(ValueError):
    """What was asked of a pack cannot be done; the message says why and what to do."""


def every_pack(directories: Sequence[Path]) -> list[Path]:
    return [path for directory in directories for path in pack_paths(directory)]


def find(name: str, directories: Sequence[Path]) -> Path:
    """The pack of that name, or at that path."""
    known = every_pack(directories)
    named = [path for path in known if name in (path.name, path.stem, str(path)) or Path(name).absolute() == path.absolute()]
    if len(named) > 1:
        raise PackError(f"there are {len(named)} packs called {name!r}: {', '.join(map(str, named))}. Say which by its path.")
    if not named:
        listed = ", ".join(path.name for path in known) or "none"
        raise PackError(f"there is no pack called {name!r}; there are: {listed}.")
    return named[0]


def fetch(source: str, into: Path) -> Path:
    """Copy a folder or file, unpack a ZIP, or clone a git repository into ``into``. Nothing of it is run."""
    into.mkdir(parents=True, exist_ok=True)
    if GIT.match(source) and not source.endswith(".zip"):
        return _clone(source, into)
    path = Path(source).expanduser()
    if path.suffix == ".zip" and path.is_file():
        return _unpack(path, into)
    if not path.exists():
        raise PackError(f"{source!r} is no folder, no .py or .zip file and no git address.")
    if path.is_dir() and not (path / "__init__.py").is_file():
        raise PackError(f"{path} is no pack: there is no __init__.py in it.")
    target = _free(into / path.resolve().name)
    if path.is_dir():
        shutil.copytree(path, target, symlinks=False, ignore=shutil.ignore_patterns("__pycache__", ".git", ".venv"))
    else:
        shutil.copy2(path, target)
    return target


def _clone(address: str, into: Path) -> Path:
    name = address.rstrip("/").rsplit("/", 1)[-1].rsplit(":", 1)[-1].removesuffix(".git")
    target = _free(into / _safe(name))
    words = [
        "git",
        "-c",
        "core.hooksPath=/dev/null",
        "clone",
        "--depth",
        "1",
        "--no-recurse-submodules",
        "--",
        address,
        str(target),
    ]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=600, start_new_session=True)
    except FileNotFoundError:
        raise PackError("git is not installed. Install it, or download the pack as a ZIP and add that.") from None
    except subprocess.TimeoutExpired:
        raise PackError(f"{address} did not answer within ten minutes.") from None
    if done.returncode:
        shutil.rmtree(target, ignore_errors=True)
        raise PackError(f"git could not clone {address}: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    return _checked(target)


def _unpack(archive: Path, into: Path) -> Path:
    """Names that lead out, links and archives that grow too large are refused before anything is written to its place."""
    with zipfile.ZipFile(archive) as file, tempfile.TemporaryDirectory(dir=into, prefix=".unpacking-") as scratch:
        infos = [info for info in file.infolist() if not info.is_dir()]
        if len(infos) > MAX_FILES or sum(info.file_size for info in infos) > MAX_BYTES:
            raise PackError(f"{archive.name} holds more than {MAX_FILES} files or {MAX_BYTES >> 30} GB.")
        for info in infos:
            name = PurePosixPath(info.filename.replace("\\", "/"))
            if name.is_absolute() or ".." in name.parts or ":" in info.filename or stat.S_ISLNK(info.external_attr >> 16):
                raise PackError(f"{archive.name} holds {info.filename!r}, which leads out of it.")
            _write(file, info, Path(scratch).joinpath(*name.parts))
        inside = [path for path in Path(scratch).iterdir() if not path.name.startswith(".")]
        root = inside[0] if len(inside) == 1 and inside[0].is_dir() else Path(scratch)
        if not (root / "__init__.py").is_file():
            raise PackError(f"{archive.name} is no pack: there is no __init__.py at its top.")
        top = root.name if root != Path(scratch) else archive.stem
        return Path(shutil.move(root if root != Path(scratch) else _renamed(root), _free(into / _safe(top))))


def _renamed(root: Path) -> Path:
    """A temporary folder's content in a folder of its own, so that moving it leaves the temporary one to be removed."""
    inner = root / ".content"
    inner.mkdir()
    for path in list(root.iterdir()):
        if path != inner:
            shutil.move(path, inner / path.name)
    return inner


def _write(file: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> None:
    """One member, and not a byte more than it says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    left = info.file_size
    with file.open(info) as source, path.open("wb") as target:
        while chunk := source.read(1 << 20):
            left -= len(chunk)
            if left < 0:
                raise PackError(f"{info.filename} is larger than it says.")
            target.write(chunk)


def remove(pack: Path, directories: Iterable[Path]) -> None:
    """Delete a pack's files; never anything that is not directly in a folder of packs."""
    if pack.parent.absolute() not in [directory.absolute() for directory in directories]:
        raise PackError(f"{pack} is not in a folder of packs.")
    if pack.is_symlink() or pack.is_file():
        pack.unlink()
    else:
        shutil.rmtree(pack)


def _checked(target: Path) -> Path:
    if not (target / "__init__.py").is_file():
        shutil.rmtree(target, ignore_errors=True)
        raise PackError(f"{target.name} is no pack: there is no __init__.py at its top.")
    return target


def _safe(name: str) -> str:
    clean = re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("._-")
    if not clean:
        raise PackError(f"{name!r} cannot be the name of a pack.")
    return clean


def _free(target: Path) -> Path:
    if target.exists():
        raise PackError(
            f"there is a pack called {target.name!r} already. Remove it first: python main.py packs remove {target.name}"
        )
    return target
