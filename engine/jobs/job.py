"""A job as the rest of the program sees it: plain values, no database.

```
queued -> running -> done | failed | cancelled
   |         '-> queued (its worker died; see leases.py)
   '-> cancelled
```
"""

import json
import math
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Document = dict[str, Any]
"""A JSON object."""


class JobError(Exception):
    """A change that the job's state does not allow, or a job that is not there."""


class State(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINISHED = (State.DONE, State.FAILED, State.CANCELLED)
OPEN = (State.QUEUED, State.RUNNING)


ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def now() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def dump(value: object) -> str:
    """Compact JSON in ASCII, so that no odd character in a prompt can break a store or a socket."""
    return ENCODER.encode(value)


def plain(value: Any) -> Any:
    """What JSON can say of a value that a node made: no NaN, no objects, no keys that are no text."""
    try:
        dump(value)
    except (TypeError, ValueError, RecursionError):
        return _plain(value, 20)
    return value


def _plain(value: Any, depth: int) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, dict) and depth:
        return {str(key): _plain(inner, depth - 1) for key, inner in value.items()}
    if isinstance(value, list | tuple) and depth:
        return [_plain(inner, depth - 1) for inner in value]
    return repr(value)[:1000]


@dataclass(frozen=True, slots=True)
class Submission:
    """What a client asks for; ``prompt`` is the API form that passed the checks."""

    prompt: Document
    targets: Sequence[str]
    owner: str = "default"
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    chosen_id: bool = False
    """The client chose the id, so that there may be a job of that id already."""
    client_id: str | None = None
    extra: Document = field(default_factory=dict)
    number: float | None = None
    front: bool = False
    priority: int = 0
    idempotency_key: str | None = None
    workflow_id: str | None = None
    title: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """A row of the table; the documents stay JSON text until someone reads them."""

    seq: int
    id: str
    owner: str
    state: State
    rank: int
    number: float
    client_id: str | None
    workflow_id: str | None
    title: str
    prompt_text: str
    extra_text: str
    targets_text: str
    created: int
    started: int | None
    finished: int | None
    worker: str | None
    attempts: int
    cancel_asked: bool
    outputs_text: str | None
    meta_text: str | None
    messages_text: str | None
    error_text: str | None
    outputs_count: int

    @property
    def priority(self) -> int:
        return -self.rank

    @property
    def prompt(self) -> Document:
        return load(self.prompt_text)

    @property
    def extra(self) -> Document:
        return load(self.extra_text)

    @property
    def targets(self) -> list[str]:
        found: list[str] = json.loads(self.targets_text)
        return found

    @property
    def outputs(self) -> Document:
        return load(self.outputs_text)

    @property
    def error(self) -> Document | None:
        return load(self.error_text) if self.error_text else None


def load(text: str | None) -> Document:
    found: Document = json.loads(text) if text else {}
    return found
