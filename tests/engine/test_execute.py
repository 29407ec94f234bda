"""The laws of running: only what is needed, once, again only what changed."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.execute import NodeError
from engine.node import node
from engine.run import Cancel, CancelledError, Job
from engine.signature import spec_of

from .toys import SPECS, Loom, chain, n, on_thread


def test_a_result_is_what_the_nodes_compute(loom: Loom) -> None:
    """1 + 2 -> + 10 -> show"""
    prompt = {"1": n("Add", a=1, b=2), "2": n("Add", a=("1", 0), b=10), "3": n("Show", value=("2", 0))}
    assert loom.shown(prompt) == {"3": 13}


def test_several_outputs_are_told_apart(loom: Loom) -> None:
    """7 -> split -> (3, 4)"""
    prompt = {"1": n("Split", value=7), "2": n("Show", value=("1", 0)), "3": n("Show", value=("1", 1))}
    assert loom.shown(prompt) == {"2": 3, "3": 4}


def test_nothing_that_no_target_needs_is_run(loom: Loom) -> None:
    """1 -> show(2)    3 (an island)    4 -> show(5), not asked for"""
    prompt = {
        "1": n("Number", value=1),
        "2": n("Show", value=("1", 0)),
        "3": n("Divide", a=1, b=0),
        "4": n("Divide", a=1, b=0),
        "5": n("Show", value=("4", 0)),
    }
    assert set(loom.run(prompt, targets=["2"]).ran) == {"1", "2"}


def test_an_identical_rerun_runs_nothing_but_still_shows(loom: Loom) -> None:
    prompt = {"1": n("Number", value=1), "2": n("Show", value=("1", 0))}
    loom.run(prompt)
    again = loom.run(prompt)
    assert again.ran == ()
    assert again.ui == {"2": {"value": [1]}}
    assert [event.kind for event in loom.events] == ["started", "cached", "step_finished", "finished"]
    assert loom.kinds("cached")[0].nodes == ("1", "2")
    assert loom.kinds("step_finished")[0].cached


def test_a_changed_seed_reruns_only_downstream(loom: Loom) -> None:
    """dice(1) -> +(3) -> show(4)    2 -> +(3)    5 -> show(6)"""

    def prompt(seed: int) -> dict[str, Any]:
        return {
            "1": n("Dice", seed=seed),
            "2": n("Number", value=5),
            "3": n("Add", a=("1", 0), b=("2", 0)),
            "4": n("Show", value=("3", 0)),
            "5": n("Number", value=8),
            "6": n("Show", value=("5", 0)),
        }

    loom.run(prompt(0))
    assert set(loom.run(prompt(1)).ran) == {"1", "3", "4"}
    assert loom.run(prompt(0)).ran == ()


def test_equal_nodes_are_run_once(loom: Loom) -> None:
    """Two ways to write the same graph share their results, whatever the ids."""
    loom.run({"1": n("Add", a=1, b=2), "2": n("Show", value=("1", 0))})
    assert loom.run({"8": n("Add", b=2, a=1), "9": n("Show", value=("8", 0))}).ran == ()


def test_the_events_of_a_run_come_in_order(loom: Loom) -> None:
    loom.run({"1": n("Number", value=1), "2": n("Show", value=("1", 0))})
    assert [(event.kind, getattr(event, "node", None)) for event in loom.events] == [
        ("started", None),
        ("cached", None),
        ("step_started", "1"),
        ("step_finished", "1"),
        ("step_started", "2"),
        ("step_finished", "2"),
        ("finished", None),
    ]


def test_a_node_that_fails_says_which_and_with_what(loom: Loom) -> None:
    prompt = {"1": n("Number", value=0), "2": n("Divide", "Share Out", a=7, b=("1", 0)), "3": n("Show", value=("2", 0))}
    with pytest.raises(NodeError, match=r"node 2 \(Share Out\): .*by zero") as caught:
        loom.run(prompt)
    assert caught.value.inputs == {"a": 7, "b": 0}
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    failed = loom.kinds("failed")[0]
    assert (failed.node, failed.type, failed.exception_type, failed.finished) == ("2", "Divide", "ZeroDivisionError", ("1",))
    assert "return a // b" in "".join(failed.traceback)
    assert loom.events[-1] is failed


def test_what_ran_before_a_failure_is_not_run_again(loom: Loom) -> None:
    prompt = {"1": n("Number", value=0), "2": n("Divide", a=7, b=("1", 0)), "3": n("Show", value=("2", 0))}
    with pytest.raises(NodeError):
        loom.run(prompt)
    prompt["2"]["inputs"]["b"] = 2
    prompt["4"] = n("Show", value=("1", 0))
    assert "1" not in loom.run(prompt).ran


def test_async_nodes_overlap(loom: Loom) -> None:
    """ten that wait for one another -> show each"""
    loom.meet(10)
    meeting = {str(i): n("Meet", value=i) for i in range(10)}
    shows = {f"s{i}": n("Show", value=(i, 0)) for i in range(10)}
    assert loom.shown(meeting | shows) == {f"s{i}": i for i in range(10)}


def test_files_are_handled_beside_the_device(loom: Loom) -> None:
    """save(1) on the I/O lane waits for count(3) on the device, and count(3) for save(1)"""

    both = threading.Barrier(2)

    def wait(inputs: Any, run: Any) -> tuple[Any, ...]:
        both.wait(60)
        return (inputs["value"],)

    same = SPECS["Same"]
    loom.specs = {
        **SPECS,
        "Save": replace(same, type="Save", call=wait, lane="io"),
        "Count": replace(same, type="Count", call=wait),
    }
    loom.executor.specs = loom.specs
    prompt = {"1": n("Save", value=1), "2": n("Show", value=("1", 0)), "3": n("Count", value=3), "4": n("Show", value=("3", 0))}
    assert loom.shown(prompt) == {"2": 1, "4": 3}


def test_the_device_runs_one_step_at_a_time(loom: Loom) -> None:
    now, most = [0], [0]

    def busy(inputs: Any, run: Any) -> tuple[Any, ...]:
        now[0] += 1
        most[0] = max(most[0], now[0])
        time.sleep(0.01)
        now[0] -= 1
        return (1,)

    loom.specs = {**SPECS, "Busy": replace(SPECS["Same"], type="Busy", call=busy)}
    loom.executor.specs = loom.specs
    prompt = {str(i): n("Busy", value=i) for i in range(8)}
    loom.run(prompt | {f"s{i}": n("Show", value=(i, 0)) for i in range(8)})
    assert most == [1]


def test_a_chain_of_ten_thousand_needs_no_recursion(loom: Loom) -> None:
    assert loom.shown(chain(10_000)) == {"out": 10_000}


def test_cancel_stops_a_node_at_its_next_progress_update(loom: Loom) -> None:
    cancel = Cancel()
    stopper = threading.Timer(0.15, cancel)
    stopper.start()
    with pytest.raises(CancelledError):
        loom.run({"1": n("Slow", value=1, seconds=60), "2": n("Show", value=("1", 0))}, cancel)
    assert all(event.value < event.total / 2 for event in loom.kinds("progress"))
    assert (loom.events[-1].kind, loom.events[-1].node) == ("cancelled", "1")


def test_cancel_stops_async_nodes_at_once(loom: Loom) -> None:
    cancel = Cancel()
    threading.Timer(0.1, cancel).start()
    with pytest.raises(CancelledError):
        loom.run({"1": n("Sleep", value=1, seconds=30), "2": n("Show", value=("1", 0))}, cancel)
    assert (loom.events[-1].kind, loom.events[-1].node) == ("cancelled", "1")


async def test_a_caller_that_goes_away_cancels_its_run(loom: Loom) -> None:
    prompt = {"1": n("Slow", value=1, seconds=20), "2": n("Show", value=("1", 0))}
    task = asyncio.create_task(loom.executor.run(loom.graph(prompt), Job(emit=loom.events.append)))
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(100):
        await asyncio.sleep(0.02)
        if loom.events[-1].kind == "cancelled":
            break
    assert loom.events[-1].kind == "cancelled"


def test_cancelling_a_finished_run_does_nothing(loom: Loom) -> None:
    cancel = Cancel()
    loom.run({"1": n("Number", value=1), "2": n("Show", value=("1", 0))}, cancel)
    loom.executor.close()
    cancel()
    assert loom.events[-1].kind == "finished"


def test_a_failure_stops_what_sleeps_beside_it(loom: Loom) -> None:
    """a division fails while others sleep: nobody waits for them"""
    prompt = {"1": n("Number", value=30), "2": n("Sleep", value=1, seconds=("1", 0)), "3": n("Divide", a=1, b=0)}
    prompt |= {"4": n("Show", value=("2", 0)), "5": n("Show", value=("3", 0))}
    with pytest.raises(NodeError):
        loom.run(prompt)
    assert "2" in {event.node for event in loom.kinds("step_started")}
    assert "2" not in {event.node for event in loom.kinds("step_finished")}


def test_a_cancelled_run_leaves_the_executor_fit(loom: Loom) -> None:
    cancel = Cancel()
    cancel()
    with pytest.raises(CancelledError):
        loom.run({"1": n("Number", value=1), "2": n("Show", value=("1", 0))}, cancel)
    assert loom.shown({"1": n("Number", value=1), "2": n("Show", value=("1", 0))}) == {"2": 1}


def test_two_jobs_run_side_by_side(loom: Loom) -> None:
    slow = {"1": n("Sleep", value=1, seconds=60), "2": n("Show", value=("1", 0))}
    other, cancel = Loom(folders=loom.folders), Cancel()
    other.executor = loom.executor

    def wait() -> None:
        with pytest.raises(CancelledError):
            loom.run(slow, cancel)

    thread = on_thread(wait)
    assert other.shown({"1": n("Number", value=3), "2": n("Show", value=("1", 0))}) == {"2": 3}
    assert not loom.kinds("finished")
    cancel()
    thread.join(5)
    assert not thread.is_alive()


class Thing:
    """A result whose life can be watched."""


def test_a_result_is_freed_when_its_last_consumer_has_it(loom: Loom) -> None:
    """thing(1) -> use(2) -> wait(3) -> show(4): while 3 runs, 1 is gone"""
    alive: list[weakref.ref[Thing]] = []
    seen: list[Any] = []

    def make(inputs: Any, run: Any) -> tuple[Any, ...]:
        thing = Thing()
        alive.append(weakref.ref(thing))
        return (thing,)

    def look(inputs: Any, run: Any) -> tuple[Any, ...]:
        gc.collect()
        seen.append(alive[0]())
        return (inputs["value"],)

    same = SPECS["Same"]
    loom.cache.max_bytes = 0
    loom.specs = {
        **SPECS,
        "Make": replace(same, type="Make", call=make),
        "Use": replace(same, type="Use", call=lambda i, r: (1,)),
        "Look": replace(same, type="Look", call=look),
    }
    loom.executor.specs = loom.specs
    loom.run(
        {"1": n("Make", value=0), "2": n("Use", value=("1", 0)), "3": n("Look", value=("2", 0)), "4": n("Show", value=("3", 0))}
    )
    assert seen == [None]


def test_memory_is_freed_and_the_node_tried_again_when_it_ran_out(loom: Loom) -> None:
    calls: list[int] = []

    def hungry(inputs: Any, run: Any) -> tuple[Any, ...]:
        calls.append(1)
        if len(calls) == 1:
            raise MemoryError("no room")
        return (5,)

    loom.specs = {**SPECS, "Hungry": replace(SPECS["Number"], type="Hungry", call=hungry)}
    loom.executor.specs = loom.specs
    loom.executor.relief = lambda job: ["models moved to main memory"]
    prompt = {"1": n("Hungry"), "2": n("Show", value=("1", 0))}
    assert loom.shown(prompt) == {"2": 5}
    calls.clear()
    loom.cache.clear()
    loom.executor.relief = lambda job: []
    with pytest.raises(NodeError, match="no room"):
        loom.run(prompt)


def test_running_loads_no_torch() -> None:
    import subprocess
    import sys

    code = "import sys; from tests.engine.toys import Loom, n; "
    code += "print(Loom().shown({'1': n('Number', value=1), '2': n('Show', value=('1', 0))}), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "{'2': 1} False"


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells a process its peak")
def test_a_step_says_what_memory_it_needed_at_its_highest(loom: Loom) -> None:
    """64 MB that are gone again when the step ends, once more, and a step that needs none."""

    @node("Hungry", category="toys")
    def hungry(megabytes: int, again: int = 0) -> int:
        time.sleep(0.01)
        return len(b"\1" * (megabytes * 2**20)) * 0

    loom.specs = loom.executor.specs = {**SPECS, "Hungry": spec_of(hungry)}
    first, second = n("Hungry", megabytes=64), n("Hungry", megabytes=64, again=("1", 0))
    loom.run({"1": first, "2": second, "3": n("Hungry", megabytes=0, again=("2", 0)), "4": n("Show", value=("3", 0))})
    needed = {event.node: event.nbytes / 2**20 for event in loom.kinds("step_finished")}
    assert 60 < needed["1"] < 100
    assert 60 < needed["2"] < 100, "memory given back is needed again"
    assert needed["3"] < 8
