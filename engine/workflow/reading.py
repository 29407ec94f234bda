"""The editor's format -> the API format: what its Run button would send, without the editor."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engine.workflow.document import BYPASS, NEVER, Document, Graph, Node, Slot, WorkflowError, parse
from engine.workflow.group_nodes import open_group_nodes
from engine.workflow.resolve import VIRTUAL, Literal, Resolver, Scope, Source, inner_scope
from engine.workflow.values import Info, config_of, named_values, widget_of, widgets_of

__all__ = ["Missing", "WorkflowError", "missing_types", "to_prompt"]
Prompt = dict[str, Any]
MAX_DEPTH = 64


@dataclass(frozen=True, slots=True)
class Missing:
    """A node type that is not known, the nodes that have it, and the pack that brings it, where the file says so."""

    type: str
    nodes: tuple[str, ...]
    pack: str | None = None


def to_prompt(data: Any, definitions: Mapping[str, Info]) -> Prompt:
    """The prompt of a workflow. Nodes of unknown types stay in it, so that checking it names them."""
    document = open_group_nodes(parse(data), definitions)
    resolver = Resolver(document)
    prompt: Prompt = {}
    for scope, node in running(document):
        prompt[scope.path(node.id)] = entry(resolver, scope, node, definitions.get(node.type))
    everywhere(document, prompt, definitions)
    for node_entry in prompt.values():
        inputs = node_entry["inputs"]
        for name in [name for name, value in inputs.items() if is_link(value) and value[0] not in prompt]:
            del inputs[name]
    return prompt


def running(document: Document) -> Iterator[tuple[Scope, Node]]:
    """The nodes that will run, subgraphs opened, in the order of the file."""
    pending = [(Scope(document.root), node) for node in ordered(document.root)][::-1]
    while pending:
        scope, node = pending.pop()
        if node.mode in (NEVER, BYPASS) or node.type in VIRTUAL:
            continue
        inside = inner_scope(document, scope, node)
        if inside is None:
            yield scope, node
        elif depth(inside) > MAX_DEPTH:
            raise WorkflowError(f"The subgraph {inside.graph.name or node.type!r} contains itself.")
        else:
            pending += [(inside, inner) for inner in ordered(inside.graph)][::-1]


def ordered(graph: Graph) -> list[Node]:
    """The nodes by the order that the editor computed."""
    return sorted(graph.nodes.values(), key=lambda node: order if isinstance(order := node.raw.get("order", 0), int) else 0)


def depth(scope: Scope) -> int:
    return scope.prefix.count(":")


def entry(resolver: Resolver, scope: Scope, node: Node, info: Info | None) -> dict[str, Any]:
    """One node of the prompt: its widgets' values, then its links over them."""
    values = dict(default_values(info)) | named_values(info, node.values) if info else values_by_slot(node)
    for key, value in scope.shown.items():
        inner, _, widget = key.partition("/")
        if widget and inner == node.id:
            values[widget] = value
    inputs: dict[str, Any] = {name: wrapped(value) for name, value in values.items() if value is not None}
    for slot in node.inputs:
        fed = resolver.input(scope, slot)
        name = slot.name or slot.widget or ""
        if isinstance(fed, Source):
            inputs[name] = [fed.node, fed.slot]
        elif isinstance(fed, Literal) and takes_value(info, slot):
            inputs[name] = wrapped(fed.value)
    title = node.title or (str(info.get("display_name") or node.type) if info else node.type)
    return {"inputs": inputs, "class_type": node.type, "_meta": {"title": title}}


def default_values(info: Info) -> Iterator[tuple[str, Any]]:
    """What the editor fills in for widgets that a workflow does not mention: an older file of a node that has grown."""
    for widget in widgets_of(info):
        if widget.default is not None:
            yield widget.name, widget.default


def values_by_slot(node: Node) -> dict[str, Any]:
    """The values of a node of unknown type, as far as the file names them."""
    return dict(node.values) if isinstance(node.values, Mapping) else {}


def takes_value(info: Info | None, slot: Slot) -> bool:
    """Whether an input may hold a value instead of a link."""
    if info is None or slot.widget is not None:
        return True
    for kind in ("required", "optional"):
        found = (info.get("input", {}).get(kind) or {}).get(slot.name)
        if found is not None:
            return widget_of(slot.name, *config_of(found)) is not None
    return False


def wrapped(value: Any) -> Any:
    """A list that is a value is marked as one, or it would read as a link."""
    return {"__value__": value} if isinstance(value, list) else value


def is_link(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)


def everywhere(document: Document, prompt: Prompt, definitions: Mapping[str, Info]) -> None:
    """Add the links that "Anything Everywhere" nodes stand for, which the file lists beside the drawn ones."""
    links = document.root.extra.get("ue_links")
    for link in links if isinstance(links, list) else []:
        try:
            target, slot = str(link["downstream"]), link["downstream_slot"]
            node = document.root.nodes[target]
            name = node.inputs[slot].name
            source = [str(link["upstream"]), int(link["upstream_slot"])]
        except (KeyError, TypeError, IndexError, ValueError):
            continue
        if target in prompt and source[0] in prompt and not is_link(prompt[target]["inputs"].get(name)):
            prompt[target]["inputs"][name] = source


def missing_types(data: Any, definitions: Mapping[str, Info]) -> list[Missing]:
    """The node types that a workflow needs and this program has not."""
    document = open_group_nodes(parse(data), definitions)
    found: dict[str, list[str]] = {}
    packs: dict[str, str] = {}
    for scope, node in running(document):
        if node.type not in definitions:
            found.setdefault(node.type, []).append(scope.path(node.id))
            pack = node.properties.get("cnr_id") or node.properties.get("aux_id")
            if isinstance(pack, str):
                packs[node.type] = pack
    return [Missing(kind, tuple(nodes), packs.get(kind)) for kind, nodes in found.items()]
