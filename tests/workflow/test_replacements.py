"""A prompt for a node type that has a successor is read as one for the successor."""

from typing import Any

from engine.workflow.replacements import replace_nodes

OLD: dict[str, Any] = {
    "1": {"class_type": "OldSampler", "inputs": {"model": ["9", 0], "steps": 20, "gone": 1}, "_meta": {"title": "S"}},
    "2": {"class_type": "Save", "inputs": {"images": ["1", 0], "mask": ["1", 1], "text": ["not", "a link"]}},
}
RULES: dict[str, list[Any]] = {
    "OldSampler": [
        {"new_node_id": "NotInstalled"},
        {
            "new_node_id": "NewSampler",
            "input_mapping": [
                {"new_id": "model", "old_id": "model"}, {"new_id": "count", "old_id": "steps"},
                {"new_id": "kind", "set_value": "normal"},
                {"new_id": "x", "old_id": "absent"},
            ],
            "output_mapping": [{"old_idx": 0, "new_idx": 1}, {"old_idx": 1, "new_idx": 0}],
        },
    ]
}  # fmt: skip


def test_inputs_and_outputs_move() -> None:
    assert replace_nodes(OLD, RULES, {"NewSampler", "Save"}) == {
        "1": {
            "class_type": "NewSampler", "inputs": {"model": ["9", 0], "count": 20, "kind": "normal"}, "_meta": {"title": "S"},
        },
        "2": {"class_type": "Save", "inputs": {"images": ["1", 1], "mask": ["1", 0], "text": ["not", "a link"]}},
    }  # fmt: skip


def test_a_renamed_type_keeps_everything() -> None:
    rules: dict[str, list[Any]] = {"OldSampler": [{"new_node_id": "NewSampler", "input_mapping": None, "output_mapping": None}]}
    assert replace_nodes(OLD, rules, {"NewSampler"})["1"]["inputs"] == OLD["1"]["inputs"]


def test_a_known_type_and_one_without_successor_stay() -> None:
    assert replace_nodes(OLD, RULES, {"OldSampler", "NewSampler"}) is OLD
    assert replace_nodes(OLD, RULES, {"Save"}) is OLD
    assert replace_nodes({"1": 5, "2": {"class_type": []}}, RULES, set()) == {"1": 5, "2": {"class_type": []}}
