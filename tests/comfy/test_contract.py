"""ComfyUI's V1 node contract, one law a test, on the pack in ``packs/contract``."""

from __future__ import annotations

import builtins
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from engine.comfy.host import host
from engine.folders import Folders
from engine.problems import GraphError
from engine.registry import Registry
from engine.workflow.definitions import describe

from ..engine.toys import Loom


def n(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": f"Contract {kind}", "inputs": inputs}


def result(loom: Loom, **nodes: dict[str, Any]) -> Any:
    """What the node called ``x`` gives."""
    ui = loom.run({**nodes, "shown": n("Shown", value=["x", 0])}).ui
    values = ui["shown"]["value"]
    return values[0] if len(values) == 1 else values


def test_a_class_that_is_no_node_is_reported_and_the_others_load(registry: Registry) -> None:
    assert [failure.module for failure in registry.failures] == ["custom_nodes.contract.Contract NoNode"]
    assert "INPUT_TYPES" in registry.failures[0].message
    assert sum(name.startswith("Contract") for name in registry.specs) == 26


def test_prestartup_and_web_folder(registry: Registry) -> None:
    assert builtins.contract_prestarted  # type: ignore[attr-defined]
    assert host().web_folders["contract"].name == "web"


def test_what_clients_see_of_a_class(registry: Registry) -> None:
    info = describe(registry.specs["Contract Sum"], Folders())
    assert info["display_name"] == "Sum of Two"
    assert info["input"]["required"]["a"] == ["INT", {}]
    assert info["python_module"] == "custom_nodes.contract"
    info = describe(registry.specs["Contract Combo"], Folders())
    assert info["input"]["required"]["file"][0] == ["a.txt", "b.txt"]
    assert info["output"] == ["STRING", ["x", "y"]]
    assert info["output_tooltips"] == ["which file", ""]
    info = describe(registry.specs["Contract Counter"], Folders())
    assert info["input"]["hidden"] == {"me": "UNIQUE_ID"}
    assert describe(registry.specs["Contract Shown"], Folders())["output_node"] is True


def test_every_attribute_and_every_option_reach_clients(registry: Registry, pack: ModuleType) -> None:
    info = describe(registry.specs["Contract Everything"], Folders())
    declared = pack.Everything.INPUT_TYPES()
    for group in ("required", "optional"):
        for name, (kind, options) in declared[group].items():
            shown, given = info["input"][group][name]
            assert shown == (options["options"] if kind == "COMBO" else kind), name
            assert options.items() <= given.items(), name
    assert info["input"]["hidden"] == declared["hidden"]
    assert info["input_order"]["required"] == list(declared["required"])
    expected = {
        "output": ["INT", "STRING"], "output_name": ["one", "two"], "output_is_list": [False, True],
        "output_tooltips": ["the first", ""], "output_node": False, "category": "contract/all", "description": "All of it.",
        "deprecated": True, "experimental": True, "api_node": True, "dev_only": True, "search_aliases": ["whole"],
        "essentials_category": "Basics", "has_intermediate_output": True, "is_input_list": False,
    }  # fmt: skip
    assert {name: info[name] for name in expected} == expected


def test_values_of_every_kind_arrive(loom: Loom) -> None:
    given = {"number": 3, "share": 0.25, "text": "t", "truth": False, "choice": "a", "many": ["a", "b"], "remote": "z"}
    nodes = {"x": n("Everything", **given, either=2.5, linked=["text", 0]), "text": n("Bare", text="aa")}
    shown = loom.run({**nodes, "shown": n("Shown", value=["x", 1])}).ui["shown"]["value"]
    assert shown == [0.25, "t", False, "a", ["a", "b"], "z", 2.5, "bb", None, None, None, None]


def test_nodes_alike_share_a_call_unless_they_are_not_idempotent(loom: Loom, pack: ModuleType) -> None:
    for kind, calls in (("Once", 1), ("Twice", 2)):
        pack.CALLS.clear()
        nodes = {"a": n(kind, value=1), "b": n(kind, value=1), "x": n("Sum", a=["a", 0], b=["b", 0])}
        assert result(loom, **nodes) == 2
        assert [call[0] for call in pack.CALLS].count(kind) == calls


def test_whatever_may_be_async_may(loom: Loom, pack: ModuleType) -> None:
    nodes = {"v": n("Value", value=4), "x": n("Async", value=["v", 0])}
    for stamp, ran in ((1, 1), (1, 1), (2, 2)):
        pack.Async.stamp = stamp
        assert result(loom, **nodes) == 4
        assert [call[0] for call in pack.CALLS].count("Async") == ran
    pack.CALLS.clear()
    assert result(loom, v=n("Value", value=5), x=n("Async", value=["v", 0], use=False)) == -1
    assert ("Value", 5) not in pack.CALLS


def test_a_fingerprint_that_raises_means_run_again(loom: Loom, pack: ModuleType) -> None:
    result(loom, x=n("Raises"))
    result(loom, x=n("Raises"))
    assert [call[0] for call in pack.CALLS] == ["Raises", "Raises"]


def test_choices_are_asked_again_each_time(registry: Registry, pack: ModuleType) -> None:
    pack.Combo.files.append("c.txt")
    try:
        assert describe(registry.specs["Contract Combo"], Folders())["input"]["required"]["file"][0][-1] == "c.txt"
    finally:
        pack.Combo.files.pop()


def test_values_flow_through_any(loom: Loom) -> None:
    assert result(loom, a=n("Value", value=3), b=n("Value", value=4), x=n("Sum", a=["a", 0], b=["b", 0])) == 7


def test_limits_are_checked(loom: Loom) -> None:
    with pytest.raises(GraphError, match="at most 1000"):
        result(loom, x=n("Value", value=1001))


def test_a_result_that_is_no_tuple_is_one_value(loom: Loom) -> None:
    assert result(loom, x=n("Bare", text="abc")) == "bbc"


def test_the_instance_of_a_node_keeps_its_state_and_nan_reruns(loom: Loom) -> None:
    nodes = {"x": n("Counter"), "y": n("Counter"), "other": n("Shown", value=["y", 0])}
    assert result(loom, **nodes) == 1
    assert result(loom, **nodes) == 2
    assert loom.run({**nodes, "shown": n("Shown", value=["x", 0])}).ui["other"]["value"] == [3]


def test_a_fingerprint_decides_on_a_rerun(loom: Loom, pack: ModuleType) -> None:
    for expected in (1, 1):
        result(loom, x=n("Fingerprinted", value=1))
        assert len(pack.CALLS) == expected
    pack.Fingerprinted.stamp += 1
    result(loom, x=n("Fingerprinted", value=1))
    assert len(pack.CALLS) == 2
    assert pack.CALLS[-1] == ("Fingerprinted", 1, 0)


def test_validation_of_its_own_replaces_limits_of_the_inputs_it_names(loom: Loom) -> None:
    assert result(loom, x=n("Validated", low=10, high=20)) == 10
    with pytest.raises(GraphError, match="low is above high"):
        result(loom, x=n("Validated", low=3, high=2))
    assert result(loom, v=n("Value", value=90), x=n("Validated", low=["v", 0], high=95)) == 5


def test_validation_may_ask_for_types_and_be_async(loom: Loom) -> None:
    assert result(loom, v=n("Value", value=2), x=n("ChecksTypes", value=["v", 0])) == 2
    with pytest.raises(GraphError, match="cannot take STRING"):
        result(loom, v=n("Bare"), x=n("ChecksTypes", value=["v", 0]))
    assert result(loom, x=n("TakesKwargs", value=50)) == 50


def test_links_nobody_declared_reach_a_function_with_kwargs_and_literals_do_not(loom: Loom) -> None:
    assert result(loom, v=n("Value", value=2), x=n("TakesKwargs", value=1, more=["v", 0], stale=100)) == 3


def test_a_dict_that_contains_any_name_takes_any_input(loom: Loom) -> None:
    assert result(loom, v=n("Value", value=2), x=n("Gathered", b=["v", 0], a="text")) == "a=text, b=2"


def test_lists_are_mapped_and_taken_whole(loom: Loom) -> None:
    assert result(loom, s=n("Spread", count=3), x=n("Sum", a=["s", 0], b=10)) == [10, 11, 12]
    assert result(loom, s=n("Spread", count=3), x=n("Whole", values=["s", 0], scale=2)) == "[0, 1, 2] [2] ['x']"
    assert result(loom, s=n("Spread", count=2), t=n("Spread", count=3), x=n("Sum", a=["s", 0], b=["t", 0])) == [0, 2, 3]


@pytest.mark.parametrize(("share", "ran"), [(0.0, {5}), (1.0, {7}), (0.5, {5, 7})])
def test_lazy_inputs_are_computed_when_they_are_asked_for(loom: Loom, pack: ModuleType, share: float, ran: set[int]) -> None:
    value = result(loom, a=n("Value", value=5), b=n("Value", value=7), x=n("LazyMix", a=["a", 0], b=["b", 0], share=share))
    assert value == 5 * (1 - share) + 7 * share
    assert {call[1] for call in pack.CALLS} == ran


@pytest.mark.parametrize(("why", "told"), [("", []), ("not today", ["not today"])])
def test_a_blocker_stops_what_is_behind_it(loom: Loom, why: str, told: list[str]) -> None:
    nodes = {"x": n("Stopped", value=3, stop=True, why=why), "shown": n("Shown", value=["x", 0])}
    results = loom.run({**nodes, "free": n("Shown", value=1)})
    assert results.ui.get("shown") is None
    assert results.ui["free"]["value"] == [1]
    assert [event.message for event in loom.kinds("step_blocked")] == told


def test_a_node_becomes_others(loom: Loom, pack: ModuleType) -> None:
    assert result(loom, x=n("Expanded", times=3, start=4)) == 7
    assert [call for call in pack.CALLS if call[0] == "Sum"] == [("Sum", 4, 1), ("Sum", 5, 1), ("Sum", 6, 1)]
    pack.CALLS.clear()
    assert result(loom, x=n("Expanded", times=5, start=4)) == 9
    assert [call[1] for call in pack.CALLS if call[0] == "Sum"] == [7, 8]


@pytest.mark.parametrize(("limit", "expected"), [(0, 1), (3, 3), (8, 8)])
def test_a_loop_of_the_packs_own_runs_as_often_as_it_says(loom: Loom, limit: int, expected: int) -> None:
    nodes = {
        "open": n("LoopOpen", condition=True, value=0),
        "add": n("Sum", a=["open", 1], b=1),
        "below": n("Below", a=["add", 0], b=limit),
        "x": n("LoopClose", flow=["open", 0], condition=["below", 0], value=["add", 0]),
    }
    assert result(loom, **nodes) == expected


def test_async_nodes_overlap_and_tell_their_progress(loom: Loom) -> None:
    nodes = {str(i): n("Slow", value=i) for i in range(5)}
    shown = {f"s{i}": n("Shown", value=[str(i), 0]) for i in range(5)}
    results = loom.run({**nodes, **shown})
    assert [results.ui[f"s{i}"]["value"] for i in range(5)] == [[i] for i in range(5)]
    assert {event.node for event in loom.kinds("progress")} == set(nodes)
    assert loom.kinds("finished")[0].seconds < 0.4


def test_hidden_inputs(loom: Loom) -> None:
    assert result(loom, x=n("Hidden")) == "['shown', 'x'] None x"


def test_a_missing_module_is_an_error_that_names_pack_and_page(registry: Registry, tmp_path: Path) -> None:
    from engine.registry import load

    (tmp_path / "wishes.py").write_text("from comfy.ldm.nowhere import thing\nNODE_CLASS_MAPPINGS = {}\n")
    (tmp_path / "hopes.py").write_text("from comfy.utils import no_such_thing\nNODE_CLASS_MAPPINGS = {}\n")
    (tmp_path / "guards.py").write_text(
        "import comfy.utils\ntry:\n    import comfy.ldm.nowhere\nexcept ImportError:\n    pass\n"
        "assert not hasattr(comfy.utils, 'no_such_thing')\nNODE_CLASS_MAPPINGS = {}\n"
    )
    found = load(package="tests.comfy.no_nodes", packs=[tmp_path])
    told = {failure.module.split(".")[-1]: failure.message for failure in found.failures}
    assert told.keys() == {"wishes", "hopes"}
    assert "Pack wishes imports comfy.ldm" in told["wishes"]
    assert "Pack hopes uses comfy.utils.no_such_thing" in told["hopes"]
    assert all("docs/packs.md" in message for message in told.values())
