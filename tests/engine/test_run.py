"""A node's window to its job: told often enough and no more often, and stopped when the user says so."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.cache import Cache
from engine.disk import Disk
from engine.run import Cancel, CancelledError, Job, Run, once

from .toys import SPECS, Loom, n


def test_progress_is_told_ten_times_a_second_and_the_last_always() -> None:
    told: list[Any] = []
    run = Run("3", job=Job(emit=told.append))
    began = time.monotonic()
    for i in range(5000):
        run.progress(i + 1, 5000)
    seconds = time.monotonic() - began
    assert 2 <= len(told) <= 3 + seconds * 10
    assert (told[0].value, told[-1].value) == (1, 5000)


def test_previews_are_made_only_if_somebody_looks_and_not_too_often() -> None:
    told: list[Any] = []
    assert not Run("3", job=Job(emit=told.append)).wants_preview()
    run = Run("3", job=Job(emit=told.append, previews=True))
    for _ in range(100):
        if run.wants_preview():
            run.preview(b"jpeg")
    assert len(told) == 1
    assert (told[0].data, told[0].mime, told[0].node) == (b"jpeg", "image/jpeg", "3")


def test_a_stopped_job_raises_at_the_next_word() -> None:
    run = Run()
    run.progress(1, 2)
    run.job.cancel()
    assert run.cancelled
    for speak in (run.check, lambda: run.progress(1, 2)):
        with pytest.raises(CancelledError):
            speak()


def test_what_waits_for_a_cancel_is_called_once_at_once_or_then() -> None:
    cancel, calls = Cancel(), list[str]()
    cancel.then(lambda: calls.append("before"))
    cancel()
    cancel.then(lambda: calls.append("after"))
    assert calls == ["before", "after"]


def test_shown_things_add_up() -> None:
    run = Run()
    run.emit_ui(images=[1], text=["a"])
    run.emit_ui(images=[2, 3])
    assert run.ui == {"images": [1, 2, 3], "text": ["a"]}


def test_once_makes_one_whatever_the_threads() -> None:
    made: list[int] = []

    def make() -> int:
        time.sleep(0.02)
        made.append(1)
        return len(made)

    get = once(make)
    threads = [threading.Thread(target=get) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (get(), made) == (1, [1])


def test_a_restart_finds_what_took_long_on_disk(tmp_path: Path) -> None:
    """long(1) -> +(2) -> show(3): after the restart only what shows is run"""

    def take_long(inputs: Mapping[str, Any], run: Run) -> tuple[Any, ...]:
        time.sleep(0.25)
        return (41,)

    specs = {**SPECS, "Long": replace(SPECS["Number"], type="Long", call=take_long)}
    prompt = {"1": n("Long"), "2": n("Add", a=("1", 0), b=1), "3": n("Show", value=("2", 0))}
    for ran in ({"1", "2", "3"}, {"2", "3"}):
        loom = Loom(specs, Cache(disk=Disk(tmp_path, 2**20, b"")))
        results = loom.run(prompt)
        assert (set(results.ran), results.ui["3"]) == (ran, {"value": [42]})
        loom.executor.close()


def test_keys_are_the_same_in_another_process() -> None:
    code = (
        "from tests.engine.toys import Loom, n; from engine.keys import keys;"
        "g = Loom().graph({'1': n('Dice', seed=3), '2': n('Same', value={'b': [1], 'a': 2.0}), '3': n('Add', a=('1', 0)),"
        " '4': n('Show', value=('3', 0)), '5': n('Show', value=('2', 0))});"
        "print({k: v.hex() for k, v in keys(g.steps.values(), {}).items()})"
    )
    answers = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
        answers.add(done.stdout)
    assert len(answers) == 1
