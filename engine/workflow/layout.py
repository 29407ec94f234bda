"""The API format -> the editor's format: places for the nodes, so that a person can read what a program wrote."""

from collections.abc import Mapping
from typing import Any

from engine.workflow.values import Info, inputs_of, widget_of

COLUMN, GAP, ROW, HEAD, WIDTH = 320, 40, 24, 60, 260
PICTURE, TEXT = 240, 80
CONTROL = "fixed"


def to_ui(prompt: Mapping[str, Any], definitions: Mapping[str, Info], workflow_id: str = "") -> dict[str, Any]:
    """A workflow in format 0.4, laid out in columns from left to right: a node stands right of all that feed it."""
    ids = {key: int(key) if key.isascii() and key.isdigit() and len(key) < 10 else 0 for key in prompt}
    spare = max(ids.values(), default=0)
    for key, number in ids.items():
        if number == 0:
            spare += 1
            ids[key] = spare
    links: list[list[Any]] = []
    nodes = {key: node_of(key, entry, definitions, ids, links) for key, entry in prompt.items()}
    by_id = {node["id"]: node for node in nodes.values()}
    for link in links:
        source = by_id[link[1]]
        while len(source["outputs"]) <= link[2]:
            source["outputs"].append({"name": "*", "type": "*", "links": []})
        source["outputs"][link[2]]["links"].append(link[0])
        if link[5] == "*":
            link[5] = source["outputs"][link[2]]["type"]
    place(nodes, prompt, ids)
    return {
        **({"id": workflow_id} if workflow_id else {}),
        "last_node_id": max(ids.values(), default=0), "last_link_id": len(links), "nodes": list(nodes.values()), "links": links,
        "groups": [], "config": {}, "extra": {}, "version": 0.4,
    }  # fmt: skip


def link_source(value: Any, ids: Mapping[str, int]) -> tuple[int, int] | None:
    """(node id, slot) of a link to a node of the prompt; None for a value."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int):
        return (ids[value[0]], value[1]) if value[0] in ids else None
    return None


def node_of(
    key: str, entry: Mapping[str, Any], definitions: Mapping[str, Info], ids: Mapping[str, int], links: list[list[Any]]
) -> dict[str, Any]:
    """One node with its slots and the list of its widgets' values; its links join ``links``."""
    kind = str(entry["class_type"])
    info = definitions.get(kind, {})
    given = dict(entry.get("inputs") or {})
    slots: list[dict[str, Any]] = []
    values: list[Any] = []
    known = list(inputs_of(info))
    known += [(name, "*", {}) for name in given if name not in {entry[0] for entry in known}]
    for name, type_name, options in known:
        value = given.get(name)
        widget = widget_of(name, type_name, options)
        source = link_source(value, ids)
        linked = source is not None
        if linked or widget is None:
            slot: dict[str, Any] = {"name": name, "type": type_name, "link": None}
            if widget is not None:
                slot["widget"] = {"name": name}
            if source is not None:
                links.append([len(links) + 1, *source, ids[key], len(slots), type_name])
                slot["link"] = len(links)
            slots.append(slot)
        if widget is not None:
            plain = value["__value__"] if isinstance(value, dict) and "__value__" in value else value
            values.append(widget.default if linked or value is None else plain)
            values += [CONTROL] if widget.control else []
            values += ["image"] if widget.upload else []
    outputs = [
        {"name": name, "type": made if isinstance(made, str) else "COMBO", "links": [], "slot_index": index}
        for index, (name, made) in enumerate(zip(info.get("output_name", []), info.get("output", []), strict=False))
    ]
    meta = entry.get("_meta")
    title = meta.get("title") if isinstance(meta, Mapping) else None
    rows = max(len(slots), len(outputs)) + len(values)
    long_text = any(options.get("multiline") for _, _, options in known)
    saves = bool(info.get("output_node"))
    pictures = any((saves and type_name == "IMAGE") or options.get("image_upload") for _, type_name, options in known)
    height = HEAD + ROW * rows + (TEXT if long_text else 0) + (PICTURE if pictures else 0)
    return {
        "id": ids[key], "type": kind, "pos": [0, 0], "size": [WIDTH, height], "flags": {},
        "order": 0, "mode": 0, "inputs": slots, "outputs": outputs, "properties": {"Node name for S&R": kind},
        "widgets_values": values, **({"title": title} if title and title != info.get("display_name", kind) else {}),
    }  # fmt: skip


def place(nodes: Mapping[str, dict[str, Any]], prompt: Mapping[str, Any], ids: Mapping[str, int]) -> None:
    """Columns by distance from the sources; within one, the order of the file. The nodes of a cycle share a column."""
    import networkx as nx

    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(prompt)
    for key, entry in prompt.items():
        graph.add_edges_from((value[0], key) for value in (entry.get("inputs") or {}).values() if link_source(value, ids))
    whole = nx.condensation(graph)
    generations = enumerate(nx.topological_generations(whole))
    column = {key: depth for depth, parts in generations for part in parts for key in whole.nodes[part]["members"]}
    heights: dict[int, float] = {}
    for order, key in enumerate(sorted(nodes, key=lambda key: column[key])):
        node = nodes[key]
        top = heights.get(column[key], 0.0)
        node["pos"], node["order"] = [column[key] * COLUMN, top], order
        heights[column[key]] = top + node["size"][1] + GAP
