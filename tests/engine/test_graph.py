"""What is wrong with a prompt: all of it at once, each naming node, input, expectation and cure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.folders import Folders
from engine.graph import build, fits, unused
from engine.problems import GraphError, Problem
from engine.prompt import as_link, decode, parse, read

from .toys import SPECS, Loom, chain, n
from .work import calls


def problems(prompt: Any, **options: Any) -> list[Problem]:
    with pytest.raises(GraphError) as caught:
        build(parse(prompt), SPECS, options.pop("folders", Folders()), **options)
    return list(caught.value.problems)


def one(prompt: Any, **options: Any) -> Problem:
    (problem,) = problems(prompt, **options)
    return problem


def shown(**nodes: Any) -> dict[str, Any]:
    """``a`` is shown by ``out``."""
    return {**nodes, "out": n("Show", value=("a", 0))}


def test_all_problems_are_found_at_once() -> None:
    """every kind of fault in one prompt, each with its node"""
    prompt = {
        "1": n("Number", value="many"),
        "2": n("Dice", sides=7, seed=-1),
        "3": n("Divide", a=("1", 0)),
        "4": n("Add", a=("9", 0), b=("2", 3)),
        "5": n("Draw", "Picture", latent=("2", 0)),
        "6": n("Show", value=("3", 0)),
        "7": n("Show", value=("4", 0)),
        "8": n("Show", value=("5", 0)),
    }
    assert sorted((p.node, p.input, p.error) for p in problems(prompt)) == [
        ("1", "value", "invalid_input_type"),
        ("2", "seed", "value_smaller_than_min"),
        ("2", "sides", "value_not_in_list"),
        ("3", "b", "required_input_missing"),
        ("4", "a", "bad_linked_input"),
        ("4", "b", "bad_linked_input"),
        ("5", "latent", "return_type_mismatch"),
    ]


def test_a_wrong_type_says_what_was_wanted_what_came_and_what_would_help() -> None:
    prompt = {"1": n("Empty"), "2": n("Paint", image=("1", 0)), "3": n("Show", value=("2", 0))}
    assert str(one(prompt)) == "node 2 (Paint): image: expected IMAGE, got LATENT from node 1 (Empty). Connect a Draw between."


def test_an_unknown_node_type_comes_with_the_nearest_names() -> None:
    problem = one({"1": n("Nunber"), "2": n("Show", value=("1", 0))})
    assert (problem.error, problem.node) == ("missing_node_type", "1")
    assert "Did you mean Number?" in str(problem)


def test_unknown_types_do_not_hide_what_else_is_wrong() -> None:
    """dice(sides=7) -> nunber -> show    divide(b of an unknown node, no a) -> show"""
    prompt = {"1": n("Dice", sides=7), "2": n("Nunber", value=("1", 0)), "3": n("Show", value=("2", 0))}
    prompt |= {"4": n("Divide", b=("2", 3)), "5": n("Show", value=("4", 0)), "6": n("Shaw", value=("7", 0))}
    found = [(problem.node, problem.error) for problem in problems(prompt)]
    assert found[:2] == [("2", "missing_node_type"), ("6", "missing_node_type")]
    assert sorted(found[2:]) == [("1", "value_not_in_list"), ("4", "required_input_missing")]


def test_a_wrong_choice_comes_with_the_nearest() -> None:
    assert str(one(shown(a=n("Dice", sides=21)))).endswith("got 21. Did you mean '20'?")


@pytest.mark.parametrize(
    ("value", "error"), [(0, "value_smaller_than_min"), (65, "value_bigger_than_max"), ("x", "invalid_input_type")]
)
def test_a_value_out_of_range_is_refused(value: Any, error: str) -> None:
    assert one(shown(a=n("Empty", batch_size=value))).error == error


def test_a_missing_model_file_comes_with_the_nearest_names_and_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / "castle.txt").write_text("x")
    (tmp_path / "models" / "loras").mkdir(parents=True)
    (tmp_path / "models" / "loras" / "hat.safetensors").write_text("x")
    folders = Folders(base=tmp_path)
    assert "Did you mean 'castle.txt'?" in str(one(shown(a=n("Read", file="casle.txt")), folders=folders))
    assert "It is in loras/hat.safetensors." in str(one(shown(a=n("Read", file="hat.safetensors")), folders=folders))
    assert one(shown(a=n("Read", file="../../etc/passwd")), folders=folders).error == "value_not_in_list"
    graph = build(parse(shown(a=n("Read", file=".\\castle.txt"))), SPECS, folders)
    assert graph.targets == ("out",)


def test_a_cycle_is_told_with_its_path() -> None:
    """a -> b -> c -> a"""
    prompt = {"a": n("Add", a=("c", 0)), "b": n("Add", a=("a", 0)), "c": n("Add", a=("b", 0)), "out": n("Show", value=("a", 0))}
    problem = one(prompt)
    assert problem.error == "dependency_cycle"
    assert "a -> b -> c -> a" in str(problem)
    assert problem.extra["cycle_nodes"] == ["a", "c", "b"]


def test_a_node_linked_to_itself_is_a_cycle() -> None:
    assert "a -> a" in str(one(shown(a=n("Add", a=("a", 0)))))


def test_a_ring_of_ten_thousand_is_told_without_recursion() -> None:
    prompt = chain(10_000)
    prompt["0"] = n("Add", a=(9_999, 0))
    assert one(prompt).error == "dependency_cycle"


@pytest.mark.parametrize("prompt", [{"1": n("Number")}, {}])
def test_a_prompt_without_an_output_is_refused(prompt: Any) -> None:
    with pytest.raises(GraphError) as caught:
        build(parse(prompt), SPECS, Folders())
    assert caught.value.whole is not None
    assert caught.value.whole.error == "prompt_no_outputs"


@pytest.mark.parametrize(
    "data",
    [
        None,
        3,
        "x",
        [],
        [1],
        {"1": 2},
        {"1": {}},
        {"1": {"class_type": 3}},
        {"1": {"class_type": "X", "inputs": []}},
        {"nodes": []},
    ],
)
def test_json_that_is_no_prompt_is_refused(data: Any) -> None:
    with pytest.raises(GraphError) as caught:
        parse(data)
    assert caught.value.problems


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"1": NaN'])
def test_text_that_is_no_json_is_one_clear_error(text: bytes) -> None:
    with pytest.raises(GraphError, match="expected JSON"):
        decode(text)


def test_a_prompt_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    path.write_bytes(b" " * 2000)
    with pytest.raises(GraphError, match="MB of JSON"):
        read(path, limit=1000)


def test_islands_are_left_alone(loom: Loom) -> None:
    prompt = shown(a=n("Number"), island=n("Divide"))
    assert set(loom.graph(prompt).steps) == {"a", "out"}
    assert unused(parse(prompt), loom.graph(prompt)) == ["island"]


def test_a_faulty_output_need_not_stop_the_sound_ones(loom: Loom) -> None:
    """bad(1) -> show(2)    3 -> show(4)"""
    prompt = {"1": n("Empty", batch_size=0), "2": n("Show", value=("1", 0)), "3": n("Number"), "4": n("Show", value=("3", 0))}
    graph = loom.graph(prompt, strict=False)
    assert (graph.targets, set(graph.steps)) == (("4",), {"3", "4"})
    assert [p.node for p in graph.problems] == ["1"]
    assert graph.dependents == {"1": ["2"]}
    with pytest.raises(GraphError):
        loom.graph(prompt)


@pytest.mark.parametrize(
    ("given", "kept"),
    [("12", 12), (3.0, 3), ("3.0", 3), (True, 1), (2**40, None), (None, None), ([], None), ("1e400", None), ("nan", None)],
)
def test_integers_are_coerced_or_refused(given: Any, kept: int | None) -> None:
    prompt = shown(a=n("Number", value=given))
    if kept is None:
        assert one(prompt).input == "value"
    else:
        assert build(parse(prompt), SPECS, Folders()).steps["a"].params["value"] == kept


def test_defaults_are_filled_in(loom: Loom) -> None:
    assert loom.graph(shown(a=n("Dice"))).steps["a"].params == {"seed": 0, "sides": 6}


def test_lists_in_a_wrapper_are_values(loom: Loom) -> None:
    prompt = shown(a=n("Same", value={"__value__": ["b", 0]}))
    assert loom.shown(prompt) == {"out": ["b", 0]}


@pytest.mark.parametrize(
    ("made", "wanted", "answer"),
    [
        ("IMAGE", "IMAGE", True),
        ("IMAGE", "MASK", False),
        ("IMAGE", "*", True),
        ("*", "MASK", True),
        ("MASK", "IMAGE,MASK", True),
        ("INT", "FLOAT", True),
        ("FLOAT", "INT", False),
        ("STRING", "COMBO", True),
        ("IMAGE", "COMBO", False),
    ],
)
def test_which_types_fit(made: str, wanted: str, answer: bool) -> None:
    assert fits(made, wanted) is answer


@pytest.mark.parametrize("value", [["1", 0, 0], ["1"], [1, 0], ["1", True], ["1", 0.5], ("1", 0), "1", None, {"1": 0}])
def test_what_is_no_link(value: Any) -> None:
    assert as_link(value) is None


def test_building_grows_with_the_graph() -> None:
    def work(length: int) -> int:
        prompt = parse(chain(length))
        return calls(lambda: build(prompt, SPECS, Folders()))

    work(10)
    assert work(8_000) < 8.2 * work(1_000)


def test_problems_are_data_for_comfys_clients() -> None:
    problem = one(shown(a=n("Empty", batch_size=65)))
    assert (problem.message, problem.details) == ("Value 65 bigger than max of 64", "batch_size")
    assert problem.extra["input_name"] == "batch_size"
    assert problem.extra["received_value"] == 65
    assert problem.extra["input_config"][1]["max"] == 64
    json.dumps(problem.extra)
