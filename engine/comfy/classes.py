"""ComfyUI's V1 node classes as NodeSpecs: the contract is theirs, the execution ours."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.comfy.host import calling, host
from engine.comfy.ports import dynamic_of, outputs_of, ports_of
from engine.comfy.prompts import DynamicPrompt
from engine.comfy.results import outcome_of
from engine.comfy.values import inward
from engine.run import Run
from engine.spec import Link, NodeSpec, Outcome, Output


class ClassError(TypeError):
    """A class in NODE_CLASS_MAPPINGS that is no node."""


@dataclass(frozen=True)
class Signature:
    """What a function can be passed by name: the names it has, and whether it takes any other."""

    names: frozenset[str]
    any: bool
    defaults: frozenset[str] = frozenset()

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Signature:
        parameters = inspect.signature(function).parameters.values()
        named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        return cls(
            frozenset(p.name for p in named),
            any(p.kind is p.VAR_KEYWORD for p in parameters),
            frozenset(p.name for p in named if p.default is not p.empty),
        )

    def chosen(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return dict(values) if self.any else {name: value for name, value in values.items() if name in self.names}


@dataclass(frozen=True)
class ForeignClass:
    """A V1 class at work."""

    type_name: str
    cls: type[Any]
    function: str
    hidden: Mapping[str, str]
    declared: frozenset[str]
    outputs: tuple[Output, ...]
    any_literal: bool
    whole_lists: bool

    def call(self, inputs: Mapping[str, Any], run: Run) -> Outcome:
        with calling(run):
            return outcome_of(self.function_of(run)(**self.arguments(inputs, run)), self.outputs, run)

    async def call_async(self, inputs: Mapping[str, Any], run: Run) -> Outcome:
        with calling(run):
            result = self.function_of(run)(**self.arguments(inputs, run))
            return outcome_of(await result if inspect.isawaitable(result) else result, self.outputs, run)

    def needs(self, inputs: Mapping[str, Any], run: Run) -> Any:
        """What ``check_lazy_status`` says is still missing."""
        with calling(run):
            ask = self.instance(run).check_lazy_status
            return ask(**Signature.of(ask).chosen(self.arguments(inputs, run)))

    def fingerprint(self, literals: Mapping[str, Any], run: Run) -> Any:
        """IS_CHANGED of the literals; links are None."""
        ask = self.cls.IS_CHANGED
        signature = Signature.of(ask)
        kept = {name: value for name, value in literals.items() if value is not None or name not in signature.defaults}
        values = {name: [value] for name, value in kept.items()} if self.whole_lists else kept
        unknown: dict[str, Any] = {"PROMPT": {}, "EXTRA_PNGINFO": None, "DYNPROMPT": None}
        hidden = self.hidden_values(run) | {name: unknown[kind] for name, kind in self.hidden.items() if kind in unknown}
        with calling(run):
            return ask(**signature.chosen({**values, **self.listed(hidden)}))

    def validate(self, literals: Mapping[str, Any], linked: Mapping[str, str]) -> Any:
        """VALIDATE_INPUTS: links are None, their types come as ``input_types`` if it wants them."""
        ask = self.cls.VALIDATE_INPUTS
        signature = Signature.of(ask)
        values = {**literals, **dict.fromkeys(linked)}
        given = signature.chosen({name: [value] for name, value in values.items()} if self.whole_lists else values)
        if "input_types" in signature.names:
            given["input_types"] = dict(linked)
        answer = ask(**given)
        return _answer_later(answer) if inspect.isawaitable(answer) else _answer(answer)

    def instance(self, run: Run) -> Any:
        return host().instance(self.type_name, self.cls, run)

    def function_of(self, run: Run) -> Callable[..., Any]:
        found: Callable[..., Any] = getattr(self.instance(run), self.function)
        return found

    def arguments(self, inputs: Mapping[str, Any], run: Run) -> dict[str, Any]:
        """The keywords of a call: inputs as ComfyUI passes them, and the hidden ones."""
        step = None if self.any_literal else run.job.steps.get(run.node)
        links = self.declared if step is None else self.declared | step.links.keys()
        each = _given_list if self.whole_lists else _given
        given = {name: each(value) for name, value in inputs.items() if step is None or name in links}
        return {**given, **self.listed(self.hidden_values(run))}

    def listed(self, hidden: Mapping[str, Any]) -> dict[str, Any]:
        return {name: [value] for name, value in hidden.items()} if self.whole_lists else dict(hidden)

    def hidden_values(self, run: Run) -> dict[str, Any]:
        return {name: hidden_value(kind, run) for name, kind in self.hidden.items()}


def hidden_value(kind: str, run: Run) -> Any:
    """What stands for a hidden input; what only ComfyUI's own paid services need is None."""
    match kind:
        case "UNIQUE_ID":
            return run.node
        case "PROMPT":
            return dict(run.prompt) if run.prompt is not None else {}
        case "EXTRA_PNGINFO":
            return dict(run.job.extra) or None
        case "DYNPROMPT":
            return DynamicPrompt(run)
    return None


def spec_of_class(type_name: str, cls: type[Any], *, title: str, module: str, version: str) -> NodeSpec:
    """The NodeSpec of a class in NODE_CLASS_MAPPINGS."""
    if not callable(getattr(cls, "INPUT_TYPES", None)):
        raise ClassError(f"{type_name}: it has no INPUT_TYPES")
    function_name = str(getattr(cls, "FUNCTION", ""))
    function = getattr(cls, function_name, None) if function_name else None
    if function is None:
        raise ClassError(f"{type_name}: FUNCTION names {function_name!r}, which it does not have")
    declare: Callable[[], Mapping[str, Any]] = cls.INPUT_TYPES
    declared = declare()
    hidden = {str(name): str(_first(kind)) for name, kind in (declared.get("hidden") or {}).items()}
    lazy = hasattr(cls, "check_lazy_status")
    inputs = ports_of(declare, lazy)
    outputs = outputs_of(cls)
    takes_any = Signature.of(function).any
    dynamic = dynamic_of(declared, takes_any)
    any_literal = dynamic_of(declared, False) is not None
    whole_lists = bool(getattr(cls, "INPUT_IS_LIST", False))
    foreign = ForeignClass(
        type_name, cls, function_name, hidden, frozenset(port.name for port in inputs), outputs, any_literal, whole_lists
    )
    validates = hasattr(cls, "VALIDATE_INPUTS")
    validated = Signature.of(cls.VALIDATE_INPUTS) if validates else Signature(frozenset(), False)
    is_async = inspect.iscoroutinefunction(function)
    return NodeSpec(
        type=type_name,
        call=foreign.call_async if is_async else foreign.call,
        inputs=inputs,
        outputs=outputs,
        title=title,
        category=str(getattr(cls, "CATEGORY", "sd")),
        description=str(getattr(cls, "DESCRIPTION", "") or ""),
        module=module,
        output_node=getattr(cls, "OUTPUT_NODE", False) is True,
        input_is_list=whole_lists,
        is_async=is_async,
        dynamic=dynamic,
        version=version,
        keyed_by_id=bool(getattr(cls, "NOT_IDEMPOTENT", False)) or "UNIQUE_ID" in hidden.values(),
        fingerprint=foreign.fingerprint if hasattr(cls, "IS_CHANGED") else None,
        validate=foreign.validate if validates else None,
        checks_itself=foreign.declared if validated.any else validated.names & foreign.declared,
        checks_types="input_types" in validated.names,
        needs=foreign.needs if lazy and any(port.lazy for port in inputs) else None,
        hidden=hidden,
        deprecated=bool(getattr(cls, "DEPRECATED", False)),
        experimental=bool(getattr(cls, "EXPERIMENTAL", False)),
        dev_only=bool(getattr(cls, "DEV_ONLY", False)),
        api_node=bool(getattr(cls, "API_NODE", False)),
        search_aliases=tuple(getattr(cls, "SEARCH_ALIASES", ()) or ()),
        essentials_category=getattr(cls, "ESSENTIALS_CATEGORY", None),
        intermediate_output=bool(getattr(cls, "HAS_INTERMEDIATE_OUTPUT", False)),
    )


def _given(value: Any) -> Any:
    return [value.node, value.output] if isinstance(value, Link) else inward(value)


def _given_list(values: list[Any]) -> list[Any]:
    return [_given(value) for value in values]


def _first(kind: Any) -> Any:
    return kind[0] if isinstance(kind, tuple | list) and kind else kind


def _answer(answer: Any) -> Any:
    """ComfyUI takes True alone for yes."""
    if answer is True:
        return None
    return answer if isinstance(answer, str) else f"VALIDATE_INPUTS says {answer!r}"


async def _answer_later(answer: Any) -> Any:
    return _answer(await answer)
