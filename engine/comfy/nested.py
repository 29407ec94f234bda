"""Dotted input names of V3 nodes as the dicts their functions expect: ``images.image0`` is ``images["image0"]``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.comfy.faces.comfy_api.latest.io import Schema


def nested(values: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """Growing inputs get a dict of what there is of them; a choosing one the choice under its own name beside its inputs."""
    roots = {one.id: one for one in schema.inputs if one.grows}
    if not roots:
        return dict(values)
    found: dict[str, Any] = {}
    for name, value in values.items():
        root, *path = name.split(".")
        if root not in roots:
            found[name] = value
        elif not path:
            found.setdefault(root, {})[root] = value
        else:
            place = found.setdefault(root, {})
            for step in path[:-1]:
                place = place.setdefault(step, {})
            place[path[-1]] = value
    for root, one in roots.items():
        if root not in found and not one.optional:
            found[root] = {}
    return found
