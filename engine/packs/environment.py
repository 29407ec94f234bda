"""A pack's own virtual environment, made with ``uv``: what its requirements name, ahead of this program's own packages.

Versions this program has are taken where they will do, and then they are not installed again. torch is always this program's: one
machine's graphics driver fits one build of it. Only wheels are installed: to build one is to run its author's code unconfined.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

FOLDER = "environments"
RECORD = "made.json"
TORCH = re.compile(r"^(torch|triton|nvidia-.*|cuda-.*)$")
PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[.*\])?==([^\s;]+)")
SECONDS = 3600.0


class RequirementsError(ValueError):
    """A pack's requirements that cannot be met, or an environment that no longer meets them."""


def place(pack: Path, user: Path) -> Path:
    """Where a pack's environment is, in the user folder."""
    return user / FOLDER / f"{pack.stem}-{sha256(str(pack.resolve()).encode()).hexdigest()[:8]}"


def wanted(pack: Path) -> tuple[str, ...]:
    """The requirements of a pack: of its requirements.txt, else the dependencies in its pyproject.toml."""
    listed = pack / "requirements.txt"
    if listed.is_file():
        lines = [line.strip() for line in listed.read_text(encoding="utf-8-sig", errors="replace").splitlines()]
    else:
        lines = [str(one) for one in project_of(pack).get("project", {}).get("dependencies", ())]
    return tuple(line for line in lines if line and not line.startswith("#"))


def project_of(pack: Path) -> dict[str, Any]:
    """What a pack's pyproject.toml says; empty where there is none."""
    file = pack / "pyproject.toml"
    if not file.is_file():
        return {}
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RequirementsError(f"{pack.name}/pyproject.toml cannot be read: {error}") from None


def make(pack: Path, user: Path) -> list[str]:
    """Make the environment anew; what was installed, as ``name==version``. In one piece: a failure leaves the old one."""
    target = place(pack, user)
    if not wanted(pack):
        shutil.rmtree(target, ignore_errors=True)
        return []
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".making-") as scratch:
        made, here = Path(scratch) / "made", installed()
        pins = resolved(pack, Path(scratch), here)
        options = [line for line in pins if line.startswith("-")]
        versions = {canonical(pin[1]): pin[2] for line in pins if (pin := PIN.match(line))}
        shared = {name: here[name] for name, version in versions.items() if here.get(name) == version.partition("+")[0]}
        own = [f"{name}=={version}" for name, version in versions.items() if name not in shared and not TORCH.match(name)]
        uv(pack, scratch, "venv", "--relocatable", "--no-project", "--python", sys.executable, str(made))
        if own:
            (Path(scratch) / "own.txt").write_text("\n".join([*options, *own]), encoding="utf-8")
            words = ("pip", "install", "--no-deps", "--only-binary", ":all:", "--python", str(made), "-r", "own.txt")
            uv(pack, scratch, *words)
        (site_of(made) / "host.pth").write_text("\n".join(host_places()) + "\n", encoding="utf-8")
        record = {"requirements": wanted(pack), "python": sys.version, "shared": shared}
        (made / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
        if target.exists():
            target.rename(Path(scratch) / "old")
        made.rename(target)
    return own


def ready(pack: Path, user: Path) -> Path | None:
    """The environment, None if the pack needs none. It is not made here: that may take minutes and connections."""
    if not wanted(pack):
        return None
    target = place(pack, user)
    again = f"python main.py packs trust {pack.name} --isolate makes it."
    try:
        record = json.loads((target / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise RequirementsError(f"{pack.name} has no environment with what it needs; {again}") from None
    if record["python"] != sys.version:
        raise RequirementsError(f"the environment of {pack.name} is of another Python than this one; {again}")
    if tuple(record["requirements"]) != wanted(pack):
        raise RequirementsError(f"{pack.name} needs other packages than its environment has; {again}")
    here = installed()
    for name, version in record["shared"].items():
        if here.get(name) != version:
            raise RequirementsError(f"the environment of {pack.name} counts on {name} {version}, which is gone; {again}")
    return target


def forget(pack: Path, user: Path) -> None:
    shutil.rmtree(place(pack, user), ignore_errors=True)


def site_of(environment: Path) -> Path:
    """Where an environment's packages are."""
    if sys.platform == "win32":
        return environment / "Lib" / "site-packages"
    return environment / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def host_places() -> list[str]:
    """Where this program's packages are."""
    return [entry for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")]


def installed() -> dict[str, str]:
    """This program's packages and their versions, without builds (``2.13.0+cpu`` is ``2.13.0``)."""
    return {
        canonical(one.metadata["Name"]): one.version.partition("+")[0] for one in metadata.distributions() if one.metadata["Name"]
    }


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def resolved(pack: Path, scratch: Path, here: Mapping[str, str]) -> list[str]:
    """Pins of everything the pack needs: with this program's versions if that goes, else with its torch alone."""
    listed = pack / "requirements.txt"
    if not listed.is_file():
        listed = scratch / "wanted.txt"
        listed.write_text("\n".join(wanted(pack)), encoding="utf-8")
    torch_only = {name: version for name, version in here.items() if name == "torch"}
    for last, known in ((False, here), (True, torch_only)):
        (scratch / "here.txt").write_text("".join(f"{name}=={version}\n" for name, version in known.items()), encoding="utf-8")
        words = ("pip", "compile", str(listed.resolve()), "--constraints", "here.txt", "--only-binary", ":all:", "--python")
        shown = ("--no-header", "--no-annotate", "--emit-find-links", "--emit-index-url")
        try:
            lines = uv(pack, str(scratch), *words, sys.executable, *shown).splitlines()
        except RequirementsError:
            if last:
                raise
        else:
            return [absolute(line, pack) for line in lines]
    raise AssertionError


def absolute(line: str, pack: Path) -> str:
    """A place of wheels that is given relative to the pack."""
    option, _, where = line.partition(" ")
    local = option == "--find-links" and "://" not in where and not Path(where).is_absolute()
    return f"{option} {(pack / where).resolve()}" if local else line


def uv(pack: Path, scratch: str, *words: str) -> str:
    """What ``uv`` prints. It runs in a folder without settings of the pack's own."""
    try:
        from uv import find_uv_bin

        program = find_uv_bin()
    except (ImportError, FileNotFoundError):
        raise RequirementsError("uv, which makes environments, is not installed: python -m pip install uv") from None
    try:
        done = subprocess.run(
            [program, *words, "--quiet", "--no-progress"], cwd=scratch, capture_output=True, text=True, timeout=SECONDS,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise RequirementsError(f"{pack.name}: uv did not finish within an hour.") from None
    if done.returncode:
        said = " ".join(done.stderr.split())
        raise RequirementsError(f"what {pack.name} needs cannot be installed. {said[:1500]}{hint(said)}")
    return done.stdout


def hint(said: str) -> str:
    """What to do about it, where that is known."""
    if "no wheels" in said or "no usable wheels" in said or "building from source is disabled" in said.lower():
        return " Only wheels are installed for isolated packs: building from source would run that package's code unconfined."
    if "torch==" in said:
        return " torch is always this program's own."
    return ""
