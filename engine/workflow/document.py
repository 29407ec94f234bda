"""A workflow as the editor saves it (format 0.4 or 1), read for conversion. The raw JSON is kept; nothing here changes it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Raw = Mapping[str, Any]
INPUTS, OUTPUTS = "-10", "-20"
"""The ids that links inside a subgraph use for its own inputs and outputs."""
ALWAYS, NEVER, BYPASS = 0, 2, 4
MAX_NODES = 1_000_000


class WorkflowError(ValueError):
    """A file that is no workflow, or one that contradicts itself; the message says where."""


@dataclass(frozen=True, slots=True)
class Link:
    id: str
    origin: str
    origin_slot: int
    target: str
    target_slot: int
    type: str


@dataclass(frozen=True, slots=True)
class Slot:
    """An input or output; ``widget`` is the name of the widget that an input stands for."""

    name: str
    type: str
    link: str | None = None
    links: tuple[str, ...] = ()
    widget: str | None = None


@dataclass(frozen=True, slots=True)
class Node:
    id: str
    type: str
    mode: int
    title: str
    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]
    values: Any
    properties: Raw
    raw: Raw


@dataclass(frozen=True, slots=True)
class Graph:
    """The root, or a subgraph's definition (then with ``inputs`` and ``outputs``)."""

    id: str
    name: str
    nodes: Mapping[str, Node]
    links: Mapping[str, Link]
    inputs: tuple[Slot, ...] = ()
    outputs: tuple[Slot, ...] = ()
    extra: Raw = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Document:
    root: Graph
    subgraphs: Mapping[str, Graph]
    raw: Raw

    @property
    def group_nodes(self) -> Raw:
        """Legacy group nodes by name."""
        found = self.root.extra.get("groupNodes")
        return found if isinstance(found, Mapping) else {}

    def graphs(self) -> Iterator[Graph]:
        yield self.root
        yield from self.subgraphs.values()


def is_ui(data: Any) -> bool:
    """Whether this is the editor's format and not the API's."""
    return isinstance(data, Mapping) and isinstance(data.get("nodes"), list)


def parse(data: Any) -> Document:
    """Read the editor's format; WorkflowError where it is something else."""
    if not is_ui(data):
        raise WorkflowError("Expected a workflow as the editor saves it, with a list of nodes.")
    subgraphs: dict[str, Graph] = {}
    pending = [data]
    while pending:
        definitions = pending.pop().get("definitions")
        for raw in items(definitions.get("subgraphs") if isinstance(definitions, Mapping) else None):
            if isinstance(raw, Mapping) and isinstance(raw.get("id"), str) and raw["id"] not in subgraphs:
                subgraphs[raw["id"]] = read_graph(raw)
                pending.append(raw)
    return Document(read_graph(data), subgraphs, data)


def read_graph(raw: Raw) -> Graph:
    nodes: dict[str, Node] = {}
    for entry in items(raw.get("nodes")):
        node = read_node(entry)
        nodes[node.id] = node
    links = {link.id: link for entry in items(raw.get("links")) if (link := read_link(entry)) is not None}
    extra = raw.get("extra")
    return Graph(
        id=str(raw.get("id", "")),
        name=str(raw.get("name", "")),
        nodes=nodes,
        links=links,
        inputs=tuple(read_slot(entry) for entry in items(raw.get("inputs")) if isinstance(entry, Mapping)),
        outputs=tuple(read_slot(entry) for entry in items(raw.get("outputs")) if isinstance(entry, Mapping)),
        extra=extra if isinstance(extra, Mapping) else {},
    )


def read_node(raw: Any) -> Node:
    if not isinstance(raw, Mapping) or "id" not in raw or not isinstance(raw.get("type"), str | int):
        raise WorkflowError("A node of the workflow has no id or no type.")
    mode, properties, title = raw.get("mode", ALWAYS), raw.get("properties"), raw.get("title")
    return Node(
        id=str(raw["id"]),
        type=str(raw["type"]),
        mode=mode if isinstance(mode, int) else ALWAYS,
        title=title if isinstance(title, str) else "",
        inputs=tuple(read_slot(entry) for entry in items(raw.get("inputs")) if isinstance(entry, Mapping)),
        outputs=tuple(read_slot(entry) for entry in items(raw.get("outputs")) if isinstance(entry, Mapping)),
        values=raw.get("widgets_values"),
        properties=properties if isinstance(properties, Mapping) else {},
        raw=raw,
    )


def read_slot(raw: Raw) -> Slot:
    widget, link = raw.get("widget"), raw.get("link")
    links = raw.get("links", raw.get("linkIds"))
    return Slot(
        name=str(raw.get("name", "")),
        type=type_name(raw.get("type")),
        link=None if link is None else str(link),
        links=tuple(str(link) for link in items(links)),
        widget=str(widget["name"]) if isinstance(widget, Mapping) and "name" in widget else None,
    )


def read_link(raw: Any) -> Link | None:
    """A link in either spelling: ``[id, origin, slot, target, slot, type]``, or an object."""
    if isinstance(raw, list) and len(raw) >= 5:
        values = [*raw, "*"][:6]
    elif isinstance(raw, Mapping):
        values = [raw.get(name) for name in ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")]
    else:
        return None
    if not isinstance(values[2], int) or not isinstance(values[4], int):
        return None
    return Link(str(values[0]), str(values[1]), values[2], str(values[3]), values[4], type_name(values[5]))


def type_name(value: Any) -> str:
    """A type as text: a list of choices is a COMBO, 0 and nothing stand for any."""
    if isinstance(value, str):
        return value or "*"
    return "COMBO" if isinstance(value, list) else "*"


def items(value: Any) -> list[Any]:
    """The list, or nothing where there is none; an object's values where somebody wrote an object."""
    if isinstance(value, list):
        return value
    return list(value.values()) if isinstance(value, Mapping) else []


def compatible(made: str, wanted: str) -> bool:
    """Whether a link may go from one type to the other, as the editor sees it."""
    if "*" in (made, wanted) or made.lower() == wanted.lower():
        return True
    return bool({part.strip().lower() for part in made.split(",")} & {part.strip().lower() for part in wanted.split(",")})
