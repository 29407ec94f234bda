"""The editor's format read as its own Run button reads it; each test draws the graph in its first line."""

import copy
from typing import Any

import pytest

from engine.workflow.document import WorkflowError
from engine.workflow.reading import missing_types, to_prompt
from engine.workflow.values import named_values
from tests.workflow.definitions import DEFS, node, subgraph, workflow


def inputs_of(data: Any) -> dict[str, Any]:
    before = copy.deepcopy(data)
    found = {key: entry["inputs"] for key, entry in to_prompt(data, DEFS).items()}
    assert data == before, "reading changed the workflow"
    return found


def sampler(id: Any = 3, **links: Any) -> dict[str, Any]:
    names = {"model": "MODEL", "positive": "CONDITIONING", "latent": "LATENT"}
    slots = [(name, kind, links.get(name)) for name, kind in names.items()]
    return node(id, "Sampler", [7, "randomize", 20, 6.5, "heun", 0.5], slots)


def test_links_and_widgets() -> None:
    """loader -> sampler"""
    flow = workflow([node(1, "Loader", ["b.safetensors"], title="My model"), sampler(model=10)], [[10, 1, 0, 3, 0, "MODEL"]])
    prompt = to_prompt(flow, DEFS)
    assert prompt == {
        "1": {"inputs": {"name": "b.safetensors"}, "class_type": "Loader", "_meta": {"title": "My model"}},
        "3": {
            "inputs": {"seed": 7, "steps": 20, "cfg": 6.5, "sampler_name": "heun", "denoise": 0.5, "model": ["1", 0]},
            "class_type": "Sampler", "_meta": {"title": "Sampler"},
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([7, "fixed", 20, 6.5, "heun", 0.5], {"seed": 7, "steps": 20, "cfg": 6.5, "sampler_name": "heun", "denoise": 0.5}),
        ([7, 20, 6.5, "heun", 0.5], {"seed": 7, "steps": 20, "cfg": 6.5, "sampler_name": "heun", "denoise": 0.5}),
        ([7, "fixed", 20, 6.5, "heun"], {"seed": 7, "steps": 20, "cfg": 6.5, "sampler_name": "heun"}),
        (
            [7, "fixed", 20, 6, "heun", 0.5, "extra", None],
            {"seed": 7, "steps": 20, "cfg": 6, "sampler_name": "heun", "denoise": 0.5},
        ),
        ({"seed": 7, "steps": 3, "preview": {}}, {"seed": 7, "steps": 3}),
        (None, {}),
    ],
)
def test_values_get_their_names(values: Any, wanted: dict[str, Any]) -> None:
    assert named_values(DEFS["Sampler"], values) == wanted


def test_an_upload_takes_a_place() -> None:
    assert named_values(DEFS["LoadImage"], ["a.png", "image"]) == {"image": "a.png"}
    assert named_values(DEFS["LoadImage"], ["a.png"]) == {"image": "a.png"}


def test_a_dynamic_combo_brings_its_widgets() -> None:
    assert named_values(DEFS["Resize"], ["scale", 2.0, True]) == {"kind": "scale", "kind.multiplier": 2.0, "crop": True}
    assert named_values(DEFS["Resize"], ["size", 64, 32, False]) == {
        "kind": "size", "kind.width": 64, "kind.height": 32, "crop": False,
    }  # fmt: skip


def test_a_list_that_is_a_value_is_marked() -> None:
    flow = workflow([node(1, "Text", [["1", 0]])], [])
    assert inputs_of(flow)["1"]["text"] == {"__value__": ["1", 0]}


def test_a_linked_widget_keeps_its_place() -> None:
    """latent.width <- number"""
    flow = workflow(
        [node(1, "Any", [], outputs=["INT"]), node(2, "Latent", [512, 256], [("width", "INT", 5, "width")])],
        [[5, 1, 0, 2, 0, "INT"]],
    )
    assert inputs_of(flow)["2"] == {"width": ["1", 0], "height": 256}


def test_reroutes_primitives_and_notes_vanish() -> None:
    """loader -> reroute -> reroute -> sampler; primitive -> sampler.steps"""
    flow = workflow(
        [
            node(1, "Loader", ["a.safetensors"]), node(2, "Reroute", None, [("", "*", 10)]),
            node(4, "Reroute", None, [("", "*", 11)]),
            node(5, "PrimitiveNode", [33, "fixed"]), node(6, "Note", ["hello"]), node(7, "MarkdownNote", ["# hello"]),
            node(3, "Sampler", [7, "randomize", 20, 6.5, "heun", 0.5], [("model", "MODEL", 12), ("steps", "INT", 13, "steps")]),
        ],
        [[10, 1, 0, 2, 0, "*"], [11, 2, 0, 4, 0, "*"], [12, 4, 0, 3, 0, "MODEL"], [13, 5, 0, 3, 1, "INT"]],
    )  # fmt: skip
    found = inputs_of(flow)
    assert set(found) == {"1", "3"}
    assert found["3"]["model"] == ["1", 0]
    assert found["3"]["steps"] == 33


def test_a_ring_of_reroutes_ends() -> None:
    flow = workflow(
        [node(1, "Reroute", None, [("", "*", 2)]), node(2, "Reroute", None, [("", "*", 1)]), sampler(model=3)],
        [[1, 1, 0, 2, 0, "*"], [2, 2, 0, 1, 0, "*"], [3, 2, 0, 3, 0, "MODEL"]],
    )
    assert "model" not in inputs_of(flow)["3"]


def test_native_reroutes_are_only_drawing() -> None:
    flow = workflow(
        [node(1, "Loader", ["a.safetensors"]), sampler(model=10)], [[10, 1, 0, 3, 0, "MODEL"]],
        extra={"reroutes": [{"id": 1, "pos": [0, 0], "linkIds": [10]}], "linkExtensions": [{"id": 10, "parentId": 1}]},
    )  # fmt: skip
    assert inputs_of(flow)["3"]["model"] == ["1", 0]


def bypassable(mode: int, **more: Any) -> dict[str, Any]:
    """loader -> lora -> sampler, text"""
    return workflow(
        [
            node(1, "Loader", ["a.safetensors"]),
            node(2, "Lora", [0.8], [("model", "MODEL", 10), ("clip", "CLIP", 11)], mode=mode, **more),
            sampler(model=12), node(4, "Text", ["x"], [("clip", "CLIP", 13)]),
        ],
        [[10, 1, 0, 2, 0, "MODEL"], [11, 1, 1, 2, 1, "CLIP"], [12, 2, 0, 3, 0, "MODEL"], [13, 2, 1, 4, 0, "CLIP"]],
    )  # fmt: skip


def test_a_bypassed_node_passes_on_what_fits() -> None:
    found = inputs_of(bypassable(4))
    assert set(found) == {"1", "3", "4"}
    assert found["3"]["model"] == ["1", 0]
    assert found["4"]["clip"] == ["1", 1]


def test_a_muted_node_cuts_its_links() -> None:
    found = inputs_of(bypassable(2))
    assert set(found) == {"1", "3", "4"}
    assert "model" not in found["3"]
    assert "clip" not in found["4"]


def test_a_bypassed_node_without_a_fitting_input_drops_the_link() -> None:
    """loader -> text(bypassed) -> sampler.positive"""
    flow = workflow(
        [node(1, "Loader", ["a.safetensors"]), node(2, "Text", ["x"], [("clip", "CLIP", 1)], mode=4), sampler(positive=2)],
        [[1, 1, 1, 2, 0, "CLIP"], [2, 2, 0, 3, 1, "CONDITIONING"]],
    )
    assert "positive" not in inputs_of(flow)["3"]


def test_set_and_get_nodes() -> None:
    """loader -> set "m"; get "m" -> sampler"""
    flow = workflow(
        [node(1, "Loader", ["a.safetensors"]), node(2, "SetNode", ["m"], [("MODEL", "MODEL", 1)]), node(4, "GetNode", ["m"]),
         sampler(model=2)],
        [[1, 1, 0, 2, 0, "MODEL"], [2, 4, 0, 3, 0, "MODEL"]],
    )  # fmt: skip
    assert inputs_of(flow)["3"]["model"] == ["1", 0]


INNER = subgraph(
    "inner",
    [node(1, "Text", ["old"], [("clip", "CLIP", 1), ("text", "STRING", 2, "text")])],
    [[1, -10, 0, 1, 0, "CLIP"], [2, -10, 1, 1, 1, "STRING"], [3, 1, 0, -20, 0, "CONDITIONING"]],
    [("clip", "CLIP", [1]), ("text", "STRING", [2])], [("COND", "CONDITIONING", [3])],
)  # fmt: skip


def nested(host_values: Any = None, text_link: Any = None, mode: int = 0, **more: Any) -> dict[str, Any]:
    """loader -> outer[ inner[ text ] ] -> sampler"""
    outer = subgraph(
        "outer",
        [node(5, "inner", host_values, [("clip", "CLIP", 1), ("text", "STRING", text_link, "text")], outputs=["CONDITIONING"]),
         node(6, "PrimitiveNode", ["from a primitive"])],
        [[1, -10, 0, 5, 0, "CLIP"], [2, 5, 0, -20, 0, "CONDITIONING"], [3, 6, 0, 5, 1, "STRING"]],
        [("clip", "CLIP", [1])], [("COND", "CONDITIONING", [2])], definitions={"subgraphs": [INNER]},
    )  # fmt: skip
    return workflow(
        [node(1, "Loader", ["a.safetensors"]),
         node(9, "outer", None, [("clip", "CLIP", 20)], outputs=["CONDITIONING"], mode=mode, **more), sampler(positive=21)],
        [[20, 1, 1, 9, 0, "CLIP"], [21, 9, 0, 3, 1, "CONDITIONING"]], definitions={"subgraphs": [outer]},
    )  # fmt: skip


def test_subgraphs_open_to_any_depth() -> None:
    found = inputs_of(nested())
    assert set(found) == {"1", "9:5:1", "3"}
    assert found["9:5:1"] == {"text": "old", "clip": ["1", 1]}
    assert found["3"]["positive"] == ["9:5:1", 0]


def test_a_promoted_widget_gives_its_value() -> None:
    assert inputs_of(nested(["new"]))["9:5:1"]["text"] == "new"
    assert inputs_of(nested(["new"], text_link=3))["9:5:1"]["text"] == "from a primitive"


def test_proxy_widgets_reach_inner_nodes() -> None:
    flow = nested()
    flow["nodes"][1]["properties"] = {"proxyWidgets": [["5", "text"]]}
    flow["nodes"][1]["widgets_values"] = ["by proxy"]
    host = flow["definitions"]["subgraphs"][0]["nodes"][0]
    host["widgets_values"] = ["by host"]
    assert inputs_of(flow)["9:5:1"]["text"] == "by host"


def test_two_instances_have_values_of_their_own() -> None:
    flow = workflow(
        [node(n, "inner", [f"text {n}"], [("clip", "CLIP", None), ("text", "STRING", None, "text")]) for n in (1, 2)], [],
        definitions={"subgraphs": [INNER]},
    )  # fmt: skip
    found = inputs_of(flow)
    assert found["1:1"]["text"] == "text 1"
    assert found["2:1"]["text"] == "text 2"


def test_a_bypassed_or_muted_subgraph() -> None:
    for mode in (2, 4):
        found = inputs_of(nested(mode=mode))
        assert set(found) == {"1", "3"}
        assert "positive" not in found["3"]


def test_a_subgraph_inside_itself_is_refused() -> None:
    loop = subgraph("loop", [node(1, "loop")], [], [], [])
    with pytest.raises(WorkflowError, match="contains itself"):
        to_prompt(workflow([node(1, "loop")], [], definitions={"subgraphs": [loop]}), DEFS)


def test_legacy_group_nodes() -> None:
    """group[ text -> sampler ] with the sampler's seed and the text shown outside"""
    group = {
        "nodes": [
            {"type": "Text", "inputs": [{"name": "clip", "type": "CLIP"}], "outputs": [{"name": "C", "type": "CONDITIONING"}],
             "widgets_values": ["inside"]},
            {"type": "Sampler", "inputs": [{"name": "model", "type": "MODEL"}, {"name": "positive", "type": "CONDITIONING"},
                                           {"name": "latent", "type": "LATENT"}],
             "outputs": [{"name": "L", "type": "LATENT"}], "widgets_values": [1, "fixed", 2, 3.0, "euler", 1.0]},
        ],
        "links": [[0, 0, 1, 1, "CONDITIONING"]],
    }  # fmt: skip
    flow = workflow(
        [
            node(1, "Loader", ["a.safetensors"]),
            node(8, "workflow>both", ["shown", 5, "randomize", 6, 7.0, "heun", 0.5],
                 [("clip", "CLIP", 1), ("Sampler model", "MODEL", 2), ("latent", "LATENT", None)], outputs=["LATENT"]),
            node(9, "Save", ["x"], [("images", "LATENT", 3)]),
        ],
        [[1, 1, 1, 8, 0, "CLIP"], [2, 1, 0, 8, 1, "MODEL"], [3, 8, 0, 9, 0, "LATENT"]], extra={"groupNodes": {"both": group}},
    )  # fmt: skip
    found = inputs_of(flow)
    assert found["8:0"] == {"text": "shown", "clip": ["1", 1]}
    assert found["8:1"] == {
        "seed": 5, "steps": 6, "cfg": 7.0, "sampler_name": "heun", "denoise": 0.5, "model": ["1", 0], "positive": ["8:0", 0],
    }  # fmt: skip
    assert found["9"]["images"] == ["8:1", 0]


def test_version_1_links_and_object_positions() -> None:
    flow = bypassable(0) | {"version": 1, "state": {"lastNodeId": 4}}
    names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    flow["links"] = [dict(zip(names, link, strict=True)) for link in flow["links"]]
    flow["nodes"][0]["pos"] = {"0": 1, "1": 2}
    assert inputs_of(flow) == inputs_of(bypassable(0))


def test_unknown_types_are_named_with_their_pack() -> None:
    flow = workflow(
        [node(1, "Fancy", [1], properties={"cnr_id": "fancy-pack"}), node(2, "Odd", [], properties={"aux_id": "someone/odd"}),
         node(3, "Fancy")], [],
    )  # fmt: skip
    found = {entry.type: (entry.nodes, entry.pack) for entry in missing_types(flow, DEFS)}
    assert found == {"Fancy": (("1", "3"), "fancy-pack"), "Odd": (("2",), "someone/odd")}
    assert to_prompt(flow, DEFS)["1"]["class_type"] == "Fancy"


def test_links_of_everywhere_nodes() -> None:
    flow = workflow(
        [node(1, "Loader", ["a.safetensors"]), sampler()], [],
        extra={"ue_links": [{"downstream": 3, "downstream_slot": 0, "upstream": "1", "upstream_slot": 0, "type": "MODEL"}, {}]},
    )  # fmt: skip
    assert inputs_of(flow)["3"]["model"] == ["1", 0]


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"nodes": 3},
        {"nodes": [1]},
        {"nodes": [{"id": 1}]},
        {"nodes": [{"type": "A"}]},
        {"nodes": [{"id": 1, "type": []}]},
    ],
)
def test_what_is_no_workflow_is_refused(data: Any) -> None:
    with pytest.raises(WorkflowError):
        to_prompt(data, DEFS)


@pytest.mark.parametrize("junk", [None, 5, "x", [1], {"a": 1}, [[]], [None], [["a", "b", "c", "d", "e", "f"]]])
def test_junk_in_a_workflow_does_no_harm(junk: Any) -> None:
    for key in ("links", "extra", "definitions", "groups", "version"):
        to_prompt(workflow([sampler(model=1)], []) | {key: junk}, DEFS)
    for key in ("inputs", "outputs", "widgets_values", "properties", "mode", "title", "order"):
        to_prompt(workflow([sampler(model=1) | {key: junk}], [[1, 3, 0, 3, 0, "MODEL"]]), DEFS)


def test_a_long_chain_needs_no_recursion() -> None:
    nodes: list[Any] = [node(0, "Loader", ["a.safetensors"])]
    nodes += [node(n, "Reroute", None, [("", "*", n)]) for n in range(1, 5000)]
    flow = workflow(
        [*nodes, sampler("end", model=5000)],
        [[n, n - 1, 0, n, 0, "*"] for n in range(1, 5000)] + [[5000, 4999, 0, "end", 0, "M"]],
    )
    assert inputs_of(flow)["end"]["model"] == ["0", 0]
