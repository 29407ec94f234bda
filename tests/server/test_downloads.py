"""Models the server fetches itself, from a real web server beside it: whole or not at all, and from nowhere it may not ask."""

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from engine.server.downloads import DownloadError, check_address

from .conftest import Server

MODEL = bytes(range(256)) * 10_000
TAGS = ["models", "model_type:checkpoints"]


class Host(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    go_on = threading.Event()

    def do_GET(self) -> None:
        if self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", self.path if self.path == "/moved-for-ever" else "/model.safetensors")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.path == "/gone.safetensors":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(MODEL)))
        self.end_headers()
        self.wfile.write(MODEL[: len(MODEL) // 2])
        if self.path == "/short.safetensors":
            self.close_connection = True
            return
        if self.path == "/slow.safetensors":
            self.go_on.wait(60)
        self.wfile.write(MODEL[len(MODEL) // 2 :])

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def host() -> Iterator[str]:
    Host.go_on.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Host)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    Host.go_on.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def near(make_server: Callable[..., Server]) -> Server:
    """A server that may ask its own machine."""
    return make_server(private_downloads=True)


def begin(server: Server, url: str, **more: Any) -> str:
    reply = server.post("/api/assets/download", json={"source_url": url, "tags": TAGS, **more})
    assert reply.status == 202, reply.text
    return str(reply.json["id"])


def until(server: Server, id: str, wanted: Callable[[Any], bool]) -> Any:
    end = time.monotonic() + 60
    while not wanted(task := server.get(f"/api/tasks/{id}").json):
        assert time.monotonic() < end, task
        time.sleep(0.02)
    return task


def ended(task: Any) -> bool:
    return task["status"] not in ("queued", "running")


def checkpoints(server: Server) -> list[str]:
    return sorted(path.name for path in (server.options.folders.base / "models" / "checkpoints").iterdir())


def test_a_model_is_fetched_and_is_an_asset_with_the_hash_of_its_bytes(near: Server, host: str) -> None:
    task = until(near, begin(near, f"{host}/model.safetensors"), ended)
    assert (task["status"], task["downloaded"], task["total"]) == ("completed", len(MODEL), len(MODEL))
    assert (Path(near.options.folders.base) / "models" / "checkpoints" / "model.safetensors").read_bytes() == MODEL
    asset = near.get(f"/api/assets/{task['asset']['id']}").json
    assert asset["asset_hash"] == f"blake3:{blake3(MODEL).hexdigest()}"
    assert sorted(asset["tags"]) == sorted(TAGS)
    assert "model.safetensors" in near.get("/models/checkpoints").json


def test_a_redirection_is_followed_and_the_name_can_be_given(near: Server, host: str) -> None:
    assert until(near, begin(near, f"{host}/moved", filename="mine.ckpt"), ended)["status"] == "completed"
    assert checkpoints(near) == ["mine.ckpt"]
    assert "more than" in until(near, begin(near, f"{host}/moved-for-ever", filename="ring.ckpt"), ended)["error"]


@pytest.mark.parametrize(("path", "words"), [("gone", "404"), ("short", "payload")])
def test_what_cannot_be_had_whole_leaves_nothing(near: Server, host: str, path: str, words: str) -> None:
    task = until(near, begin(near, f"{host}/{path}.safetensors"), ended)
    assert task["status"] == "failed"
    assert words in task["error"]
    assert checkpoints(near) == []


def test_a_download_is_stopped_and_then_forgotten(near: Server, host: str) -> None:
    id = begin(near, f"{host}/slow.safetensors")
    until(near, id, lambda task: task["downloaded"] > 0)
    assert near.request("DELETE", f"/api/tasks/{id}").status == 204
    assert near.get(f"/api/tasks/{id}").json["status"] == "cancelled"
    assert checkpoints(near) == []
    assert near.request("DELETE", f"/api/tasks/{id}").status == 204
    assert near.get(f"/api/tasks/{id}").status == 404


def test_a_server_that_stops_leaves_no_half_file(near: Server, host: str) -> None:
    until(near, begin(near, f"{host}/slow.safetensors"), lambda task: task["downloaded"] > 0)
    near.stop()
    assert checkpoints(near) == []


def test_this_machine_and_its_network_are_not_asked_for_others(server: Server, host: str) -> None:
    for url in (host, host.replace("127.0.0.1", "localhost"), "http://[::1]:9", "http://10.0.0.1", "http://169.254.169.254"):
        task = until(server, begin(server, f"{url}/model.safetensors"), ended)
        assert task["status"] == "failed"
        assert "not a public address" in task["error"]
    check_address("1.1.1.1", False)
    with pytest.raises(DownloadError):
        check_address("fe80::1%eth0", False)


@pytest.mark.parametrize(
    "body",
    [
        {"source_url": "file:///etc/passwd", "tags": TAGS},
        {"source_url": "https://example.com/x.exe", "tags": TAGS},
        {"source_url": "https://example.com/x.safetensors", "tags": ["models"]},
        {"source_url": "https://example.com/x.safetensors", "tags": ["models", "model_type:../.."]},
        {"source_url": 7},
    ],
)
def test_what_makes_no_sense_is_refused_at_once(server: Server, body: Any) -> None:
    reply = server.post("/api/assets/download", json=body)
    assert reply.status == 400
    assert reply.json["error"]["message"]


def test_a_name_leads_nowhere_else_and_replaces_nothing(near: Server, host: str) -> None:
    assert until(near, begin(near, f"{host}/model.safetensors", filename="../../up.safetensors"), ended)["status"] == "completed"
    (kept,) = checkpoints(near)
    assert near.post("/api/assets/download", json={"source_url": host, "filename": kept, "tags": TAGS}).status == 409
