"""A content key for each step: what would make its result differ, and nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

from engine.graph import Step
from engine.prints import Print
from engine.spec import Known

Key = bytes
NBYTES = 20
SCALARS = {str, int, float, bool, type(None)}

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


NO_PRINT = Print()


def keys(steps: Iterable[Step], prints: Mapping[str, Print]) -> dict[str, Key]:
    """The key of each step; sources come before consumers."""
    found: dict[str, Key] = {}
    for step in steps:
        found[step.id] = step_key(step, found, prints.get(step.id, NO_PRINT))
    return found


def step_key(step: Step, sources: Mapping[str, Key], print: Print = NO_PRINT) -> Key:
    """H(type, code, params, where its links come from, print). 1, 1.0 and True differ; the order of inputs does not count.

    A file's name gives way to its content: a renamed file is the same file. A live value, which an expansion passes down,
    stands for its place below the key of the step that made it. A print of NaN is like no other.
    """
    if isinstance(print.other, float) and print.other != print.other:
        return os.urandom(NBYTES)
    spec, links = step.spec, step.links
    params = {**step.params, **print.files} if print.files else step.params
    names = sorted(links)
    ports = [(name, links[name].output) for name in names]
    identity = step.id if spec.keyed_by_id else None
    try:
        if print.other is None and SCALARS.issuperset(map(type, params.values())):
            text = repr((spec.type, spec.version, sorted(params.items()), ports, identity))
        else:
            text = _encode((spec.type, spec.version, params, ports, print.other, identity))
    except (TypeError, ValueError, RecursionError):
        made_by = sources[step.parent].hex() if step.parent else os.urandom(NBYTES).hex()
        params = {name: _written(value, f"{made_by}/{step.id}/{name}") for name, value in params.items()}
        text = _encode((spec.type, spec.version, params, ports, _written(print.other, repr(print.other)), identity))
    return blake2b(b"".join([text.encode(), *[sources[links[name].node] for name in names]]), digest_size=NBYTES).digest()


def _written(value: Any, otherwise: str) -> Any:
    if isinstance(value, Known):
        return {"known": value.print}
    try:
        _encode(value)
        return value
    except (TypeError, ValueError, RecursionError):
        return {"live": otherwise}
