"""A node that failed: which, at what, and what it was given."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any

from engine.graph import Step
from engine.refusals import short


class NodeError(Exception):
    """A node failed. ``inputs`` is a short form of what it was given; its own exception is the ``__cause__``."""

    def __init__(self, step: Step, error: BaseException, inputs: Mapping[str, Any], tried: list[str], ran: list[str]) -> None:
        self.node, self.type, self.title, self.display = step.id, step.spec.type, step.title, step.display
        self.inputs = {name: described(value) for name, value in inputs.items()}
        self.exception_type = type(error).__name__
        self.lines = tuple(traceback.format_exception(error))
        self.finished = tuple(ran)
        after = f" It ran out of memory after this was tried: {', '.join(tried)}." if tried else ""
        super().__init__(f"node {step.id} ({step.title}): {str(error) or self.exception_type}{after}")


def is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and ("out of memory" in str(error) or "can't allocate memory" in str(error))


def described(value: Any) -> Any:
    """A value in a few words: arrays by shape, networks by their class."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return short(value)[1:-1]
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{type(value).__name__} {tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, dict):
        return f"{type(value).__name__} of {', '.join(map(str, list(value)[:6]))}"
    return f"{type(value).__name__} of {len(value)}" if isinstance(value, list | tuple) else type(value).__name__
