"""How fast the server takes, runs and remembers prompts; each line against the reference program's figure.

The reference (ComfyUI 0.3.64 on two cores): 125-165 prompts of 10 nodes a second, POST p99 42-58 ms while it runs them,
``/history`` of 10,000 entries in 320-430 ms and 13 MB, ``/system_stats`` 7.7 s after the start of the process.

    python benchmarks/server.py [--prompts 1000] [--clients 500] [--stored 100000]
"""

import argparse
import asyncio
import json
import os
import signal
import socket
import sqlite3
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

PROJECT = Path(__file__).resolve().parents[1]
AT_ONCE = 8
REFERENCE = {"prompts_a_second": 145.0, "post_p99_ms": 50.0, "history_ms": 375.0, "start_s": 7.7}
PACK = """
from typing import Any
from engine.node import Run, node

@node("BenchNumber", category="bench")
def number(value: int = 0) -> int:
    return value

@node("BenchAdd", category="bench")
def add(a: int = 0, b: int = 0) -> int:
    return a + b

@node("BenchShow", category="bench", output=True)
def show(value: Any, *, run: Run) -> None:
    run.emit_ui(text=[str(value)])
"""


def prompt(seed: int) -> dict[str, Any]:
    """Ten small nodes, none of them cached."""
    nodes: dict[str, Any] = {"1": {"class_type": "BenchNumber", "inputs": {"value": seed}}}
    for n in range(2, 10):
        nodes[str(n)] = {"class_type": "BenchAdd", "inputs": {"a": [str(n - 1), 0], "b": n}}
    return nodes | {"10": {"class_type": "BenchShow", "inputs": {"value": ["9", 0]}}}


@asynccontextmanager
async def running(base: Path) -> AsyncIterator[tuple[str, int, float]]:
    """A server on ``base``: its URL, its process id, and how long it took to answer."""
    (base / "custom_nodes").mkdir(exist_ok=True)
    (base / "custom_nodes" / "bench_pack.py").write_text(PACK)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    words = [sys.executable, "main.py", "--base-directory", str(base), "--port", str(port), "--dont-print-server"]
    began = time.perf_counter()
    more = ["--verbose", "WARNING", "--max-history", "1000000", "--trust-all-packs"]
    process = await asyncio.create_subprocess_exec(*words, *more, cwd=PROJECT)
    url = f"http://127.0.0.1:{port}"
    try:
        async with aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.get(f"{url}/system_stats") as reply:
                        await reply.read()
                        break
                except aiohttp.ClientError:
                    await asyncio.sleep(0.005)
            answered = time.perf_counter() - began
            async with session.get(f"{url}/object_info/BenchAdd") as reply:
                assert await reply.json(), "the nodes are not there"
        yield url, process.pid, answered
    finally:
        process.send_signal(signal.SIGINT)
        await process.wait()


async def submit(session: aiohttp.ClientSession, url: str, count: int, client: str = "bench") -> list[float]:
    """POST ``count`` prompts, ``AT_ONCE`` at a time; the seconds that each took."""
    left = iter(range(count))
    taken: list[float] = []
    offset = uuid.uuid4().int % 10**9

    async def one() -> None:
        for n in left:
            body = {"prompt": prompt(offset + n), "client_id": client}
            began = time.perf_counter()
            async with session.post(f"{url}/prompt", json=body) as reply:
                assert reply.status == 200, await reply.text()
                await reply.read()
            taken.append(time.perf_counter() - began)

    await asyncio.gather(*(one() for _ in range(AT_ONCE)))
    return taken


async def empty(session: aiohttp.ClientSession, url: str) -> None:
    while True:
        async with session.get(f"{url}/prompt") as reply:
            if not (await reply.json())["exec_info"]["queue_remaining"]:
                return
        await asyncio.sleep(0.01)


def percentile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def line(what: str, value: float, unit: str, reference: float | None = None, *, larger_is_better: bool = False) -> None:
    """One figure; how many times better than the reference."""
    ratio = "" if reference is None else f"   {value / reference if larger_is_better else reference / value:6.1f} x the reference"
    print(f"{what:<58}{value:10.2f} {unit:<8}{ratio}", flush=True)


def processor(pid: int) -> float:
    """Seconds of processor time that a process has used: unlike the clock, the same on a busy machine."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def throughput(url: str, pid: int, count: int) -> None:
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/ws?clientId=bench") as socket_:
        listener = asyncio.ensure_future(drain(socket_))
        await submit(session, url, AT_ONCE)
        await empty(session, url)
        began, used = time.perf_counter(), processor(pid)
        taken = await submit(session, url, count)
        posted = time.perf_counter() - began
        await empty(session, url)
        total, used = time.perf_counter() - began, processor(pid) - used
        listener.cancel()
    line(
        f"{count} prompts of 10 nodes, end to end",
        count / total,
        "a second",
        REFERENCE["prompts_a_second"],
        larger_is_better=True,
    )
    line("  queued", count / posted, "a second")
    line("  the server's processor time for each", used / count * 1000, "ms")
    line("  POST p50 while jobs run", statistics.median(taken) * 1000, "ms")
    line("  POST p99 while jobs run", percentile(taken, 0.99) * 1000, "ms", REFERENCE["post_p99_ms"])


async def drain(socket_: aiohttp.ClientWebSocketResponse) -> None:
    async for _ in socket_:
        pass


async def history(url: str, query: str, what: str, reference: float | None = None) -> None:
    async with aiohttp.ClientSession() as session:
        times, size = [], 0
        for _ in range(7):
            began = time.perf_counter()
            async with session.get(f"{url}/history{query}") as reply:
                size = len(await reply.read())
            times.append((time.perf_counter() - began) * 1000)
    line(f"{what} ({size / 2**20:.2f} MB)", statistics.median(times), "ms", reference)


def memory(pid: int) -> float:
    """Resident memory in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def crowd(url: str, pid: int, clients: int, count: int) -> None:
    """Many websockets, one of them never read: does anybody wait for it, does memory grow?"""
    host, port = url.removeprefix("http://").split(":")
    stalled = socket.create_connection((host, int(port)))
    head = f"GET /ws?clientId=stalled HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    stalled.sendall(f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        sockets = [await session.ws_connect(f"{url}/ws?clientId=c{n}") for n in range(clients - 1)]
        listeners = [asyncio.ensure_future(drain(socket_)) for socket_ in sockets]
        before = memory(pid)
        began = time.perf_counter()
        taken = await submit(session, url, count, "stalled")
        await empty(session, url)
        total = time.perf_counter() - began
        for listener in listeners:
            listener.cancel()
        await asyncio.gather(*(socket_.close() for socket_ in sockets))
    stalled.close()
    line(f"with {clients} websockets, one stalled: end to end", count / total, "a second")
    line("  POST p99", percentile(taken, 0.99) * 1000, "ms")
    line("  memory grown by", memory(pid) - before, "MB")


def fill(database: Path, count: int) -> None:
    """Put finished jobs into the database, by the hand of SQLite."""
    with sqlite3.connect(database) as connection:
        row = connection.execute("SELECT * FROM jobs LIMIT 1")
        names = [column[0] for column in row.description]
        sample = dict(zip(names, row.fetchone(), strict=True))
        del sample["seq"]
        marks = ",".join("?" * len(sample))
        text = f"INSERT INTO jobs ({','.join(sample)}) VALUES ({marks})"
        rows = (
            (tuple((sample | {"id": str(uuid.uuid4()), "number": n, "idempotency_key": None}).values())) for n in range(count)
        )
        connection.executemany(text, rows)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--stored", type=int, default=100_000)
    said = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        async with running(base) as (url, pid, answered):
            line("/system_stats after the process starts", answered, "s", REFERENCE["start_s"])
            await throughput(url, pid, said.prompts)
            line("memory", memory(pid), "MB")
            await crowd(url, pid, said.clients, said.prompts)
        await asyncio.to_thread(fill, base / "user" / "loom.db", said.stored)
        async with running(base) as (url, pid, _):
            await history(url, "?max_items=10000", "/history of 10,000", REFERENCE["history_ms"])
            await history(url, "?max_items=64", f"/history?max_items=64 with {said.stored} jobs stored")
            await throughput(url, pid, said.prompts)
    print(json.dumps({"reference": REFERENCE}))


if __name__ == "__main__":
    asyncio.run(main())
