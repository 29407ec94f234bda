"""A pack isolated by command: its own packages, its own permissions, and a server that outlives whatever it does."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import main
from engine.packs.confinement import Permissions, supported
from engine.packs.environment import RequirementsError, make, place, ready, site_of
from engine.packs.loading import load_nodes
from engine.packs.trust import Ledger
from engine.settings import Settings
from tests.server.process import Process

pytestmark = pytest.mark.skipif(supported() is not None, reason=str(supported()))
HOSTILE = Path(__file__).parent / "hostile"
NODE = """
from __future__ import annotations
import sys
import numpy, torch, shade
from engine.node import node

@node("{name}", category="test", output=True)
def version(text: str = "") -> str:
    return f"{{text}} {name}: shade {{shade.VERSION}}, torch {{torch.__version__}}, {{shade.early}}"
"""


def wheel(folder: Path, version: str, needs: str = "") -> Path:
    """A package ``shade`` that knows its version, and whose .pth file tries to read a file before anybody could stop it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"shade-{version}-py3-none-any.whl"
    head = f"Metadata-Version: 2.1\nName: shade\nVersion: {version}\n" + (f"Requires-Dist: {needs}\n" if needs else "")
    probe = (
        "import os, builtins\n"
        "try:\n    open('/etc/passwd').close(); builtins.early = 'unconfined'\n"
        "except OSError as error:\n    builtins.early = type(error).__name__\n"
    )
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("shade.py", f"import builtins\nVERSION = {version!r}\nearly = builtins.early\n")
        file.writestr("shade_probe.py", probe)
        file.writestr("shade.pth", "import shade_probe\n")
        file.writestr(f"shade-{version}.dist-info/METADATA", head)
        file.writestr(f"shade-{version}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"shade-{version}.dist-info/RECORD", "")
    return path


def pack(base: Path, name: str, requirements: str) -> Path:
    made = base / "custom_nodes" / name
    made.mkdir(parents=True)
    (made / "__init__.py").write_text(NODE.format(name=name))
    (made / "requirements.txt").write_text(f"--no-index\n--find-links ./wheels\n{requirements}\n")
    return made


def packs(base: Path, *words: str) -> int:
    return main.main(["packs", *words, "--base-directory", str(base)])


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "base"


@pytest.fixture
def process(base: Path) -> Iterator[Process]:
    base.mkdir(exist_ok=True)
    found = Process(base)
    yield found
    if found.alive:
        found.end()


def outcome(process: Process, nodes: dict[str, Any], while_running: Callable[[], None] | None = None) -> dict[str, Any]:
    """What became of a job: its entry in the history."""
    prompt_id = process.post("/prompt", {"prompt": nodes})["prompt_id"]
    until = time.monotonic() + 120
    while time.monotonic() < until:
        if while_running is not None and process.get("/queue")["queue_running"]:
            while_running()
        if found := process.get(f"/history/{prompt_id}"):
            entry: dict[str, Any] = found[prompt_id]
            return entry
        time.sleep(0.05)
    raise TimeoutError(prompt_id)


def reason(entry: dict[str, Any]) -> str:
    (told,) = [data for kind, data in entry["status"]["messages"] if kind == "execution_error"]
    return str(told["exception_message"])


def test_conflicting_packages_in_one_graph(process: Process, base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    for name, version in (("Old", "1.0"), ("New", "2.0")):
        wheel(pack(base, name, f"shade=={version}") / "wheels", version)
        assert packs(base, "trust", name, "--isolate") == 0
    assert "Installed for it alone: shade==2.0" in capsys.readouterr().out
    process.start()
    nodes = {
        "old": {"class_type": "Old", "inputs": {"text": "both"}},
        "new": {"class_type": "New", "inputs": {"text": ["old", 0]}},
        "show": {"class_type": "PreviewAny", "inputs": {"source": ["new", 0]}},
    }
    said = outcome(process, nodes)["outputs"]["show"]["text"][0]
    at = f"torch {torch.__version__}, PermissionError"
    assert said == f"both Old: shade 1.0, {at} New: shade 2.0, {at}"


def test_what_this_program_has_is_not_installed_again(base: Path) -> None:
    import numpy

    user = base / "user"
    made = pack(base, "Mine", "shade\n")
    wheel(made / "wheels", "1.0")
    assert make(made, user) == ["shade==1.0"]
    own = {path.name for path in site_of(place(made, user)).iterdir()}
    assert {"shade.py", "host.pth"} <= own
    assert "numpy" not in own
    assert Path(numpy.__file__).parents[1] in [
        Path(line) for line in (site_of(place(made, user)) / "host.pth").read_text().splitlines()
    ]


def test_an_environment_that_no_longer_fits_says_what_to_do(base: Path) -> None:
    user = base / "user"
    made = pack(base, "Mine", "shade==1.0")
    with pytest.raises(RequirementsError, match="packs trust Mine --isolate makes it"):
        ready(made, user)
    wheel(made / "wheels", "1.0")
    make(made, user)
    assert ready(made, user) == place(made, user)
    (made / "requirements.txt").write_text("shade==2.0\n")
    with pytest.raises(RequirementsError, match="other packages than its environment has"):
        ready(made, user)
    record = place(made, user) / "made.json"
    told = json.loads(record.read_text())
    record.write_text(json.dumps({**told, "requirements": ["shade==2.0"], "shared": {"numpy": "0.1"}}))
    with pytest.raises(RequirementsError, match=r"counts on numpy 0\.1"):
        ready(made, user)


def test_what_cannot_be_installed_is_said_and_nothing_changes(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = pack(base, "Mine", "shade==3.0")
    wheel(made / "wheels", "1.0")
    assert packs(base, "trust", "Mine", "--isolate") == 2
    assert "what Mine needs cannot be installed" in capsys.readouterr().err
    (made / "requirements.txt").write_text("--no-index\n--find-links ./wheels\nshade==4.0\n")
    wheel(made / "wheels", "4.0", needs="torch<2")
    assert packs(base, "trust", "Mine", "--isolate") == 2
    assert "torch is always this program's own" in capsys.readouterr().err
    assert Ledger.read(base / "user" / "packs.json").state(made) == "new"
    assert not place(made, base / "user").exists()


def test_permissions_are_granted_kept_and_taken_back(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = pack(base, "Mine", "")
    (made / "requirements.txt").unlink()
    (made / "pyproject.toml").write_text("[tool.loom.permissions]\nnetwork = true\nmemory = 20\n")

    def entry() -> tuple[bool, Permissions]:
        found = Ledger.read(base / "user" / "packs.json").entry(made)
        return found.isolated, found.permissions

    assert packs(base, "trust", "Mine", "--isolate") == 0
    assert "packs trust Mine --allow-network --memory 20" in capsys.readouterr().out
    assert entry() == (True, Permissions())
    assert packs(base, "trust", "Mine", "--allow-network", "--memory", "20", "--read", str(tmp_path)) == 0
    assert "It says it needs more" not in capsys.readouterr().out
    granted = Permissions(read=(str(tmp_path),), network=True, memory=20 << 30)
    assert entry() == (True, granted)
    (made / "more.py").write_text("")
    assert packs(base, "trust", "Mine") == 0
    assert entry() == (True, granted)
    assert packs(base, "list") == 0
    assert f"isolated, reads {tmp_path}, network" in capsys.readouterr().out
    assert packs(base, "trust", "Mine", "--isolate") == 0
    assert entry() == (True, Permissions())
    assert packs(base, "trust", "Mine", "--no-isolate") == 0
    assert entry() == (False, Permissions())
    assert packs(base, "trust", "Mine", "--no-isolate", "--allow-network") == 2
    assert packs(base, "trust", "Mine", "--read", str(tmp_path / "none")) == 2
    (made / "pyproject.toml").write_text("[tool.loom.permissions]\nnetwork = 'yes'\n")
    assert packs(base, "trust", "Mine", "--isolate") == 2
    assert "network and subprocesses (true or false)" in capsys.readouterr().err


def test_a_broken_isolated_pack_is_reported_and_the_others_load(base: Path) -> None:
    made = pack(base, "Mine", "")
    (made / "requirements.txt").unlink()
    (made / "__init__.py").write_text("from engine.node import node\nraise RuntimeError('no luck')\n")
    packs(base, "trust", "Mine", "--isolate")
    registry, _ = load_nodes(Settings(base_directory=base))
    assert [(one.module, one.message) for one in registry.failures] == [
        ("custom_nodes.Mine", "IsolationError: RuntimeError: no luck")
    ]


def test_the_server_outlives_a_hostile_pack(process: Process, base: Path, tmp_path: Path) -> None:
    shutil.copytree(HOSTILE, base / "custom_nodes" / "hostile")
    assert packs(base, "trust", "hostile", "--isolate", "--memory", "4") == 0
    (base / "user" / "secret").write_text("a password")
    process.start()

    def attempt(what: str, where: Any = "", **how: Any) -> dict[str, Any]:
        return outcome(process, {"1": {"class_type": "Hostile", "inputs": {"what": what, "where": str(where)}}}, **how)

    for what, where in (
        ("read", base / "user" / "secret"), ("read", base / "user" / "packs.json"), ("listing", Path.home() / ".ssh"),
        ("write", tmp_path / "x"), ("write", base / "custom_nodes" / "x.py"), ("connect", process.port), ("fork", ""),
        ("run", ""), ("kill", process.process.pid if process.process else 0),
    ):  # fmt: skip
        said = attempt(what, where)
        assert said["status"]["status_str"] == "success"
        assert said["outputs"]["1"]["text"][0].startswith(("PermissionError", "FileNotFoundError")), (
            what,
            where,
            said["outputs"],
        )
    assert "MemoryError" in reason(attempt("memory"))
    assert "ended by SIGSEGV" in reason(attempt("crash"))
    assert "ended with code 7" in reason(attempt("vanish"))
    stopped = attempt("hang", while_running=lambda: process.post("/interrupt"))
    assert [kind for kind, _ in stopped["status"]["messages"]][-1] == "execution_interrupted"
    assert attempt("thread")["outputs"]["1"]["text"] == ["threads 1"]
    assert process.alive
    assert "SIGSEGV" in (base / "server.log").read_text()
    assert len(cells(base)) == 1
    process.end()
    until = time.monotonic() + 20
    while cells(base):
        assert time.monotonic() < until, "a pack's process outlives the server"
        time.sleep(0.05)


def cells(base: Path) -> list[Path]:
    """The processes of packs under a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes()
            if b"engine.packs.entry" in words and str(base).encode() in words:
                found.append(path)
    return found


def test_a_check_of_inputs_that_hangs_is_ended(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.packs import isolation

    monkeypatch.setattr(isolation, "VALIDATE_SECONDS", 0.3)
    shutil.copytree(HOSTILE, base / "custom_nodes" / "hostile")
    packs(base, "trust", "hostile", "--isolate")
    registry, _ = load_nodes(Settings(base_directory=base))
    validate = registry.specs["HostileCheck"].validate
    assert validate is not None
    with pytest.raises(isolation.IsolationError, match="did not answer in time"):
        validate({"what": "hang"}, {})
    assert validate({"what": "odd"}, {}) == "odd is not allowed"
    assert validate({"what": "fine"}, {}) is None
