"""Which node is at work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from engine.comfy.finder import missing
from engine.comfy.host import CURRENT

__getattr__ = missing(__name__)


class ExecutionContext(NamedTuple):
    prompt_id: str
    node_id: str
    list_index: int | None


def get_executing_context() -> ExecutionContext | None:
    call = CURRENT.get()
    return ExecutionContext(call.run.job.id, call.run.node, call.run.call_index) if call else None


@contextmanager
def CurrentNodeContext(prompt_id: str, node_id: str, list_index: int | None = None) -> Iterator[None]:
    """Accepted; who is at work is known already."""
    yield
