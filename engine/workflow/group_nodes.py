"""Legacy group nodes (``workflow>Name``), made into subgraphs so that one reading serves both."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from engine.workflow.document import INPUTS, OUTPUTS, Document, Graph, Link, Node, Slot, compatible, items, read_node
from engine.workflow.values import Info, inputs_of, named_values, widget_of

PREFIXES = ("workflow>", "workflow/")


def open_group_nodes(document: Document, definitions: Mapping[str, Info]) -> Document:
    """The document with every group node as an instance of a subgraph of its own."""
    groups = document.group_nodes
    if not groups:
        return document
    subgraphs = dict(document.subgraphs)
    nodes = {}
    for node in document.root.nodes.values():
        raw = groups.get(group_name(node.type))
        if isinstance(raw, Mapping):
            kind = f"{node.type}#{node.id}"
            subgraphs[kind] = graph_of(kind, raw, node)
            node = replace(node, type=kind, values=inner_values(subgraphs[kind], raw, node, definitions))
        nodes[node.id] = node
    return replace(document, root=replace(document.root, nodes=nodes), subgraphs=subgraphs)


def group_name(kind: str) -> str:
    return next((kind.removeprefix(prefix) for prefix in PREFIXES if kind.startswith(prefix)), "")


def graph_of(kind: str, raw: Mapping[str, Any], host: Node) -> Graph:
    """The group's inside, with the inputs and outputs that this instance shows."""
    nodes = {str(i): read_node({**entry, "id": i, "mode": 0}) for i, entry in enumerate(items(raw.get("nodes")))}
    nodes = {key: replace(node, inputs=tuple(replace(slot, link=None) for slot in node.inputs)) for key, node in nodes.items()}
    links: dict[str, Link] = {}

    def connect(link: Link) -> None:
        links[link.id] = link
        target = nodes.get(link.target)
        if target is not None and 0 <= link.target_slot < len(target.inputs):
            slots = list(target.inputs)
            slots[link.target_slot] = replace(slots[link.target_slot], link=link.id)
            nodes[link.target] = replace(target, inputs=tuple(slots))

    for entry in items(raw.get("links")):
        if isinstance(entry, list) and len(entry) >= 4 and all(isinstance(part, int) for part in entry[:4]):
            connect(Link(f"in{len(links)}", str(entry[0]), entry[1], str(entry[2]), entry[3], "*"))
    made = outputs_shown(raw, nodes, links)
    inputs = []
    for index, (slot, target) in enumerate(inputs_shown(raw, nodes, host)):
        name = f"from{index}"
        if target is not None:
            connect(Link(name, INPUTS, index, *target, slot.type))
        inputs.append(replace(slot, link=None, links=(name,) if target else ()))
    outputs = []
    for index, (node_id, output) in enumerate(made[: len(host.outputs)]):
        links[f"to{index}"] = Link(f"to{index}", node_id, output, OUTPUTS, index, "*")
        outputs.append(replace(host.outputs[index], links=(f"to{index}",)))
    return Graph(kind, group_name(kind.partition("#")[0]), nodes, links, tuple(inputs), tuple(outputs))


def settings_of(raw: Mapping[str, Any], node_id: str, side: str, name: str) -> Mapping[str, Any]:
    """How the group was told to show one slot: another name, or not at all."""
    found: Any = raw.get("config")
    for key in (node_id, side, name):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def inputs_shown(raw: Mapping[str, Any], nodes: Mapping[str, Node], host: Node) -> Iterator[tuple[Slot, tuple[str, int] | None]]:
    """For each of the instance's inputs, the inner input behind it: the first free one of that name and type."""
    free = [(key, i, slot) for key, node in nodes.items() for i, slot in enumerate(node.inputs) if slot.link is None]
    for shown in host.inputs:
        found = None
        for key, i, slot in free:
            name = str(settings_of(raw, key, "input", slot.name).get("name") or slot.name)
            if (shown.name == name or shown.name.endswith(f" {name}")) and compatible(shown.type, slot.type):
                found = (key, i, slot)
                break
        if found is not None:
            free.remove(found)
        yield shown, None if found is None else found[:2]


def outputs_shown(raw: Mapping[str, Any], nodes: Mapping[str, Node], links: Mapping[str, Link]) -> list[tuple[str, int]]:
    """The inner outputs that the group shows: those not used inside, and those marked as used outside too."""
    used = {(link.origin, link.origin_slot) for link in links.values()}
    outside = {(str(entry[0]), entry[1]) for entry in items(raw.get("external")) if isinstance(entry, list) and len(entry) >= 2}
    return [
        (key, i)
        for key, node in nodes.items()
        for i in range(len(node.outputs))
        if ((key, i) not in used or (key, i) in outside) and settings_of(raw, key, "output", str(i)).get("visible") is not False
    ]


def inner_values(graph: Graph, raw: Mapping[str, Any], host: Node, definitions: Mapping[str, Info]) -> dict[str, Any]:
    """The instance's one list of values, given to the inner widgets as ``node/widget``."""
    required: dict[str, Any] = {}
    for key, node in graph.nodes.items():
        linked = {slot.name for slot in node.inputs if slot.link is not None and slot.link.startswith("in")}
        for name, kind, options in inputs_of(definitions.get(node.type, {})):
            widget = widget_of(name, kind, options)
            hidden = name in linked or settings_of(raw, key, "input", name).get("visible") is False
            if widget is not None and not hidden:
                control = {"control_after_generate": True} if widget.control else {}
                required[f"{key}/{name}"] = [kind, {**options, **control}]
    return named_values({"input": {"required": required}}, host.values)
