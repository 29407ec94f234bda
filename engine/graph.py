"""Prompt + node types -> Graph of checked steps, or one GraphError that lists all problems."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from engine.folders import Folders, nearest
from engine.literals import Literals
from engine.problems import GraphError, Problem
from engine.prompt import Prompt, PromptNode, as_link
from engine.refusals import Refusal, bad_link, converter, missing
from engine.spec import Link, NodeSpec, Outcome, Port


@dataclass(frozen=True, slots=True)
class Step:
    """A node of a checked graph: ``params`` are its literals with defaults filled in, ``links`` its inputs from other steps."""

    id: str
    spec: NodeSpec
    params: Mapping[str, Any]
    links: Mapping[str, Link]
    title: str
    display: str
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Graph:
    """``steps`` holds what the targets can reach, sources before consumers, in depth-first order of the targets.

    ``problems`` and ``dependents`` speak of outputs that were left out because the caller allowed it.
    """

    steps: Mapping[str, Step]
    targets: tuple[str, ...]
    problems: tuple[Problem, ...] = ()
    dependents: Mapping[str, Sequence[str]] = field(default_factory=dict)


def build(
    prompt: Prompt, specs: Mapping[str, NodeSpec], folders: Folders, *, targets: Iterable[str] | None = None, strict: bool = True,
    absent: Callable[[str], str | None] = lambda _: None,
) -> Graph:  # fmt: skip
    """Check everything the outputs need. Not ``strict``: leave out faulty outputs as long as one is sound, as ComfyUI does.

    Unknown node types come first, then whatever else is wrong with the outputs and with what unknown nodes are given.
    ``absent`` may know who has an unknown type, and says what to do.
    """
    unknown = [id for id, node in prompt.nodes.items() if node.type not in specs]
    outputs = [id for id, node in prompt.nodes.items() if node.type in specs and specs[node.type].output_node]
    if unknown:
        walk = _Walk(prompt, specs, Literals(folders))
        for target in (*outputs, *unknown):
            walk.visit(target)
        raise GraphError([_unknown(prompt.nodes[id], specs, absent) for id in unknown] + walk.problems)
    wanted = outputs if targets is None else [id for id in dict.fromkeys(targets) if id in set(outputs)]
    if not wanted:
        cure = "Add one, such as Save Image or Preview Image." if not outputs else f"Its outputs are {', '.join(outputs)}."
        raise GraphError([Problem("prompt_no_outputs", "Prompt has no outputs", "the prompt has no output node", cure=cure)])
    walk = _Walk(prompt, specs, Literals(folders))
    for target in wanted:
        walk.visit(target)
    if not walk.problems:
        return Graph(walk.steps, tuple(wanted))
    dependents = _dependents(walk, wanted)
    bad = {output for outputs in dependents.values() for output in outputs}
    sound = tuple(target for target in wanted if target not in bad)
    if strict or not sound:
        raise GraphError(walk.problems, dependents)
    return Graph(_reachable(walk.steps, sound), sound, tuple(walk.problems), dependents)


class _Walk:
    """Depth-first from the targets with a stack of its own. A node is ``open`` while its sources are being visited."""

    def __init__(self, prompt: Prompt, specs: Mapping[str, NodeSpec], literals: Literals) -> None:
        self.prompt, self.specs, self.literals = prompt, specs, literals
        self.steps: dict[str, Step] = {}
        self.problems: list[Problem] = []
        self.cyclic: dict[str, set[str]] = {}

    def visit(self, target: str) -> None:
        if target in self.steps:
            return
        step = self.check(self.prompt.nodes[target])
        opened = {target: step}
        stack = [iter([link.node for link in step.links.values()])]
        while stack:
            source = next(stack[-1], None)
            if source is None:
                stack.pop()
                id, step = opened.popitem()
                self.steps[id] = step
            elif source in opened:
                self.cycle([*opened], source)
            elif source not in self.steps:
                step = self.check(self.prompt.nodes[source])
                opened[source] = step
                stack.append(iter([link.node for link in step.links.values()]))

    def cycle(self, path: list[str], back_to: str) -> None:
        loop = path[path.index(back_to) :]
        if loop[-1] in self.cyclic.get(back_to, ()):
            return
        self.cyclic.setdefault(back_to, set()).add(loop[-1])
        shown = " -> ".join([back_to, *loop[:0:-1], back_to])
        extra = {"node_id": back_to, "cycle_nodes": loop}
        node = self.prompt.nodes[back_to]
        cure = "Remove one of these links."
        details = f"its result depends on itself: {shown}"
        self.problems.append(
            self.problem(node, None, Refusal("dependency_cycle", "Dependency cycle", details, "", "", cure, extra))
        )

    def check(self, node: PromptNode) -> Step:
        """The step for ``node``; whatever is wrong with it joins the problems. A faulty link is followed all the same."""
        spec, given, nodes = self.specs.get(node.type), node.inputs, self.prompt.nodes
        if spec is None:  # it has been said; what it is given may be wrong as well
            found_links = {name: link for name, value in given.items() if (link := as_link(value)) and link.node in nodes}
            return Step(node.id, NodeSpec(type=node.type, call=_never), {}, found_links, node.title or node.type, node.id)
        found: list[Problem] = []
        params: dict[str, Any] = {}
        links: dict[str, Link] = {}
        for port in _ports(spec, given):
            name = port.name
            value = given.get(name)
            if value is None:
                if port.must_be_given or (port.widget and name in given and port.required):
                    found.append(self.problem(node, port, missing(port)))
                elif port.required and port.widget:
                    params[name] = port.default
                continue
            link = as_link(value) or (_loose_link(port, value) if type(value) is list else None)
            if link is not None:
                if refusal := self.check_link(spec, port, link):
                    found.append(self.problem(node, port, refusal))
                if link.node in nodes:
                    links[name] = link
            elif type(value) is list and not port.options.get("multiselect"):
                found.append(self.problem(node, port, bad_link(port, value)))
            else:
                checked = self.literals.coerce(port, value, name not in spec.checks_itself)
                if type(checked) is Refusal:
                    found.append(self.problem(node, port, checked))
                else:
                    params[name] = checked
        if spec.validate is not None and not found:
            found += self.check_custom(node, spec, params, links)
        self.problems += found
        return Step(node.id, spec, params, links, node.title or spec.title or spec.type, node.id)

    def check_link(self, spec: NodeSpec, port: Port, link: Link) -> Refusal | None:
        source = self.prompt.nodes.get(link.node)
        if source is None:
            details = f"{port.name}: node {link.node} does not exist"
            received = f"one to {link.node!r}, which does not exist"
            return Refusal(
                "bad_linked_input", "Link to a missing node", details, "a link to a node", received, "Connect it again."
            )
        if source.type not in self.specs:
            return None
        made = self.specs[source.type].outputs
        if not 0 <= link.output < len(made):
            received = f"output {link.output} of node {link.node} ({source.type}), which has {len(made)}"
            return Refusal(
                "bad_linked_input", "Link to a missing output", f"{port.name}: {received}", "a link to an output", received
            )
        output = made[link.output]
        if output.type == port.type or spec.checks_types or port.raw or fits(output.type, port.type):
            return None
        details = f"{port.name}, received_type({output.type}) mismatch input_type({port.type})"
        extra = {"received_type": output.type, "linked_node": [link.node, link.output]}
        received = f"{output.type} from node {link.node} ({source.title or self.specs[source.type].title or source.type})"
        other = next((other for other in made if fits(other.type, port.type)), None)
        cure = f"Its output {other.name} fits." if other else converter(output, port, self.specs)
        return Refusal(
            "return_type_mismatch", "Return type mismatch between linked nodes", details, port.type, received, cure, extra
        )

    def check_custom(
        self, node: PromptNode, spec: NodeSpec, params: Mapping[str, Any], links: Mapping[str, Link]
    ) -> list[Problem]:
        assert spec.validate is not None
        sources = {name: (self.specs.get(self.prompt.nodes[link.node].type), link.output) for name, link in links.items()}
        linked = {name: source.outputs[output].type if source else "*" for name, (source, output) in sources.items()}
        try:
            answer = settle(spec.validate(params, linked))
        except Exception as error:
            message = "Exception when validating node"
            refusal = Refusal("exception_during_validation", message, f"{type(error).__name__}: {error}", "", "")
            return [self.problem(node, None, refusal)]
        if answer is None or answer is True:
            return []
        details = answer if isinstance(answer, str) else "its own check refuses these values"
        return [
            self.problem(node, None, Refusal("custom_validation_failed", "Custom validation failed for node", details, "", ""))
        ]

    def problem(self, node: PromptNode, port: Port | None, refusal: Refusal) -> Problem:
        extra: dict[str, Any] = dict(refusal.extra)
        if port is not None:
            value = node.inputs.get(port.name)
            config = [_listed(self.literals, port, refusal), dict(port.options)]
            extra = {"input_name": port.name, "input_config": config, "received_value": value, **extra}
            if refusal.error == "required_input_missing":
                extra = {"input_name": port.name}
        spec = self.specs[node.type]
        return Problem(
            refusal.error, refusal.message, refusal.details, node.id, node.title or spec.title, node.type,
            None if port is None else port.name, refusal.expected, refusal.received, refusal.cure, extra,
        )  # fmt: skip


def fits(made: str, wanted: str) -> bool:
    """Whether an output of type ``made`` may be connected to an input of type ``wanted``; both may be unions or ``*``."""
    if made == wanted or "*" in (made, wanted):
        return True
    made_types, wanted_types = set(made.split(",")), set(wanted.split(","))
    if "*" in wanted_types or made_types & wanted_types:
        return True
    if "COMBO" in wanted_types or "COMBO" in made_types:
        return bool((made_types | wanted_types) & {"STRING"})
    return "INT" in made_types and "FLOAT" in wanted_types


def make_step(id: str, spec: NodeSpec, inputs: Mapping[str, Any], *, title: str = "", display: str, parent: str) -> Step:
    """A step of an expansion: its inputs may be live values and are not checked."""
    links = {name: link for name, value in inputs.items() if (link := as_link(value))}
    params = {port.name: port.default for port in spec.inputs if port.required and port.widget and not port.must_be_given}
    params |= {name: value for name, value in inputs.items() if name not in links}
    for name in links:
        params.pop(name, None)
    return Step(id, spec, params, links, title or spec.title or spec.type, display, parent)


def settle(value: Any) -> Any:
    """The result of a check that may have been written ``async``."""
    if not inspect.isawaitable(value):
        return value

    async def wait() -> Any:
        return await value

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, wait()).result()


def unused(prompt: Prompt, graph: Graph) -> list[str]:
    """Nodes that no output needs: nothing is wrong with them, but nothing will come of them."""
    return [id for id in prompt.nodes if id not in graph.steps]


def _ports(spec: NodeSpec, inputs: Mapping[str, Any]) -> Sequence[Port]:
    if spec.dynamic is None:
        return spec.inputs
    return [*spec.inputs, *(replace(spec.dynamic, name=name) for name in inputs if name not in spec.ports)]


def _reachable(steps: Mapping[str, Step], targets: Iterable[str]) -> dict[str, Step]:
    seen = set(targets)
    pending = list(seen)
    while pending:
        for link in steps[pending.pop()].links.values():
            if link.node not in seen:
                seen.add(link.node)
                pending.append(link.node)
    return {id: step for id, step in steps.items() if id in seen}


def _dependents(walk: _Walk, wanted: Sequence[str]) -> dict[str, list[str]]:
    """For each faulty node, the outputs that need it."""
    consumers: dict[str, list[str]] = {}
    for step in walk.steps.values():
        for link in step.links.values():
            consumers.setdefault(link.node, []).append(step.id)
    found: dict[str, list[str]] = {}
    for id in dict.fromkeys(problem.node for problem in walk.problems if problem.node is not None):
        seen, pending = {id}, [id]
        while pending:
            for consumer in consumers.get(pending.pop(), ()):
                if consumer not in seen:
                    seen.add(consumer)
                    pending.append(consumer)
        found[id] = [target for target in wanted if target in seen]
    return found


def _never(inputs: Mapping[str, Any], run: object) -> Outcome:
    raise AssertionError("a node of unknown type does not run")


def _unknown(node: PromptNode, specs: Mapping[str, NodeSpec], absent: Callable[[str], str | None]) -> Problem:
    cure = absent(node.type)
    if cure is None:
        near = nearest(node.type, list(specs))
        cure = f"Did you mean {' or '.join(near)}?" if near else "Install the pack that has it."
    extra = {"node_id": node.id, "class_type": node.type, "node_title": node.title or None}
    message = f"Node type '{node.type}' not found. The custom node may not be installed."
    details = f"Node ID '#{node.id}'"
    received = repr(node.type)
    return Problem(
        "missing_node_type", message, details, node.id, node.title, node.type, None, "a known node type", received, cure, extra
    )


def _loose_link(port: Port, value: list[Any]) -> Link | None:
    """A link whose node id was written as a number."""
    if len(value) == 2 and type(value[0]) is int and not port.options.get("multiselect"):
        return as_link([str(value[0]), value[1]])
    return None


def _listed(literals: Literals, port: Port, refusal: Refusal) -> Any:
    if port.choices is None:
        return port.type
    return (
        list(literals.choices(port)) if refusal.error == "value_not_in_list" and "input_config" not in refusal.extra else "COMBO"
    )
