"""A key changes with whatever would change the result, and with nothing else."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.folders import Folders
from engine.graph import Step, build
from engine.keys import Key, keys, step_key
from engine.prints import Print, file_print, print_of
from engine.prompt import parse
from engine.run import Job

from .toys import SPECS, Loom, chain, n
from .work import calls


def key(**inputs: Any) -> Key:
    return step_key(Step("1", SPECS["Same"], inputs, {}, "", "1"), {})


def keys_of(prompt: dict[str, Any]) -> dict[str, Key]:
    return keys(build(parse(prompt), SPECS, Folders()).steps.values(), {})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(JSON, JSON)
def test_equal_literals_have_equal_keys_and_others_do_not(a: Any, b: Any) -> None:
    assert key(value=a) == key(value=a)
    assert (key(value=a) == key(value=b)) == (repr(_sorted(a)) == repr(_sorted(b)))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _sorted(value[k]) for k in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("a", "b"), [(1, 1.0), (1, True), (0, False), (0.0, -0.0), ("1", 1), ([], {}), (None, "null"), (None, False)]
)
def test_values_that_python_calls_equal_are_told_apart(a: Any, b: Any) -> None:
    assert key(value=a) != key(value=b)


def test_the_order_of_inputs_does_not_count() -> None:
    assert key(a=1, b=2) == key(b=2, a=1)


def test_a_default_and_the_same_value_written_out_are_one() -> None:
    implicit = keys_of({"1": n("Dice"), "2": n("Show", value=("1", 0))})
    written = keys_of({"1": n("Dice", seed=0, sides=6), "2": n("Show", value=("1", 0))})
    assert implicit == written


def test_ids_and_titles_do_not_count_but_slots_do() -> None:
    a = keys_of({"1": n("Split", value=3), "2": n("Show", value=("1", 0)), "3": n("Show", value=("1", 1))})
    b = keys_of({"x": n("Split", "Mine", value=3), "y": n("Show", value=("x", 0))})
    assert (a["1"], a["2"]) == (b["x"], b["y"])
    assert a["2"] != a["3"]


def test_the_code_counts() -> None:
    step = Step("1", SPECS["Same"], {}, {}, "", "1")
    assert step_key(step, {}) != step_key(replace(step, spec=replace(SPECS["Same"], version="2")), {})


def test_the_id_counts_only_for_nodes_that_say_so() -> None:
    spec = replace(SPECS["Same"], keyed_by_id=True)
    assert step_key(Step("1", spec, {}, {}, "", "1"), {}) != step_key(Step("2", spec, {}, {}, "", "2"), {})


def test_a_fingerprint_of_nan_is_like_no_other() -> None:
    step = Step("1", SPECS["Same"], {}, {}, "", "1")
    assert step_key(step, {}, Print(other=float("nan"))) != step_key(step, {}, Print(other=float("nan")))
    assert step_key(step, {}, Print(other=("a", 1))) == step_key(step, {}, Print(other=("a", 1)))


def test_a_node_with_a_nan_fingerprint_runs_every_time(loom: Loom) -> None:
    prompt = {"1": n("Clock"), "2": n("Show", value=("1", 0))}
    loom.run(prompt)
    assert loom.run(prompt).ran == ("1", "2")


def test_a_file_counts_by_its_content_not_by_its_name(loom: Loom, tmp_path: Path) -> None:
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / "a.txt").write_text("one")
    (tmp_path / "input" / "b.txt").write_text("one")

    def prompt(name: str) -> dict[str, Any]:
        return {"1": n("Read", file=name), "2": n("Show", value=("1", 0))}

    assert loom.shown(prompt("a.txt")) == {"2": "one"}
    assert loom.run(prompt("b.txt")).ran == ()
    (tmp_path / "input" / "b.txt").write_text("two")
    assert loom.shown(prompt("b.txt")) == {"2": "two"}


def test_a_large_file_is_told_apart_by_a_few_blocks_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.truncate(2**33)
    read: list[int] = []

    class Counted(io.FileIO):
        def read(self, size: int | None = -1, /) -> bytes:  # type: ignore[override]
            data = super().read(-1 if size is None else size)
            read.append(len(data))
            return data

    monkeypatch.setattr("builtins.open", lambda file, mode: Counted(file, mode.replace("b", "")))
    before = file_print(path)
    assert 0 < sum(read) <= 2**20
    monkeypatch.undo()
    with path.open("r+b") as file:
        file.write(b"x")
    os.utime(path, ns=(1, 1))
    assert file_print(path) != before


def test_a_fingerprint_that_fails_means_run_every_time(tmp_path: Path) -> None:
    def broken(inputs: Any, run: Any) -> Any:
        raise OSError("gone")

    step = Step("1", replace(SPECS["Same"], fingerprint=broken), {}, {}, "", "1")
    other = print_of(step, Job()).other
    assert other != other


def test_keys_are_linear_in_the_graph() -> None:
    def work(length: int) -> int:
        graph = build(parse(chain(length)), SPECS, Folders())
        return calls(lambda: keys(graph.steps.values(), {}))

    work(10)
    assert work(8_000) < 8.2 * work(1_000)
