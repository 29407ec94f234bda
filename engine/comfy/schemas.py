"""ComfyUI's V3 node classes, which declare a schema, as NodeSpecs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from engine.comfy.classes import Signature, hidden_value
from engine.comfy.faces.comfy_api.latest.io import ComfyNode, NodeOutput, Schema
from engine.comfy.host import calling
from engine.comfy.nested import nested
from engine.comfy.ports import port_of
from engine.comfy.results import nodes_of, padded, show
from engine.comfy.values import inward
from engine.run import Run
from engine.spec import Blocked, Declared, Expand, Link, NodeSpec, Outcome, Output, Port


async def node_classes(entrypoint: Callable[[], Any]) -> list[type[ComfyNode]]:
    """The classes of a pack's ComfyExtension."""
    extension = entrypoint()
    if inspect.isawaitable(extension):
        extension = await extension
    await extension.on_load()
    classes: list[type[ComfyNode]] = await extension.get_node_list()
    return classes


@dataclass(frozen=True)
class ForeignSchema:
    """A V3 class at work. It has no state: what belongs to a call is on a subclass made for it."""

    cls: type[ComfyNode]
    schema: Schema
    outputs: tuple[Output, ...]

    def call(self, inputs: Mapping[str, Any], run: Run) -> Outcome:
        with calling(run):
            return self.outcome(self.bound(run).execute(**self.arguments(inputs)), run)

    async def call_async(self, inputs: Mapping[str, Any], run: Run) -> Outcome:
        with calling(run):
            result = self.bound(run).execute(**self.arguments(inputs))
            return self.outcome(await result if inspect.isawaitable(result) else result, run)

    def needs(self, inputs: Mapping[str, Any], run: Run) -> Any:
        with calling(run):
            ask = self.bound(run).check_lazy_status
            return ask(**Signature.of(ask).chosen(self.arguments(inputs)))

    def fingerprint(self, literals: Mapping[str, Any], run: Run) -> Any:
        ask = self.bound(run).fingerprint_inputs
        signature = Signature.of(ask)
        kept = {name: value for name, value in literals.items() if value is not None or name not in signature.defaults}
        with calling(run):
            return ask(**signature.chosen(self.arguments(kept)))

    def validate(self, literals: Mapping[str, Any], linked: Mapping[str, str]) -> Any:
        ask = self.cls.validate_inputs
        signature = Signature.of(ask)
        given = signature.chosen(self.arguments({**literals, **dict.fromkeys(linked)}))
        if "input_types" in signature.names:
            given["input_types"] = dict(linked)
        answer = ask(**given)
        return _answer_later(answer) if inspect.isawaitable(answer) else _answer(answer)

    def arguments(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The keywords of a call; dotted names of growing and choosing inputs become dicts."""
        return nested({name: _given(value) for name, value in inputs.items()}, self.schema)

    def bound(self, run: Run) -> type[ComfyNode]:
        """The class for one call, with its hidden values."""
        hidden = {one.name: hidden_value(one.value, run) for one in self.schema.hidden}
        bound: type[ComfyNode] = type(
            self.cls.__name__, (self.cls,), {"hidden": _Hidden(hidden), "__module__": self.cls.__module__}
        )
        return bound

    def outcome(self, returned: Any, run: Run) -> Outcome:
        if not isinstance(returned, NodeOutput):
            returned = NodeOutput(*returned) if isinstance(returned, tuple) else NodeOutput.from_any(returned)
        show(returned.ui.as_dict() if hasattr(returned.ui, "as_dict") else returned.ui, run)
        if returned.block_execution is not None:
            return Blocked(returned.block_execution or None)
        values = padded(returned.args, self.outputs)
        return Expand(nodes_of(returned.expand), values) if returned.expand is not None else values


class _Hidden:
    """Hidden values by name; None for those nobody asked for."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.__dict__.update(values)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)


def spec_of_schema(cls: type[ComfyNode], *, module: str, version: str) -> NodeSpec:
    schema = cls.GET_SCHEMA()
    declared = {**cls.INPUT_TYPES()}
    inputs = tuple(
        replace(
            port_of(name, declaration, group == "required", cls.INPUT_TYPES, True), lazy=bool(_options(declaration).get("lazy"))
        )
        for group in ("required", "optional")
        for name, declaration in (declared.get(group) or {}).items()
    )
    outputs = tuple(
        Output(output.display_name or output.io_type, output.io_type, output.is_output_list, output.tooltip or "", output.choices)
        for output in schema.outputs
    )
    foreign = ForeignSchema(cls, schema, outputs)
    validates = cls.validate_inputs.__func__ is not ComfyNode.validate_inputs.__func__  # type: ignore[attr-defined]
    fingerprints = cls.fingerprint_inputs.__func__ is not ComfyNode.fingerprint_inputs.__func__  # type: ignore[attr-defined]
    validated = Signature.of(cls.validate_inputs) if validates else Signature(frozenset(), False)
    is_async = inspect.iscoroutinefunction(cls.execute)
    names = frozenset(port.name for port in inputs)
    grows = any(one.grows for one in schema.inputs) or schema.accept_all_inputs
    return NodeSpec(
        type=schema.node_id,
        call=foreign.call_async if is_async else foreign.call,
        inputs=inputs,
        outputs=outputs,
        title=schema.display_name or schema.node_id,
        category=schema.category,
        description=schema.description,
        module=module,
        output_node=schema.is_output_node,
        input_is_list=schema.is_input_list,
        is_async=is_async,
        dynamic=Port(name="_any", type="*", required=False) if grows else None,
        version=version,
        keyed_by_id=schema.not_idempotent or any(one.value == "UNIQUE_ID" for one in schema.hidden),
        fingerprint=foreign.fingerprint if fingerprints else None,
        validate=foreign.validate if validates else None,
        checks_itself=names if validated.any else validated.names & names,
        checks_types="input_types" in validated.names,
        needs=foreign.needs if any(port.lazy for port in inputs) else None,
        hidden={one.name: one.value for one in schema.hidden},
        deprecated=schema.is_deprecated,
        experimental=schema.is_experimental,
        dev_only=schema.is_dev_only,
        api_node=schema.is_api_node,
        search_aliases=tuple(schema.search_aliases),
        essentials_category=schema.essentials_category,
        intermediate_output=schema.has_intermediate_output,
        declared=tuple(_declared(one) for one in schema.inputs) if any(one.grows for one in schema.inputs) else (),
    )


def _declared(one: Any) -> Declared:
    if not one.grows:
        return Declared(one.id, not one.optional)
    kind, options = one.declared()
    return Declared(one.id, not one.optional, kind, {name: value for name, value in options.items() if value is not None})


def _options(declaration: Any) -> Mapping[str, Any]:
    return declaration[1] if isinstance(declaration, tuple) and len(declaration) > 1 else {}


def _given(value: Any) -> Any:
    if isinstance(value, Link):
        return [value.node, value.output]
    return [_given(item) for item in value] if type(value) is list and any(isinstance(i, Link) for i in value) else inward(value)


def _answer(answer: Any) -> Any:
    return None if answer is True else answer if isinstance(answer, str) else f"validate_inputs says {answer!r}"


async def _answer_later(answer: Any) -> Any:
    return _answer(await answer)


__all__ = ["node_classes", "spec_of_schema"]
