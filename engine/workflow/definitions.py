"""Node types as ComfyUI's editor and clients read them: the shape of ``/object_info``."""

import logging
from collections.abc import Mapping
from typing import Any

from engine.folders import Folders
from engine.spec import NodeSpec, Port

log = logging.getLogger(__name__)
Info = dict[str, Any]


def describe_all(specs: Mapping[str, NodeSpec], folders: Folders | None = None) -> Info:
    """What each type looks like; one whose choices cannot be listed is left out and logged."""
    found: Info = {}
    for name, spec in specs.items():
        try:
            found[name] = describe(spec, folders or Folders())
        except Exception:
            log.exception("The inputs of node type %s cannot be listed; it is left out.", name)
    return found


def describe(spec: NodeSpec, folders: Folders) -> Info:
    required, optional = describe_declared(spec, folders) if spec.declared else describe_ports(spec, folders)
    if spec.dynamic is not None and spec.dynamic.name not in optional and not spec.dynamic.name.startswith("_"):
        optional[spec.dynamic.name] = describe_port(spec.dynamic, folders)
    inputs: Info = {"required": required}
    order: dict[str, list[str]] = {"required": list(required)}
    if optional:
        inputs["optional"], order["optional"] = optional, list(optional)
    if spec.hidden:
        inputs["hidden"], order["hidden"] = dict(spec.hidden), list(spec.hidden)
    info: Info = {
        "input": inputs,
        "input_order": order,
        "is_input_list": spec.input_is_list,
        "output": [list(output.choices) if output.choices is not None else output.type for output in spec.outputs],
        "output_is_list": [output.is_list for output in spec.outputs],
        "output_name": [output.name for output in spec.outputs],
        "output_tooltips": [output.tooltip for output in spec.outputs],
        "name": spec.type,
        "display_name": spec.title or spec.type,
        "description": spec.description,
        "python_module": spec.module,
        "category": spec.category,
        "output_node": spec.output_node,
        "has_intermediate_output": spec.intermediate_output,
        "deprecated": spec.deprecated,
        "experimental": spec.experimental,
        "dev_only": spec.dev_only,
        "api_node": spec.api_node,
        "search_aliases": list(spec.search_aliases),
        "essentials_category": spec.essentials_category,
    }
    if not any(info["output_tooltips"]):
        del info["output_tooltips"]
    return info


def describe_ports(spec: NodeSpec, folders: Folders) -> tuple[Info, Info]:
    """The required and the optional inputs, one a port."""
    required = {port.name: describe_port(port, folders) for port in spec.inputs if port.required}
    return required, {port.name: describe_port(port, folders) for port in spec.inputs if not port.required}


def describe_declared(spec: NodeSpec, folders: Folders) -> tuple[Info, Info]:
    """The same of a node whose ports grow with their links or follow a choice, which an editor works out itself."""
    groups: tuple[Info, Info] = ({}, {})
    for one in spec.declared:
        port = spec.ports[one.name] if one.type is None else None
        groups[0 if one.required else 1][one.name] = describe_port(port, folders) if port else [one.type, dict(one.options)]
    return groups


def describe_port(port: Port, folders: Folders) -> list[Any]:
    """``[type, options]``; for a choice, the choices stand in the type's place."""
    options = {name: value for name, value in port.options.items() if value is not None}
    if port.choices is None:
        return [port.type, options]
    choices = port.choices(folders) if callable(port.choices) else port.choices
    return [list(choices), options]
