"""What an isolated pack has for the editor, served by a running server; what it has for the server, left out and said."""

from __future__ import annotations

import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import main
from engine.packs.confinement import supported
from engine.packs.scripts import web_folders_in
from tests.comfy.test_server import finished, look
from tests.server.process import Process

pytestmark = pytest.mark.skipif(supported() is not None, reason=str(supported()))
VISITOR = Path(__file__).parents[1] / "comfy" / "packs" / "visitor"
NODES = "NODE_CLASS_MAPPINGS = {}\n"


def trust(base: Path, *words: str) -> int:
    return main.main(["packs", "trust", *words, "--base-directory", str(base)])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    base = tmp_path_factory.mktemp("base")
    shutil.copytree(VISITOR, base / "custom_nodes" / "visitor")
    for name, where in (("quiet", "web"), ("thief", "..")):
        (base / "custom_nodes" / name / "web").mkdir(parents=True)
        (base / "custom_nodes" / name / "__init__.py").write_text(f"WEB_DIRECTORY = {where!r}\n{NODES}")
        (base / "custom_nodes" / name / "web" / "page.js").write_text("")
    assert trust(base, "visitor", "--isolate") == trust(base, "thief", "--isolate") == 0
    assert trust(base, "quiet", "--no-scripts") == trust(base, "quiet") == 0
    process = Process(base)
    process.start()
    process.get("/object_info")
    yield process
    process.end()


def raw(server: Process, path: str) -> bytes:
    with urllib.request.urlopen(server.url + path, timeout=60) as answer:
        found: bytes = answer.read()
        return found


def log_of(server: Process) -> str:
    return (server.base / "server.log").read_text()


def test_scripts_workflows_and_words_are_served(server: Process) -> None:
    assert "/extensions/visitor-pack/visitor.js" in server.get("/extensions")
    assert server.get("/workflow_templates")["visitor"] == ["hello"]
    assert server.get("/i18n")["en"]["visitor"] == {"hello": "Hello"}
    served = raw(server, "/extensions/visitor-pack/visitor.js")
    assert served == next(VISITOR.rglob("visitor.js")).read_bytes()


def test_scripts_that_were_refused_are_not(server: Process) -> None:
    assert not [path for path in server.get("/extensions") if "quiet" in path or "thief" in path]
    for name in ("quiet/page.js", "thief/visitor/__init__.py"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            raw(server, f"/extensions/{name}")
    assert "thief: its scripts are left out" in log_of(server)


def test_routes_handlers_and_messages_are_left_out_and_the_log_says_so(server: Process) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        server.get("/visitor/hello/you")
    entry = finished(server, server.post("/prompt", {"prompt": look("word")})["prompt_id"])
    assert entry["outputs"]["1"]["word"] == ["word"], "no prompt handler has changed it"
    assert "visitor is isolated: its 2 routes and 1 prompt handlers are left out" in log_of(server)
    assert log_of(server).count("visitor is isolated: its messages to clients are left out") == 1


def test_a_link_out_of_the_pack_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "pack" / "web").mkdir(parents=True)
    (tmp_path / "pack" / "out").symlink_to(tmp_path)
    told = {"pack": str(tmp_path / "pack" / "web"), "other": str(tmp_path / "pack" / "out")}
    assert web_folders_in(tmp_path / "pack", told) == {"pack": tmp_path / "pack" / "web"}


def test_trust_says_where_scripts_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(VISITOR, tmp_path / "custom_nodes" / "visitor")
    assert trust(tmp_path, "visitor", "--isolate") == 0
    assert "run in the page" in (told := capsys.readouterr().out)
    assert "packs trust visitor --no-scripts" in told
    assert trust(tmp_path, "visitor", "--no-scripts") == 0
    assert "are left out" in capsys.readouterr().out
    assert main.main(["packs", "list", "--base-directory", str(tmp_path)]) == 0
    assert "isolated, no scripts" in capsys.readouterr().out
