"""Bad input: never a 5xx, never a hang, never a byte outside the folders."""

import io
import json
import os
import shutil
import socket
import struct
import subprocess
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.server.conftest import Server, chain
from tests.server.test_files import png, upload

DATA = Path(__file__).parents[1] / "workflow" / "data"
PART = b'--x\r\nContent-Disposition: form-data; name="image"'
PATHS = (
    "/prompt", "/queue", "/history", "/interrupt", "/free", "/settings", "/api/jobs/cancel", "/api/login", "/users",
    "/api/workflows/hello/run",
)  # fmt: skip
UPGRADE = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n"
SHOW = '{"prompt": {"1": {"class_type": "Show", "inputs": {"value": 1}}}, '


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few kilobytes that claims (and packs) far more pixels than anyone could hold."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(b"\0" * 2_000_000, 9))
    return b"\x89PNG\r\n\x1a\n" + head + rows + chunk(b"IEND", b"")


def text_bomb() -> bytes:
    """A PNG whose text chunk unpacks to hundreds of megabytes."""
    whole = png()
    packed = chunk(b"zTXt", b"prompt\0\0" + zlib.compress(b" " * 200_000_000, 9))
    return whole[:33] + packed + whole[33:]


def corpus() -> Iterator[tuple[str, bytes]]:
    """Files by name that no program would write."""
    whole = png((16, 16))
    gif = b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\x80\0\0" + b"\0" * 6 + b"," + struct.pack("<HHHH", 0, 0, 65535, 65535)
    yield "empty.png", b""
    yield "truncated.png", whole[: len(whole) // 2]
    yield "header.png", whole[:33]
    yield "bomb.png", bomb(30_000, 30_000)
    yield "wide.png", bomb(2**31 - 1, 1)
    yield "zero.png", bomb(0, 0)
    yield "text-bomb.png", text_bomb()
    yield "polyglot.png", whole + b"<html><script>alert(1)</script></html>"
    yield "polyglot.html", b"<!--\x89PNG-->" + whole + b"<script>alert(1)</script>"
    yield "polyglot.gif", b"GIF89a/*" + b"\0" * 20 + b"*/=1;alert(1)"
    yield "bomb.gif", gif
    yield "script.svg", b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script></svg>'
    yield "entities.svg", b'<!DOCTYPE x [<!ENTITY a "aaaa">' + b'<!ENTITY b "&a;&a;&a;&a;">' * 50 + b"]><svg>&b;</svg>"
    yield "cut.webm", (DATA / "tags.webm").read_bytes()[:200]
    yield "cut.mp4", (DATA / "tags.mp4").read_bytes()[:300]
    yield "noise.webp", b"RIFF\xff\xff\xff\xffWEBPVP8X" + os.urandom(200)
    yield "noise.jpg", b"\xff\xd8\xff\xe1\xff\xff" + os.urandom(500)
    yield "noise.png", b"\x89PNG\r\n\x1a\n" + os.urandom(500)
    yield "model.safetensors", struct.pack("<Q", 2**63) + b"{" * 100


def test_hostile_files(server: Server, tmp_path: Path) -> None:
    for name, data in corpus():
        began = time.monotonic()
        reply = upload(server, data, name)
        assert reply.status in (200, 422), (name, reply.status)
        if reply.status == 200:
            for query in ("", "&preview=webp;90", "&preview=jpeg", "&channel=a", "&channel=rgb"):
                seen = server.get(f"/view?filename={reply.json['name']}&type=input{query}")
                assert seen.status in (200, 413, 415, 422), (name, query, seen.status, seen.text)
                if not query:
                    assert seen.body == data
                    assert "html" not in seen.headers["Content-Type"]
                    assert "svg" not in seen.headers["Content-Type"]
        reference = json.dumps({"filename": "truncated.png", "type": "input"})
        assert upload(server, data, "m.png", "/upload/mask", original_ref=reference).status < 500
        assert time.monotonic() - began < 120, name
    inside = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*")}
    assert inside <= {"input", "user", "models", "temp", "output"}


@pytest.mark.parametrize(
    "body",
    [
        b"--x\r\n", b"--x--\r\n", b"--x\r\nContent-Disposition: form-data\r\n\r\n", b"--x\r\n\r\n\r\n--x--", b"\0" * 100,
        PART + b'; filename="a.png"\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y--\r\n--x--',
        b'--x\r\nContent-Disposition: form-data; name="image"; filename=""\r\n\r\nx\r\n--x--',
        b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\nContent-Encoding: gzip\r\n\r\nnot gzip\r\n--x--',
        PART + b'; filename="a"\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!\r\n--x--',
        b"".join(b'--x\r\nContent-Disposition: form-data; name="f%d"\r\n\r\nv\r\n' % n for n in range(200)) + b"--x--",
        b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n' + b"A: b\r\n" * 5000 + b"\r\nx\r\n--x--",
    ],
)  # fmt: skip
def test_hostile_forms(server: Server, body: bytes) -> None:
    for path in ("/upload/image", "/upload/mask", "/api/assets"):
        reply = server.post(path, data=body, headers={"Content-Type": "multipart/form-data; boundary=x"})
        assert 200 <= reply.status < 500, reply.text


def hostile_json() -> list[bytes]:
    ring = {str(n): {"class_type": "Show", "inputs": {"value": [str((n + 1) % 800), 0]}} for n in range(800)}
    deep = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    return [
        b"\xff\xfe" + "{}".encode("utf-16-le"), "[]".encode("utf-32"), b"\xef\xbb\xbf{}", b"{\"a\": 1e400}", b"[" * 100_000, deep,
        b'{"prompt": {"1": ' + b"9" * 5000 + b"}}", b'{"prompt": NaN}', b'{"prompt": -Infinity}', b"\x00\x00", b'"\\ud800"',
        b'{"prompt": {"1": {"class_type": "Show", "inputs": {"value": ["1", 0]}}}}',
        b'{"prompt": {"1": {"class_type": "Show", "inputs": {"value": ["2", 1e300]}}}}',
        b'{"prompt": {"1": {"class_type": ["Show"], "inputs": []}}}',
        b'{"prompt": {"": {"class_type": "Show", "inputs": {"value": 1}}}}',
        json.dumps({"prompt": {**chain(), "1": {"class_type": "Number", "inputs": {"value": 1e308}}}}).encode(),
        json.dumps({"prompt": ring}).encode(),
        (SHOW + '"extra_data": {"extra_pnginfo": [1]}, "client_id": 5}').encode(),
        (SHOW + '"number": 1e308, "front": "yes"}').encode(),
        (SHOW + '"priority": 99999999999999999999}').encode(),
        b'{"workflow": {"nodes": [{"id": {}, "type": "Show"}], "links": [[1,1,0,1,0,"*"]]}}',
        b'{"workflow": {"nodes": [], "links": 5}}',
    ]  # fmt: skip


def test_hostile_json(server: Server) -> None:
    for body in hostile_json():
        for path in PATHS:
            began = time.monotonic()
            reply = server.post(path, data=body)
            assert reply.status < 500, (path, body[:80], reply.text)
            assert time.monotonic() - began < 60
    server.post("/queue", json={"clear": True})
    assert server.get("/system_stats").status == 200
    assert server.wait(server.queue(chain()))["status"]["status_str"] == "success"


def test_raw_requests(server: Server) -> None:
    """What no client library would send."""
    for data in (
        b"GET / HTTP/1.1\r\n\r\n", b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\0\1\2\3\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + b"b" * 100_000 + b"\r\n\r\n",
        b"POST /prompt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /prompt HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nHost: localhost\r\n" + UPGRADE,
        b"GET /%c0%ae%c0%ae/%c0%ae%c0%ae/etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    ):  # fmt: skip
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
            connection.sendall(data)
            connection.settimeout(5)
            try:
                answer = connection.recv(65536)
            except TimeoutError:
                answer = b""
        assert b"root:" not in answer
        assert not answer.startswith(b"HTTP/1.1 5"), (data[:80], answer[:200])
    assert server.get("/system_stats").status == 200


def test_a_client_that_sends_slowly_holds_nobody_up(server: Server) -> None:
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(50)]
    for connection in slow:
        connection.sendall(b"POST /prompt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n{")
    began = time.monotonic()
    assert server.get("/queue").status == 200
    assert time.monotonic() - began < 20
    for connection in slow:
        connection.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str, int], Path]]:
    """Makes a folder a disk of so many kilobytes."""
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root can make a small disk")
    mounted: list[Path] = []

    def mount(name: str, kilobytes: int) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        words = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
        if subprocess.run(words, capture_output=True, check=False).returncode:
            pytest.skip("mounting is not allowed here")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    filler = folder / "filler"
    filler.write_bytes(b"x" * shutil.disk_usage(folder).free)
    return filler


def test_a_full_disk_fails_the_job_with_that_reason(small_disk: Callable[[str, int], Path], server: Server) -> None:
    folder = small_disk("output", 64)
    filler = fill(folder)
    entry = server.wait(server.queue({"1": {"class_type": "Picture", "inputs": {}}}))
    assert entry["status"]["status_str"] == "error"
    assert "space" in entry["status"]["messages"][-1][1]["exception_message"].lower()
    assert [path.name for path in folder.rglob("*") if path.is_file()] == ["filler"]
    filler.unlink()
    assert server.wait(server.queue({"1": {"class_type": "Picture", "inputs": {"colour": "blue"}}}))["outputs"]


def test_a_full_disk_under_the_jobs_is_said(small_disk: Callable[[str, int], Path], make_server: Callable[..., Server]) -> None:
    """What cannot be kept is not promised: no id is answered; once there is room, all goes on."""
    folder = small_disk("user", 4096)
    server = make_server()
    first = server.queue(chain())
    server.wait(first)
    filler = fill(folder)
    replies = [server.post("/prompt", json={"prompt": chain(start=n), "title": "x" * 9000}) for n in range(40)]
    refused = [reply for reply in replies if reply.status != 200]
    assert {reply.status for reply in refused} == {507}
    assert "no room" in refused[0].json["error"]
    filler.unlink()
    for reply in replies:
        if reply.status == 200:
            assert server.wait(reply.json["prompt_id"])["status"]["status_str"] in ("success", "error")
    assert server.wait(server.queue(chain(start=99)))["status"]["status_str"] == "success"


def test_what_nodes_put_out_need_not_be_json(server: Server) -> None:
    socket_ = server.socket("a")
    prompt = {"1": {"class_type": "Odd", "inputs": {}}}
    prompt_id = server.queue(prompt, client_id="a")
    messages = socket_.until_end(prompt_id)
    output = next(
        message["data"]["output"] for message in messages if isinstance(message, dict) and message["type"] == "executed"
    )
    assert output["odd"][:2] == [None, {"1": [None]}]
    assert server.wait(prompt_id)["outputs"]["1"] == output


def test_pictures_are_seen_as_they_are(server: Server) -> None:
    """The corpus has good neighbours: after all of it a plain picture still passes."""
    upload(server, png())
    assert Image.open(io.BytesIO(server.get("/view?filename=a.png&type=input&preview=webp").body)).size == (8, 4)
