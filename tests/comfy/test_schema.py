"""ComfyUI's V3 node contract, on the pack in ``packs/schema``."""

from __future__ import annotations

import sys
import wave
from typing import Any

import pytest
from PIL import Image

from engine.folders import Folders
from engine.problems import GraphError
from engine.registry import Registry
from engine.workflow.definitions import describe

from ..engine.toys import Loom


def n(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": f"Schema {kind}", "inputs": inputs}


def result(loom: Loom, **nodes: dict[str, Any]) -> Any:
    return loom.run({**nodes, "shown": n("Show", value=["x", 0])}).ui["shown"]["text"][0]


def test_what_clients_see_of_a_schema(registry: Registry) -> None:
    info = describe(registry.specs["Schema Join"], Folders())
    assert info["display_name"] == "Join Numbers"
    assert info["input"]["required"]["a"] == ["INT", {"default": 1, "min": 0, "max": 10, "display": "slider"}]
    assert info["input"]["optional"]["b"] == ["FLOAT", {"tooltip": "more", "default": 2.0}]
    assert info["input"]["required"]["mode"][0] == ["plus", "times"]
    assert info["output_name"] == ["result"]
    assert info["search_aliases"] == ["sum"]
    assert describe(registry.specs["Schema Show"], Folders())["input"]["optional"]["thing"][0] == "THING"


def test_values_defaults_and_hidden(loom: Loom) -> None:
    assert result(loom, x=n("Join", a=2, b=5, mode="times")) == "10.0"
    assert result(loom, x=n("Join", a=2, mode="plus")) == "5.0"
    assert sys.modules["custom_nodes.schema"].CALLS[-1] == ("x", 2, 3.0)


def test_growing_and_choosing_inputs_are_dicts(loom: Loom) -> None:
    numbers = {f"numbers.n{i}": i for i in range(1, 12)}
    assert result(loom, x=n("Grown", **{"numbers.n0": 0}, **numbers, how="sum")) == "66"
    scaled = {"numbers.n0": 1, "numbers.n1": 2, "how": "scaled", "how.by": 5}
    assert result(loom, x=n("Grown", **scaled)) == "15"
    with pytest.raises(GraphError, match=r"numbers\.n1"):
        result(loom, x=n("Grown", **{"numbers.n0": 0}, how="sum"))


def test_editors_are_told_of_a_list_that_grows_as_one_input(registry: Registry) -> None:
    told = describe(registry.specs["Schema Grown"], Folders())["input"]["required"]
    assert list(told) == ["numbers", "how"]
    kind, options = told["numbers"]
    number = ["INT", {}]
    assert kind == "COMFY_AUTOGROW_V3"
    assert options["template"] == {"input": {"required": {"n": number}, "optional": {}}, "prefix": "n", "min": 2, "max": 50}
    kind, options = told["how"]
    assert kind == "COMFY_DYNAMICCOMBO_V3"
    assert [option["key"] for option in options["options"]] == ["sum", "scaled"]
    assert options["options"][1]["inputs"]["required"] == {"by": ["INT", {"default": 2}]}


def test_validation_fingerprints_lazy_and_async(loom: Loom) -> None:
    with pytest.raises(GraphError, match="3 is odd"):
        result(loom, x=n("Picky", n=3))
    assert result(loom, g=n("Grown", **{"numbers.n0": 1, "numbers.n1": 2}, how="sum"), x=n("Picky", n=2, a=["g", 0])) == "5"
    assert {event.node for event in loom.kinds("progress")} == {"x"}


def test_expansion_and_blocking(loom: Loom) -> None:
    assert result(loom, x=n("Expand", n=4)) == "4.0"
    results = loom.run({"x": n("Expand", n=4, stop=True), "shown": n("Show", value=["x", 0])})
    assert results.ui == {}
    assert [event.message for event in loom.kinds("step_blocked")] == ["enough"]


@pytest.mark.parametrize(
    ("what", "name", "kind", "endings"),
    [
        ("picture", "images", "temp", [".png"] * 3), ("mask", "images", "temp", [".png"] * 3),
        ("sound", "audio", "temp", [".wav"]), ("saved", "images", "output", [".png"] * 3), ("png", "images", "output", [".png"]),
        ("webp", "images", "output", [".webp"]), ("wav", "audio", "output", [".wav"]),
    ],
)  # fmt: skip
def test_what_helpers_show_is_there(loom: Loom, what: str, name: str, kind: str, endings: list[str]) -> None:
    shown = loom.run({"x": n("Shows", what=what)}).ui["x"]
    files = [loom.folders.work(item["type"]) / item["subfolder"] / item["filename"] for item in shown[name]]
    assert [item["type"] for item in shown[name]] == [kind] * len(endings)
    assert [path.suffix for path in files] == endings
    for path in files:
        if path.suffix == ".wav":
            with wave.open(str(path)) as sound:
                assert (sound.getnchannels(), sound.getframerate(), sound.getnframes()) == (2, 8000, 576)
        else:
            with Image.open(path) as picture:
                assert picture.size == (16, 8)
                assert getattr(picture, "n_frames", 1) == (3 if len(files) == 1 else 1)
    if what in ("png", "webp"):
        assert list(shown["animated"]) == [True]


@pytest.mark.parametrize(
    ("what", "shown"),
    [("text", {"text": ["hello"]}), ("dict", {"text": ["plain"]}), ("model", {"result": ["a.glb", None, None]})],
)
def test_what_else_helpers_show(loom: Loom, what: str, shown: dict[str, Any]) -> None:
    assert loom.run({"x": n("Shows", what=what)}).ui["x"] == shown


def test_what_a_schema_says_of_itself_reaches_clients(registry: Registry) -> None:
    info = describe(registry.specs["Schema Shows"], Folders())
    said = {"essentials_category": "Basics", **dict.fromkeys(
        ["has_intermediate_output", "deprecated", "experimental", "api_node", "dev_only", "output_node"], True
    )}  # fmt: skip
    assert {name: info[name] for name in said} == said
    assert registry.specs["Schema Shows"].keyed_by_id
    assert "loaded" in sys.modules["custom_nodes.schema"].LOADED


def test_a_schema_may_take_any_input(loom: Loom) -> None:
    assert result(loom, j=n("Join", a=1, b=1.0, mode="plus"), x=n("Takes", one=1, two=["j", 0])) == "one=1, two=2.0"


def test_prices_and_loop_boundaries_are_data_and_caches_of_packs_are_not_asked(loom: Loom) -> None:
    assert result(loom, x=n("Priced", n=1)) == "2"
