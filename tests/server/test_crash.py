"""A killed server loses nothing and does nothing twice."""

import random
import signal
import threading
import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.server.options import Options
from engine.server.runtime import Engine
from tests.server.conftest import Server, chain, load_engine
from tests.server.process import Process


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    found = Process(tmp_path)
    yield found
    if found.alive:
        found.end()


def job(n: int) -> dict[str, Any]:
    """Some work, then a picture named after the job."""
    return {
        "1": {"class_type": "Wait", "inputs": {"seconds": 0.03, "seed": n}},
        "2": {"class_type": "Picture", "inputs": {"filename_prefix": f"job{n:03}", "value": ["1", 0]}},
    }


def submit_all(process: Process, count: int, taken: dict[int, str]) -> None:
    """Queue every job, trying again (with the same key) whenever the server is away."""
    for n in range(count):
        while n not in taken:
            try:
                reply = process.post("/prompt", {"prompt": job(n)}, **{"Idempotency-Key": f"job {n}"})
                taken[n] = reply["prompt_id"]
            except (OSError, urllib.error.URLError, ValueError):
                time.sleep(0.02)


def survive(process: Process, jobs: int, kills: int, seed: int) -> None:
    """Kill the server at random moments while jobs come in and run; then every output is there once."""
    moments = random.Random(seed)
    taken: dict[int, str] = {}
    process.start()
    submitting = threading.Thread(target=submit_all, args=(process, jobs, taken), daemon=True)
    submitting.start()
    for _ in range(kills):
        time.sleep(moments.uniform(0.02, 1.2))
        process.end()
        process.start()
    submitting.join(600)
    assert len(taken) == jobs
    deadline = time.monotonic() + 900
    while process.get("/prompt")["exec_info"]["queue_remaining"]:
        assert time.monotonic() < deadline, "the queue does not empty"
        time.sleep(0.1)
    history = process.get("/history")
    assert set(history) == set(taken.values())
    assert [entry["status"] for entry in history.values() if entry["status"]["status_str"] != "success"] == []
    files = sorted(path.name for path in (process.base / "output").iterdir() if path.is_file())
    assert files == [f"job{n:03}_00001_.png" for n in range(jobs)]
    assert not list((process.base / "output").rglob("*.part"))
    assert process.end(signal.SIGINT) == 0


def test_a_server_killed_again_and_again_loses_nothing(process: Process) -> None:
    survive(process, jobs=30, kills=3, seed=1)


@pytest.mark.slow
def test_fifty_kills_over_two_hundred_jobs(process: Process) -> None:
    survive(process, jobs=200, kills=50, seed=2)


def test_a_stopped_server_parks_its_job(process: Process) -> None:
    process.start()
    prompt = {
        "1": {"class_type": "Wait", "inputs": {"seconds": 6.0}},
        "2": {"class_type": "Picture", "inputs": {"value": ["1", 0]}},
    }
    prompt_id = process.post("/prompt", {"prompt": prompt})["prompt_id"]
    while process.get(f"/api/jobs/{prompt_id}")["status"] != "in_progress":
        time.sleep(0.02)
    assert process.end(signal.SIGINT) == 0
    assert not (process.base / "output").exists() or not list((process.base / "output").iterdir())
    process.start()
    assert process.get(f"/api/jobs/{prompt_id}")["status"] in ("pending", "in_progress")
    while not process.get(f"/history/{prompt_id}"):
        time.sleep(0.05)
    assert process.get(f"/history/{prompt_id}")[prompt_id]["status"]["status_str"] == "success"
    assert process.get(f"/api/jobs/{prompt_id}").get("attempts", 1) == 1


def test_the_server_answers_before_it_has_loaded(options: Options) -> None:
    """And what needs the nodes waits for them."""
    go_on = threading.Event()

    def load() -> Engine:
        assert go_on.wait(120)
        return load_engine()

    server = Server(options, load)
    try:
        assert server.get("/system_stats").json["system"]["pytorch_version"]
        assert server.get("/features").status == 200
        assert server.get("/main.js").status == 200
        assert server.site.runtime.loaded is None
        threading.Timer(0.5, go_on.set).start()
        assert server.wait(server.queue(chain()))["status"]["status_str"] == "success"
        assert go_on.is_set()
    finally:
        go_on.set()
        server.stop()


def test_the_process_answers(process: Process) -> None:
    process.start()
    assert process.get("/system_stats")["system"]["argv"]
