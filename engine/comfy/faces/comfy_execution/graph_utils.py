"""GraphBuilder: the nodes a call wants to be replaced by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.comfy.finder import missing
from engine.comfy.host import current_call
from engine.spec import Blocked

__getattr__ = missing(__name__)


class ExecutionBlocker(Blocked):
    """A value that stops whatever consumes it; with a message, the user is told."""


def is_link(value: object) -> bool:
    """Whether a value of the API format is ``[node id, output]``."""
    if not isinstance(value, list) or len(value) != 2:
        return False
    return isinstance(value[0], str) and isinstance(value[1], int | float)


class Node:
    """A node being built. Setting an input to None takes it away."""

    def __init__(self, id: str, class_type: str, inputs: dict[str, Any]) -> None:
        self.id, self.class_type, self.inputs = id, class_type, inputs
        self.override_display_id: str | None = None

    def out(self, index: int) -> list[Any]:
        return [self.id, index]

    def set_input(self, key: str, value: Any) -> None:
        if value is None:
            self.inputs.pop(key, None)
        else:
            self.inputs[key] = value

    def get_input(self, key: str) -> Any:
        return self.inputs.get(key)

    def set_override_display_id(self, override_display_id: str) -> None:
        self.override_display_id = override_display_id

    def serialize(self) -> dict[str, Any]:
        written: dict[str, Any] = {"class_type": self.class_type, "inputs": self.inputs}
        if self.override_display_id is not None:
            written["override_display_id"] = self.override_display_id
        return written


class GraphBuilder:
    """Nodes under ids that are the same at each run: the node that builds, which of its calls, which of its graphs."""

    _default_prefix_root = ""
    _default_prefix_call_index = 0
    _default_prefix_graph_index = 0

    def __init__(self, prefix: str | None = None) -> None:
        self.prefix = self.alloc_prefix() if prefix is None else prefix
        self.nodes: dict[str, Node] = {}
        self.id_gen = 1

    @classmethod
    def set_default_prefix(cls, prefix_root: str, call_index: int, graph_index: int = 0) -> None:
        """Used outside of any call; inside, the node at work is the root."""
        cls._default_prefix_root = prefix_root
        cls._default_prefix_call_index = call_index
        cls._default_prefix_graph_index = graph_index

    @classmethod
    def alloc_prefix(cls, root: str | None = None, call_index: int | None = None, graph_index: int | None = None) -> str:
        call = current_call()
        if root is None:
            root = call.run.node if call else cls._default_prefix_root
        if call_index is None:
            call_index = call.run.call_index if call else cls._default_prefix_call_index
        if graph_index is None:
            graph_index = call.graphs if call else cls._default_prefix_graph_index
            if call:
                call.graphs += 1
            else:
                cls._default_prefix_graph_index += 1
        return f"{root}.{call_index}.{graph_index}."

    def node(self, class_type: str, id: str | None = None, **kwargs: Any) -> Node:
        """A new node, or the one that has this id already."""
        if id is None:
            id = str(self.id_gen)
            self.id_gen += 1
        id = self.prefix + id
        if id not in self.nodes:
            self.nodes[id] = Node(id, class_type, kwargs)
        return self.nodes[id]

    def lookup_node(self, id: str) -> Node | None:
        return self.nodes.get(self.prefix + id)

    def finalize(self) -> dict[str, dict[str, Any]]:
        """The nodes in the API format."""
        return {id: node.serialize() for id, node in self.nodes.items()}

    def replace_node_output(self, node_id: str, index: int, new_value: Any) -> None:
        """Whatever was linked to this output gets ``new_value`` instead; None unlinks it."""
        node_id = self.prefix + node_id
        for node in self.nodes.values():
            for key, value in list(node.inputs.items()):
                if is_link(value) and value[0] == node_id and value[1] == index:
                    node.set_input(key, new_value)

    def remove_node(self, id: str) -> None:
        del self.nodes[self.prefix + id]


def add_graph_prefix(
    graph: Mapping[str, Mapping[str, Any]], outputs: Sequence[Any], prefix: str
) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """The graph with ``prefix`` before each id, links among its nodes included; the outputs likewise."""

    def moved(value: Any) -> Any:
        return [prefix + value[0], value[1]] if is_link(value) else value

    nodes = {
        prefix + id: {**node, "inputs": {name: moved(value) for name, value in node.get("inputs", {}).items()}}
        for id, node in graph.items()
    }
    return nodes, tuple(moved(value) for value in outputs)
