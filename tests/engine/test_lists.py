"""Lists on edges: one call an item, the shorter repeating its last."""

from __future__ import annotations

from .toys import Loom, n


def test_a_node_runs_once_for_each_item(loom: Loom) -> None:
    """range(3) -> + 10 -> show"""
    prompt = {"1": n("Range", n=3), "2": n("Add", a=("1", 0), b=10), "3": n("Show", value=("2", 0))}
    assert loom.shown(prompt) == {"3": [10, 11, 12]}


def test_parallel_lists_run_together_and_the_shorter_repeats_its_last_item(loom: Loom) -> None:
    """range(4), range(2) -> +: 0+0 1+1 2+1 3+1"""
    prompt = {"1": n("Range", n=4), "2": n("Range", n=2), "3": n("Add", a=("1", 0), b=("2", 0)), "4": n("Show", value=("3", 0))}
    assert loom.shown(prompt) == {"4": [0, 2, 3, 4]}


def test_an_empty_list_means_no_call(loom: Loom) -> None:
    prompt = {
        "1": n("Range", n=0),
        "2": n("Divide", a=("1", 0), b=0),
        "3": n("Sum", values=("2", 0)),
        "4": n("Show", value=("3", 0)),
    }
    assert loom.shown(prompt) == {"4": 0}


def test_a_node_can_take_the_whole_list(loom: Loom) -> None:
    prompt = {"1": n("Range", n=5), "2": n("Sum", values=("1", 0)), "3": n("Show", value=("2", 0))}
    assert loom.shown(prompt) == {"3": 10}


def test_a_single_value_is_a_list_of_one_to_a_node_that_takes_lists(loom: Loom) -> None:
    assert loom.shown({"1": n("Number", value=4), "2": n("Sum", values=("1", 0)), "3": n("Show", value=("2", 0))}) == {"3": 4}


def test_list_outputs_of_several_calls_are_joined(loom: Loom) -> None:
    """range(4) -> range each -> 0 | 0 1 | 0 1 2"""
    prompt = {"1": n("Range", n=4), "2": n("Range", n=("1", 0)), "3": n("Show", value=("2", 0))}
    assert loom.shown(prompt) == {"3": [0, 0, 1, 0, 1, 2]}


def test_a_list_of_async_calls_overlaps(loom: Loom) -> None:
    loom.meet(20)
    prompt = {"1": n("Range", n=20), "2": n("Meet", value=("1", 0)), "3": n("Show", value=("2", 0))}
    assert loom.shown(prompt) == {"3": list(range(20))}


def test_items_can_expand(loom: Loom) -> None:
    """range(3) -> count down each -> 0 1 2"""
    prompt = {"1": n("Range", n=3), "2": n("Countdown", n=("1", 0)), "3": n("Show", value=("2", 0))}
    assert loom.shown(prompt) == {"3": [0, 1, 2]}
