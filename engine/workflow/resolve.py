"""Following a link back to what really feeds it: through reroutes, primitives, bypassed nodes, subgraphs and set/get pairs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.workflow.document import BYPASS, INPUTS, NEVER, OUTPUTS, Document, Graph, Link, Node, Slot, compatible

REROUTES = frozenset({"Reroute", "Reroute (rgthree)"})
NOTES = frozenset({"Note", "MarkdownNote", "Label (rgthree)"})
PRIMITIVE = "PrimitiveNode"
SET, GET = "SetNode", "GetNode"
VIRTUAL = REROUTES | NOTES | {PRIMITIVE, SET, GET}


@dataclass(frozen=True, slots=True)
class Source:
    """An output of a node that will run."""

    node: str
    slot: int


@dataclass(frozen=True, slots=True)
class Literal:
    """A value that stands where a link was drawn."""

    value: Any


@dataclass(frozen=True, slots=True)
class Scope:
    """A graph in one place: the root, or a definition inside one instance. ``prefix`` begins the ids of its nodes."""

    graph: Graph
    prefix: str = ""
    host: Node | None = None
    outer: "Scope | None" = None
    shown: Mapping[str, Any] = field(default_factory=dict)
    """Values of the host's promoted widgets, by input name or by ``inner id/widget name``."""

    def path(self, node: str) -> str:
        return f"{self.prefix}{node}"


def inner_scope(document: Document, scope: Scope, node: Node) -> Scope | None:
    """The inside of a subgraph's instance; None for any other node."""
    graph = document.subgraphs.get(node.type)
    if graph is None:
        return None
    return Scope(graph, f"{scope.path(node.id)}:", node, scope, promoted_values(node, graph))


def promoted_values(node: Node, graph: Graph) -> dict[str, Any]:
    """What an instance's own widgets say: by the name of the subgraph's input, or by inner node and widget."""
    if isinstance(node.values, Mapping):
        return dict(node.values)
    if not isinstance(node.values, list):
        return {}
    proxies = node.properties.get("proxyWidgets")
    keys: list[str]
    if isinstance(proxies, list) and proxies:
        pairs = [pair for pair in proxies if isinstance(pair, list) and len(pair) >= 2]
        keys = [str(pair[1]) if str(pair[0]) == "-1" else f"{pair[0]}/{pair[1]}" for pair in pairs]
        if len(node.values) < len(keys):
            return {}
    else:
        keys = [slot.widget or slot.name for slot in node.inputs if slot.widget is not None]
    return {key: value for key, value in zip(keys, node.values, strict=False) if value is not None}


class Resolver:
    """Follows links of one document."""

    def __init__(self, document: Document) -> None:
        self.document = document

    def input(self, scope: Scope, slot: Slot) -> Source | Literal | None:
        """What feeds an input; None where nothing does."""
        link = scope.graph.links.get(slot.link) if slot.link is not None else None
        return None if link is None else self.link(scope, link, slot.type)

    def link(self, scope: Scope | None, link: Link | None, wanted: str) -> Source | Literal | None:
        """The end of the way back along a link. ``wanted`` is the type at its target."""
        seen: set[tuple[str, str, int]] = set()
        while scope is not None and link is not None:
            here = (scope.prefix, link.origin, link.origin_slot)
            if here in seen:
                return None
            seen.add(here)
            if link.origin == INPUTS:
                found = self._outside(scope, link)
                if isinstance(found, Literal) or found is None:
                    return found
                scope, link = found
                continue
            node = scope.graph.nodes.get(link.origin)
            if node is None or node.mode == NEVER:
                return None
            step = self._through(scope, node, link.origin_slot, wanted)
            if not isinstance(step, tuple):
                return step
            scope, link = step
        return None

    def _through(self, scope: Scope, node: Node, slot: int, wanted: str) -> "Source | Literal | tuple[Scope, Link | None] | None":
        """One step back from a node's output: an end, or the link before it."""
        if node.mode == BYPASS:
            before = bypass(node, slot, wanted)
            return (scope, link_of(scope, before)) if before is not None else None
        if node.type == PRIMITIVE:
            values = node.values
            return Literal(values[0]) if isinstance(values, list) and values else None
        if node.type in REROUTES:
            return (scope, link_of(scope, node.inputs[0])) if node.inputs else None
        if node.type == GET:
            return self._set_node(scope, node)
        if node.type == SET:
            return (scope, link_of(scope, node.inputs[0])) if node.inputs else None
        inside = inner_scope(self.document, scope, node)
        if inside is not None:
            return inside, output_link(inside.graph, slot)
        return Source(scope.path(node.id), slot)

    def _outside(self, scope: Scope, link: Link) -> "Literal | tuple[Scope, Link | None] | None":
        """From a subgraph's own input to what its host has there: a link, or the value of the promoted widget."""
        index = next((i for i, slot in enumerate(scope.graph.inputs) if link.id in slot.links), link.origin_slot)
        if scope.host is None or scope.outer is None or not 0 <= index < len(scope.graph.inputs):
            return None
        name = scope.graph.inputs[index].name
        slot = next((slot for slot in scope.host.inputs if slot.name == name), None)
        if slot is None and index < len(scope.host.inputs):
            slot = scope.host.inputs[index]
        if slot is not None and slot.link is not None:
            return scope.outer, scope.outer.graph.links.get(slot.link)
        for key in (name, slot.widget if slot else None):
            if key is not None and key in scope.shown:
                return Literal(scope.shown[key])
        return None

    def _set_node(self, scope: Scope, node: Node) -> "tuple[Scope, Link | None] | None":
        """From a GetNode to what its SetNode takes, here or further out."""
        name = first_value(node)
        at: Scope | None = scope
        while at is not None:
            for other in at.graph.nodes.values():
                if other.type == SET and first_value(other) == name and other.inputs:
                    return at, link_of(at, other.inputs[0])
            at = at.outer
        return None


def first_value(node: Node) -> Any:
    return node.values[0] if isinstance(node.values, list) and node.values else None


def link_of(scope: Scope, slot: Slot) -> Link | None:
    return scope.graph.links.get(slot.link) if slot.link is not None else None


def output_link(graph: Graph, slot: int) -> Link | None:
    """The link inside a subgraph that ends in one of its outputs."""
    if 0 <= slot < len(graph.outputs):
        for name in graph.outputs[slot].links:
            if name in graph.links:
                return graph.links[name]
    return next((link for link in graph.links.values() if link.target == OUTPUTS and link.target_slot == slot), None)


def bypass(node: Node, slot: int, wanted: str) -> Slot | None:
    """The input that a bypassed node's output passes on: the one beside it if the types allow, else the first that fits."""
    inputs = node.inputs
    if not inputs:
        return None
    if wanted == "*":
        return inputs[slot] if slot < len(inputs) else inputs[0]
    made = node.outputs[slot].type if slot < len(node.outputs) else "*"
    if slot < len(inputs) and compatible(inputs[slot].type, made) and compatible(inputs[slot].type, wanted):
        return inputs[slot]
    exact = next((found for found in inputs if found.type == wanted), None)
    return exact or next((found for found in inputs if compatible(found.type, wanted)), None)
