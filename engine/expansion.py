"""New steps for old: the nodes that a call returned, with ids, links and keys of their own."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.graph import Step, make_step
from engine.keys import NO_PRINT, Key, step_key
from engine.prints import Print
from engine.prompt import as_link
from engine.spec import Expand, Link, NodeSpec


@dataclass(frozen=True, slots=True)
class Expansion:
    """``children`` with sources before consumers; ``results`` with absolute links; ``outputs`` are targets among them."""

    children: Mapping[str, Step]
    keys: Mapping[str, Key]
    results: tuple[Any, ...]
    outputs: tuple[str, ...]

    @property
    def sources(self) -> set[str]:
        return {value.node for value in self.results if isinstance(value, Link)}


def expansion(
    expand: Expand,
    parent: Step,
    call_index: int,
    *,
    specs: Mapping[str, NodeSpec],
    steps: Mapping[str, Step],
    keys: Mapping[str, Key],
    print_of: Callable[[Step], Print],
) -> Expansion:
    """Check what a node wants to become. An id that begins with the parent's is taken as it is, any other is put below it.

    A link that the parent was handed as such keeps its meaning, even if a new node has the same id.
    """
    names = {id: id if id.startswith(f"{parent.id}.") else f"{parent.id}.{call_index}.{id}" for id in expand.nodes}

    handed = {link for name, link in parent.links.items() if (port := parent.spec.port(name)) is not None and port.raw}

    def absolute(value: Any) -> Any:
        link = as_link(value)
        if link is None:
            return value
        outer = link.node not in names or (type(value) is Link and not link.inner and link in handed)
        return Link(link.node if outer else names[link.node], link.output)

    children: dict[str, Step] = {}
    for id, node in expand.nodes.items():
        name, type_name = names[id], str(node.get("class_type"))
        if name in steps and steps[name].parent != parent.id:
            raise ValueError(f"it expands to a node {name!r}, which exists")
        if type_name not in specs:
            raise ValueError(f"it expands to a node of type {type_name!r}, which is unknown")
        inputs = {key: absolute(value) for key, value in node.get("inputs", {}).items()}
        title = (node.get("_meta") or {}).get("title", "")
        display = str(node.get("override_display_id") or parent.display)
        children[name] = make_step(name, specs[type_name], inputs, title=title, display=display, parent=parent.id)
    results = tuple(absolute(value) for value in expand.results)
    for link in [*(link for child in children.values() for link in child.links.values()), *filter(_is_link, results)]:
        source = children.get(link.node) or steps.get(link.node)
        if source is None or not 0 <= link.output < len(source.spec.outputs):
            raise ValueError(f"it expands to a link to output {link.output} of {link.node!r}, which does not exist")
    ordered = {id: children[id] for id in _sources_first(children)}
    found = dict[str, Key]()
    known = ChainMap(found, keys)  # type: ignore[arg-type]
    for id, child in ordered.items():
        found[id] = step_key(child, known, print_of(child) if child.spec.prints else NO_PRINT)
    outputs = tuple(id for id, child in ordered.items() if child.spec.output_node)
    return Expansion(ordered, found, results, outputs)


def _is_link(value: Any) -> bool:
    return isinstance(value, Link)


def _sources_first(children: Mapping[str, Step]) -> Iterable[str]:
    done: dict[str, None] = {}
    for root in children:
        stack, open_ids = [root], set[str]()
        while stack:
            id = stack[-1]
            sources = [link.node for link in children[id].links.values() if link.node in children and link.node not in done]
            if id in done or not sources:
                done.setdefault(stack.pop())
            elif id in open_ids:
                raise ValueError(f"it expands to a cycle through {id!r}")
            else:
                open_ids.add(id)
                stack += sources
    return done
