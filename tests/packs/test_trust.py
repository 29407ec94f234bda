"""A pack runs when its user has trusted it as it is, and not otherwise: a walk through every command."""

from __future__ import annotations

import json
import platform
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import main
from engine.folders import PROJECT, Folders
from engine.graph import build
from engine.packs.loading import load_nodes
from engine.packs.look import looks
from engine.packs.places import PackError, fetch
from engine.packs.trust import SHIPPED, Ledger, digest
from engine.problems import GraphError
from engine.prompt import parse
from engine.settings import Settings

NATIVE = """
from __future__ import annotations
from engine.node import node

@node("Mine", category="mine")
def mine(a: int = 0) -> int:
    return a
"""
LEAVES_A_TRACE = "from pathlib import Path\nPath(__file__).with_name('ran').touch()\n"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    pack = tmp_path / "base" / "custom_nodes" / "mine"
    pack.mkdir(parents=True)
    (pack / "__init__.py").write_text(NATIVE + LEAVES_A_TRACE)
    return tmp_path / "base"


def packs(base: Path, *words: str) -> int:
    return main.main(["packs", *words, "--base-directory", str(base)])


def types(base: Path, **settings: object) -> tuple[set[str], list[str]]:
    registry, _ = load_nodes(Settings(base_directory=base, **settings))  # type: ignore[arg-type]
    return set(registry.specs), [failure.message for failure in registry.failures]


def test_a_pack_that_was_merely_dropped_in_does_not_run(base: Path) -> None:
    found, told = types(base)
    assert "Mine" not in found
    assert told == ["it is not trusted yet and does not run. Look at its files, then: python main.py packs trust mine"]
    assert not (base / "custom_nodes" / "mine" / "ran").exists()


def test_trusted_it_runs_and_changed_it_asks_again(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert packs(base, "trust", "mine") == 0
    assert "Mine" in types(base)[0]
    (base / "custom_nodes" / "mine" / "more.py").write_text("# new\n")
    found, told = types(base)
    assert "Mine" not in found
    assert "have changed" in told[0]
    assert packs(base, "list") == 0
    assert "changed" in capsys.readouterr().out
    assert packs(base, "trust", "mine") == 0
    assert "Mine" in types(base)[0]


def test_a_workflow_with_its_nodes_says_which_pack_does_not_run_and_why(base: Path, caplog: pytest.LogCaptureFixture) -> None:
    prompt = parse({"1": {"class_type": "Mine", "inputs": {}}, "2": {"class_type": "Nobodys", "inputs": {}}})
    (base / "custom_nodes" / "broken.py").write_text("import no_such_library\n# it has 'Mine too'\n")
    packs(base, "trust", "broken")
    registry, _ = load_nodes(Settings(base_directory=base))
    assert "custom_nodes.mine: it is not trusted yet and does not run" in caplog.text
    with pytest.raises(GraphError) as caught:
        build(prompt, registry.specs, Folders(base=base), absent=registry.whose)
    cures = [problem.cure for problem in caught.value.problems]
    assert cures[0].startswith("The pack mine has it: it is not trusted yet")
    assert cures[0].endswith("python main.py packs trust mine")
    assert cures[1] == "Install the pack that has it."
    assert "could not be loaded: ModuleNotFoundError" in str(registry.whose("Mine too"))


def test_disabled_it_does_not_run_whatever_else_is_said(base: Path) -> None:
    packs(base, "trust", "mine")
    packs(base, "disable", "mine")
    assert "Mine" not in types(base)[0]
    assert "Mine" not in types(base, trust_all_packs=True)[0]
    packs(base, "trust", "mine")
    assert "Mine" in types(base)[0]


def test_the_flags(base: Path) -> None:
    assert "Mine" in types(base, trust_all_packs=True)[0]
    packs(base, "trust", "mine")
    assert "Mine" not in types(base, disable_all_custom_nodes=True)[0]
    assert "Mine" in types(base, disable_all_custom_nodes=True, whitelist_custom_nodes=("mine",))[0]


def test_a_folder_that_is_named_in_extra_model_paths_is_trusted(base: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "other.py").write_text(NATIVE.replace("Mine", "Other"))
    (tmp_path / "extra.yaml").write_text("tests:\n    custom_nodes: elsewhere\n")
    found, _ = types(base, extra_model_paths_config=(tmp_path / "extra.yaml",))
    assert "Other" in found
    assert "Mine" not in found


def test_add_look_and_remove(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "bought"
    source.mkdir()
    (source / "__init__.py").write_text(NATIVE.replace("Mine", "Bought") + "import subprocess\neval('1')\n")
    (source / "requirements.txt").write_text("numpy\n")
    assert packs(base, "add", str(source)) == 0
    told = capsys.readouterr().out
    assert "Nothing of it has run" in told
    assert "subprocess (starts programs)" in told
    assert "eval (runs text as code)" in told
    assert "pip install -r" in told
    assert "Bought" not in types(base)[0]
    assert packs(base, "trust", "bought") == 0
    assert "Bought" in types(base)[0]
    assert packs(base, "add", str(source)) == 2
    assert packs(base, "remove", "bought", "--yes") == 0
    assert not (base / "custom_nodes" / "bought").exists()
    assert "Bought" not in types(base)[0]


def archive(path: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, text in files.items():
            file.writestr(name, text)
    return path


def test_archives(base: Path, tmp_path: Path) -> None:
    code = NATIVE.replace("Mine", "Zipped")
    good = archive(tmp_path / "zipped-main.zip", {"zipped-main/__init__.py": code, "zipped-main/a.py": ""})
    assert packs(base, "add", str(good), "--yes") == 0
    assert "Zipped" in types(base)[0]
    flat = archive(tmp_path / "flat.zip", {"__init__.py": NATIVE.replace("Mine", "Flat"), "b.py": ""})
    assert packs(base, "add", str(flat), "--yes") == 0
    assert "Flat" in types(base)[0]


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_git_address(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "cloned"
    source.mkdir()
    (source / "__init__.py").write_text(NATIVE.replace("Mine", "Cloned"))
    git = ["git", "-C", str(source), "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *words], check=True)
    assert packs(base, "add", f"file://{source}") == 0
    assert "Cloned" not in types(base)[0]
    packs(base, "trust", "cloned")
    assert "Cloned" in types(base)[0]
    assert packs(base, "add", f"file://{tmp_path}/nowhere") == 2
    assert "git could not clone" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["../evil.py", "/etc/evil.py", "a/../../evil.py", "C:\\evil.py", "..\\evil.py"])
def test_an_archive_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    bad = archive(tmp_path / "bad.zip", {"bad/__init__.py": "", name: "x"})
    with pytest.raises(PackError, match="leads out"):
        fetch(str(bad), tmp_path / "packs")
    assert [path.name for path in (tmp_path / "packs").iterdir()] == []
    assert not (tmp_path / "evil.py").exists()


def test_a_new_pack_works_at_once(base: Path) -> None:
    assert packs(base, "new", "my-first") == 0
    assert "MyFirstBrightness" in types(base)[0]
    assert packs(base, "new", "my-first") == 2
    assert packs(base, "new", "../bad") == 2


def test_where_nothing_can_be_confined_the_command_says_so_and_changes_nothing(
    base: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    assert packs(base, "trust", "mine", "--isolate") == 2
    assert "mine cannot be isolated: packs can be isolated on Linux only, and this is Darwin." in capsys.readouterr().err
    assert not (base / "user" / "packs.json").exists()


def test_a_broken_record_is_not_guessed_at(base: Path) -> None:
    (base / "user").mkdir()
    (base / "user" / "packs.json").write_text("{")
    assert packs(base, "list") == 2
    with pytest.raises(ValueError, match=r"packs\.json"):
        types(base)


def test_the_record_says_what_was_trusted(base: Path) -> None:
    packs(base, "trust", "mine")
    data = json.loads((base / "user" / "packs.json").read_text())
    (entry,) = data["packs"].values()
    assert entry["digest"] == digest(base / "custom_nodes" / "mine")
    assert Ledger.read(base / "user" / "packs.json").state(base / "custom_nodes" / "mine") == "trusted"


def test_what_is_shipped_is_trusted_as_it_was_shipped() -> None:
    for name, known in SHIPPED.items():
        assert digest(PROJECT / "custom_nodes" / name) == known, f"{name} has changed: write its new digest into SHIPPED"


def test_code_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text("def (:\n")
    assert any("cannot be read" in line for line in looks(tmp_path / "odd.py"))


def test_a_command_that_is_told_can_be_given_as_it_is(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is about the same folder, which is not the program's own."""
    (tmp_path / "one.py").write_text("NODE_CLASS_MAPPINGS = {}\n")
    assert packs(base, "add", str(tmp_path / "one.py")) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Look at its files, then: ")]
    words = shlex.split(line.partition("python main.py ")[2])
    assert main.main(words) == 0
    assert "one.py runs from the next start on" in capsys.readouterr().out
    assert Ledger.read(base / "user" / "packs.json").state(base / "custom_nodes" / "one.py") == "trusted"
