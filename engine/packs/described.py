"""Node types in plain words, as they cross from a pack's process to ours."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from engine.folders import Folders
from engine.graph import Step
from engine.packs.wire import StaysError
from engine.run import Run
from engine.spec import MISSING, Blocked, Declared, Expand, Folder, NodeSpec, Outcome, Output, Port

WORDS = ("title", "category", "description", "output_node", "input_is_list", "keyed_by_id", "retry", "deprecated", "experimental",
         "dev_only", "api_node", "checks_types", "essentials_category", "intermediate_output")  # fmt: skip


def described(spec: NodeSpec, folders: Folders) -> dict[str, Any]:
    """A node type in plain words."""
    return {
        **{word: getattr(spec, word) for word in ("type", "lane", *WORDS)},
        "search_aliases": list(spec.search_aliases), "hidden": dict(spec.hidden), "checks_itself": sorted(spec.checks_itself),
        "inputs": [port_in_words(port, folders, spec) for port in spec.inputs],
        "dynamic": port_in_words(spec.dynamic, folders, spec) if spec.dynamic else None,
        "outputs": [[one.name, str(one.type), one.is_list, one.tooltip, list(one.choices) if one.choices else None]
                    for one in spec.outputs],
        "declared": [[one.name, one.required, one.type, plain(dict(one.options))] for one in spec.declared],
        "asks": [name for name in ("fingerprint", "validate", "needs") if getattr(spec, name) is not None],
    }  # fmt: skip


def port_in_words(port: Port, folders: Folders, spec: NodeSpec) -> dict[str, Any]:
    choices = port.choices
    folder = [choices.name, list(choices.extra), list(choices.suffixes)] if isinstance(choices, Folder) else None
    listed = None if choices is None or folder else list(choices(folders) if callable(choices) else choices)
    asked = callable(choices) and not folder
    return {
        "asked": asked, "name": port.name, "type": port.type, "required": port.required,
        "default": None if port.default is MISSING else port.default, "has_default": port.default is not MISSING,
        "widget": port.widget, "lazy": port.lazy and spec.needs is not None,
        "raw": port.raw, "folder": folder, "choices": listed, "options": plain(dict(port.options)),
    }  # fmt: skip


class Caller(Protocol):
    """The way into a pack's process."""

    @property
    def name(self) -> str: ...

    def ask(self, run: Run, **message: Any) -> dict[str, Any]: ...

    def ask_if_idle(self, **message: Any) -> Any: ...


@dataclass(eq=False)
class Choices:
    """Choices that may be others by now; those of last time while the pack is at work or does not answer."""

    caller: Caller
    type: str
    port: str
    known: list[Any]

    def __call__(self, folders: Folders) -> Sequence[Any]:
        with suppress(RuntimeError):
            now = self.caller.ask_if_idle(op="choices", type=self.type, port=self.port)
            self.known = self.known if now is None else list(now)
        return self.known


@dataclass(frozen=True)
class Remote:
    """A node type in another process: each of its functions is a call."""

    caller: Caller
    type: str

    def call(self, inputs: Mapping[str, Any], run: Run) -> Outcome:
        try:
            said = self.caller.ask(run, op="call", type=self.type, inputs=dict(inputs))
        except StaysError as error:
            name = next((name for name, value in inputs.items() if holds(value, error.value)), "")
            raise StaysError(f"input {name!r}: the {type(error.value).__name__} {error}", error.value) from None
        run.emit_ui(**said["ui"])
        value = said["value"]
        return value if isinstance(value, Blocked | Expand) else tuple(value)

    def fingerprint(self, inputs: Mapping[str, Any], run: Run) -> Any:
        return self.caller.ask(run, op="fingerprint", type=self.type, inputs=dict(inputs))["value"]

    def validate(self, inputs: Mapping[str, Any], linked: Mapping[str, str]) -> Any:
        return self.caller.ask_if_idle(op="validate", type=self.type, inputs=dict(inputs), linked=dict(linked))

    def needs(self, inputs: Mapping[str, Any], run: Run) -> Any:
        return self.caller.ask(run, op="needs", type=self.type, inputs=dict(inputs))["value"]


def holds(value: Any, wanted: Any) -> bool:
    """Whether ``wanted`` is this value or somewhere in it."""
    if isinstance(value, Mapping):
        return any(holds(item, wanted) for item in value.values())
    return value is wanted or (isinstance(value, list | tuple) and any(holds(item, wanted) for item in value))


def spec_of(caller: Caller, told: Mapping[str, Any], version: str) -> NodeSpec:
    """A node type from its words."""
    remote = Remote(caller, str(told["type"]))
    asks = {name: getattr(remote, name) for name in ("fingerprint", "validate", "needs") if name in told["asks"]}
    return NodeSpec(
        type=remote.type, call=remote.call, inputs=tuple(port_of(port, remote) for port in told["inputs"]),
        outputs=tuple(output_of(*one) for one in told["outputs"]), module=f"custom_nodes.{caller.name}", version=version,
        lane="io" if told["lane"] == "io" else "device",
        dynamic=port_of(told["dynamic"], remote) if told["dynamic"] else None, search_aliases=tuple(told["search_aliases"]),
        hidden=dict(told["hidden"]), checks_itself=frozenset(told["checks_itself"]), **asks,
        declared=tuple(Declared(name, required, kind, options) for name, required, kind, options in told["declared"]),
        **{word: told[word] for word in WORDS},
    )  # fmt: skip


def output_of(name: str, type: str, is_list: bool, tooltip: str, choices: list[Any] | None) -> Output:
    return Output(str(name), str(type), bool(is_list), str(tooltip), choices)


def port_of(told: Mapping[str, Any], remote: Remote) -> Port:
    folder = told["folder"]
    listed = Choices(remote.caller, remote.type, str(told["name"]), told["choices"]) if told["asked"] else told["choices"]
    return Port(
        name=str(told["name"]), type=str(told["type"]), required=bool(told["required"]),
        default=told["default"] if told["has_default"] else MISSING, widget=bool(told["widget"]), lazy=bool(told["lazy"]),
        raw=bool(told["raw"]), options=dict(told["options"]),
        choices=Folder(folder[0], tuple(folder[1]), tuple(folder[2])) if folder else listed,
    )  # fmt: skip


def step_in_words(step: Step) -> dict[str, Any]:
    links = {name: [link.node, link.output] for name, link in step.links.items()}
    return {
        "type": step.spec.type,
        "params": plain(dict(step.params)),
        "links": links,
        "display": step.display,
        "parent": step.parent,
    }


def plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str)) if value is not None else None
