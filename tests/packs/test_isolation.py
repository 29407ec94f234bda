"""A hostile pack in a process of its own: denied or contained, and the program lives."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.execute import NodeError
from engine.folders import PROJECT, Folders
from engine.packs.confinement import Permissions, supported
from engine.packs.isolation import Cell
from engine.registry import Failure, load
from engine.run import Cancel, CancelledError
from engine.spec import NodeSpec

from ..engine.toys import SPECS, Loom

pytestmark = pytest.mark.skipif(supported() is not None, reason=str(supported()))
PACK = Path(__file__).parent / "hostile"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("base")
    for place in ("models/loras", "elsewhere"):
        (base / place).mkdir(parents=True)
    return base


def folders_of(base: Path) -> Folders:
    return Folders(base=base, extra={"loras": (base / "elsewhere",)})


@pytest.fixture(scope="module")
def cell(base: Path) -> Iterator[Cell]:
    cell = Cell(PACK, folders_of(base), Permissions(memory=4 << 30))
    yield cell
    cell.stop()


@pytest.fixture(scope="module")
def specs(cell: Cell) -> dict[str, NodeSpec]:
    found = cell.specs()
    return {**SPECS, **load().specs, **{spec.type: spec for spec in found if not isinstance(spec, Failure)}}


@pytest.fixture
def loom(specs: dict[str, NodeSpec], base: Path) -> Iterator[Loom]:
    loom = Loom(specs=specs, folders=folders_of(base))
    yield loom
    loom.executor.close()


def attempt(loom: Loom, what: str, where: Any = "", **how: Any) -> str:
    node = {"class_type": "Hostile", "inputs": {"what": what, "where": str(where)}}
    return str(loom.run({"1": node}, **how).ui["1"]["text"][0])


def test_it_works(loom: Loom) -> None:
    assert attempt(loom, "compute") == str(64.0**3)
    assert attempt(loom, "thread") == "threads 1"


def test_files_elsewhere_cannot_be_read(loom: Loom, tmp_path: Path) -> None:
    secret = tmp_path / ".ssh"
    secret.mkdir()
    (secret / "id").write_text("secret")
    assert attempt(loom, "read", secret / "id").startswith("PermissionError")
    assert attempt(loom, "listing", secret).startswith("PermissionError")
    assert attempt(loom, "listing", Path.home()).startswith("PermissionError")
    assert attempt(loom, "read", "/etc/passwd").startswith("PermissionError")
    assert attempt(loom, "read", PROJECT / "README.md").startswith("PermissionError")


def test_nothing_is_written_outside_of_output(loom: Loom, base: Path, tmp_path: Path) -> None:
    assert attempt(loom, "write", tmp_path / "x").startswith("PermissionError")
    assert attempt(loom, "write", PACK / "x").startswith("PermissionError")
    (tmp_path / "long").write_text("long")
    assert attempt(loom, "cut", tmp_path / "long").startswith("PermissionError")
    assert attempt(loom, "shared").startswith("PermissionError")
    assert attempt(loom, "write", base / "output" / "x") == "written"
    assert not (tmp_path / "x").exists()
    assert not (PACK / "x").exists()


def test_no_connections(loom: Loom, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert attempt(loom, "connect", server.getsockname()[1]).startswith("PermissionError")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        assert attempt(loom, "unix", tmp_path / "s").startswith("PermissionError")


def test_no_processes(loom: Loom) -> None:
    assert attempt(loom, "fork").startswith("PermissionError")
    assert attempt(loom, "run").startswith("PermissionError")


def test_no_hand_on_other_processes(loom: Loom) -> None:
    assert attempt(loom, "kill", os.getpid()).startswith("PermissionError")
    assert attempt(loom, "limits", os.getpid()).startswith("PermissionError")
    assert attempt(loom, "trace", os.getpid()).startswith("PermissionError")


def test_memory_has_a_limit(loom: Loom) -> None:
    with pytest.raises(NodeError, match="MemoryError"):
        attempt(loom, "memory")
    assert attempt(loom, "thread") == "threads 1"


@pytest.mark.parametrize(
    ("what", "told"), [("crash", "SIGSEGV"), ("vanish", "ended with code 7"), ("leave", "SystemExit"), ("lie", "message")]
)
def test_when_it_ends_the_job_fails_with_the_reason_and_the_next_call_works(loom: Loom, what: str, told: str) -> None:
    with pytest.raises(NodeError, match=told):
        attempt(loom, what)
    assert attempt(loom, "thread", what) == "threads 1"


def test_a_hanging_pack_can_be_stopped(loom: Loom) -> None:
    cancel = Cancel()
    threading.Timer(0.5, cancel).start()
    began = time.monotonic()
    with pytest.raises(CancelledError):
        attempt(loom, "hang", cancel=cancel)
    assert time.monotonic() - began < 8
    assert attempt(loom, "thread", "after hanging") == "threads 1"


def test_pictures_go_in_and_out_and_objects_stay_inside(loom: Loom) -> None:
    nodes = {
        "image": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 8, "batch_size": 1, "color": 0x404040}},
        "double": {"class_type": "HostilePictures", "inputs": {"image": ["image", 0]}},
        "thing": {"class_type": "HostileThings", "inputs": {"thing": ["double", 1]}},
        "show": {"class_type": "PreviewAny", "inputs": {"source": ["thing", 0]}},
        "size": {"class_type": "GetImageSize", "inputs": {"image": ["double", 0]}},
        "width": {"class_type": "PreviewAny", "inputs": {"source": ["size", 0]}},
    }
    results = loom.run(nodes)
    assert results.ui["show"]["text"] == ["object"]
    assert results.ui["width"]["text"] == ["16"]


def test_models_that_come_later_are_seen_wherever_they_are(cell: Cell, loom: Loom, base: Path) -> None:
    (choices,) = (port.choices for port in loom.specs["HostileModels"].inputs)
    assert callable(choices)
    assert choices(loom.folders) == []
    for place in (base / "models" / "loras", base / "elsewhere"):
        (place / f"of {place.name}.safetensors").write_text(f"in {place.name}")
    assert choices(loom.folders) == ["of elsewhere.safetensors", "of loras.safetensors"]
    for name in ("elsewhere", "loras"):
        node = {"class_type": "HostileModels", "inputs": {"name": f"of {name}.safetensors"}}
        assert loom.run({"1": node}).ui["1"]["text"] == [f"in {name}"]
    with cell._lock:
        done: list[Any] = []
        thread = threading.Thread(target=lambda: done.append(choices(loom.folders)))
        thread.start()
        thread.join(20)
    assert done == [["of elsewhere.safetensors", "of loras.safetensors"]], "those of last time while it is at work"


@pytest.mark.parametrize("way", ["in", "out", "through"])
def test_models_do_not_cross_the_border_and_the_error_says_what_to_do(specs: dict[str, NodeSpec], base: Path, way: str) -> None:
    """Into the pack, out of it to a native node, and from node to node within it, which works."""
    loom = Loom(specs=specs, folders=Folders(base=base, models=PROJECT / "models"))
    nodes = {
        "load": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "loom-demo.safetensors"}},
        "own": {"class_type": "HostileNetworks", "inputs": {}},
        "thing": {"class_type": "HostileNetworks", "inputs": {"model": ["load" if way == "in" else "own", 0]}},
        "native": {"class_type": "ModelSamplingDiscrete", "inputs": {"model": ["thing", 0], "sampling": "lcm", "zsnr": False}},
        "show": {"class_type": "PreviewAny", "inputs": {"source": ["native" if way == "out" else "thing", 0]}},
    }
    if way == "through":
        assert "Handle" in loom.run(nodes).ui["show"]["text"][0]
        loom.executor.close()
        return
    told = {
        "in": "node thing .*input 'model': the Model lives in the server's process and cannot be given to hostile",
        "out": "node native .*a node of hostile made this value, and hostile is isolated",
    }
    with pytest.raises(NodeError, match=told[way]) as failed:
        loom.run(nodes)
    assert "python main.py packs trust hostile --no-isolate" in str(failed.value)
    loom.executor.close()
