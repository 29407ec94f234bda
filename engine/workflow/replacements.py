"""Node types that took the place of others: prompts written for the old ones are read as if for the new."""

from collections.abc import Container, Mapping, Sequence
from typing import Any

Prompt = Mapping[str, Any]


def replace_nodes(prompt: Prompt, replacements: Mapping[str, Sequence[Mapping[str, Any]]], known: Container[str]) -> Prompt:
    """The prompt with every node of an unknown type that has a known successor changed into that one.

    A replacement is ``{new_node_id, input_mapping: [{new_id, old_id | set_value}], output_mapping: [{new_idx, old_idx}]}``;
    without a mapping the inputs (or outputs) are the same.
    """
    chosen: dict[str, Mapping[str, Any]] = {}
    for key, node in prompt.items():
        kind = node.get("class_type") if isinstance(node, Mapping) else None
        if isinstance(kind, str) and kind not in known:
            found = next((entry for entry in replacements.get(kind, ()) if entry.get("new_node_id") in known), None)
            if found is not None:
                chosen[key] = found
    if not chosen:
        return prompt
    changed = {key: replaced(node, chosen[key]) if key in chosen else node for key, node in prompt.items()}
    outputs = {key: moved_outputs(entry) for key, entry in chosen.items()}
    return {key: relinked(node, outputs) for key, node in changed.items()}


def replaced(node: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """One node with the new type and its inputs under their new names."""
    given = node.get("inputs")
    mapping = entry.get("input_mapping")
    if not isinstance(mapping, Sequence) or not isinstance(given, Mapping):
        return {**node, "class_type": entry["new_node_id"]}
    inputs = {}
    for part in mapping:
        if "set_value" in part:
            inputs[part["new_id"]] = part["set_value"]
        elif part.get("old_id") in given:
            inputs[part["new_id"]] = given[part["old_id"]]
    return {**node, "class_type": entry["new_node_id"], "inputs": inputs}


def moved_outputs(entry: Mapping[str, Any]) -> dict[int, int]:
    return {part["old_idx"]: part["new_idx"] for part in entry.get("output_mapping") or ()}


def relinked(node: Any, outputs: Mapping[str, Mapping[int, int]]) -> Any:
    """The node with its links to replaced nodes leading to the outputs' new places."""
    given = node.get("inputs") if isinstance(node, Mapping) else None
    if not isinstance(given, Mapping):
        return node
    inputs = {name: relink(value, outputs) for name, value in given.items()}
    return {**node, "inputs": inputs}


def relink(value: Any, outputs: Mapping[str, Mapping[int, int]]) -> Any:
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int):
        return [value[0], outputs.get(value[0], {}).get(value[1], value[1])]
    return value
