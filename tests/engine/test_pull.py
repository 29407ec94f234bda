"""The scheduler alone: what may run next, in which order, and what is let go."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cache import Result
from engine.folders import Folders
from engine.graph import build
from engine.keys import keys
from engine.prompt import parse
from engine.pull import Pull

from .test_random_graphs import graphs
from .toys import SPECS, chain, n


def pull(prompt: dict[str, Any]) -> Pull:
    graph = build(parse(prompt), SPECS, Folders())
    made = Pull(graph.steps, keys(graph.steps.values(), {}), lambda id: None)
    made.aim(graph.targets)
    return made


def order(prompt: dict[str, Any]) -> list[str]:
    """The order of one lane that finishes each step before it takes the next."""
    state, ran = pull(prompt), []
    while (step := state.take("device")) is not None:
        ran.append(step.id)
        state.finish(step.id, Result((0, 0)))
    assert not state.left
    return ran


def test_one_branch_is_finished_before_the_next_is_begun() -> None:
    """a1 -> a2 -> outA    b1 -> b2 -> outB"""
    prompt = {
        "b1": n("Number", value=1),
        "a1": n("Number", value=2),
        "b2": n("Add", a=("b1", 0)),
        "a2": n("Add", a=("a1", 0)),
        "outA": n("Show", value=("a2", 0)),
        "outB": n("Show", value=("b2", 0)),
    }
    assert order(prompt) == ["a1", "a2", "outA", "b1", "b2", "outB"]


def test_at_most_two_results_of_a_chain_are_held() -> None:
    state, most = pull(chain(100)), 0
    while (step := state.take("device")) is not None:
        state.finish(step.id, Result((0,)))
        most = max(most, len(state.results))
    assert most == 1
    assert list(state.results) == ["out"]


@given(graphs(), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_a_step_is_in_one_place_and_everything_ends(prompt: dict[str, Any], random: Any) -> None:
    """Steps finish in any order; lazy inputs and expansions aside, each runs once and all is let go but the targets."""
    state = pull(prompt)
    running: list[str] = []
    ran: list[str] = []
    while not state.idle or running:
        for lane in state.ready:
            while random.random() < 0.7 and (step := state.take(lane)) is not None:
                running.append(step.id)
        places = [set(state.waiting), state.running, set(state.results)]
        assert sum(map(len, places)) == len(set().union(*places))
        assert state.running == set(running)
        if running:
            ran.append(running.pop(random.randrange(len(running))))
            state.finish(ran[-1], Result((0, 0)))
    assert len(ran) == len(set(ran))
    assert not state.left
    assert not state.waiting
    assert all(id.startswith("show") for id in state.results)


def test_a_step_that_was_given_up_is_not_run_again_for_whoever_wants_it_later() -> None:
    state = pull({"a": n("Number", value=1), "b": n("Add", a=("a", 0)), "out": n("Show", value=("b", 0))})
    step = state.take("device")
    assert step is not None
    state.drop(step.id)
    state.wants(step.id, lambda result: None)
    state.want("b")
    assert state.take("device") is None
    assert state.idle
    assert state.left == {"out"}


def test_of_two_steps_alike_the_second_takes_the_first_ones_result() -> None:
    one, both = n("Number", value=1), n("Add", a=("a", 0), b=("b", 0))
    graph = build(parse({"a": one, "b": one, "c": both, "out": n("Show", value=("c", 0))}), SPECS, Folders())
    known = keys(graph.steps.values(), {})
    made: dict[Any, Result] = {}
    state = Pull(graph.steps, known, lambda id: made.get(known[id]))
    state.aim(graph.targets)
    ran = []
    while (step := state.take("device")) is not None:
        ran.append(step.id)
        made[known[step.id]] = Result((1,))
        state.finish(step.id, made[known[step.id]])
    assert ran == ["a", "c", "out"]
    assert not state.left
