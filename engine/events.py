"""What happens while a job runs. Terminal, browser and job store all read these; each one is state, so a replay is harmless."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True)

    job: str
    time: float = Field(default_factory=time.time)


class _StepEvent(_Event):
    """``node`` is "4" or, for a step that an expansion made, "4.0.body"; ``display`` is the node seen, ``parent`` who made it."""

    node: str
    display: str
    parent: str | None = None


class Queued(_Event):
    kind: Literal["queued"] = "queued"
    position: int = 0


class Started(_Event):
    """``nodes`` are the steps that the targets can reach."""

    kind: Literal["started"] = "started"
    nodes: tuple[str, ...] = ()


class Cached(_Event):
    """Steps whose results were there already; sent once, after Started, even when empty."""

    kind: Literal["cached"] = "cached"
    nodes: tuple[str, ...] = ()


class StepStarted(_StepEvent):
    kind: Literal["step_started"] = "step_started"
    type: str
    title: str


class Progress(_StepEvent):
    kind: Literal["progress"] = "progress"
    value: float
    total: float
    note: str = ""


class Preview(_StepEvent):
    """An encoded picture of the unfinished result."""

    kind: Literal["preview"] = "preview"
    data: bytes
    mime: str = "image/jpeg"


class StepFinished(_StepEvent):
    """``ui`` is what an output node shows, ``{"images": [...]}``; when that is an earlier run's, ``cached``.

    ``nbytes`` is the memory the step needed at its highest, above what was in use; 0 for steps too short to tell.
    """

    kind: Literal["step_finished"] = "step_finished"
    ui: Mapping[str, Any] | None = None
    cached: bool = False
    seconds: float = 0.0
    nbytes: int = 0


class StepBlocked(_StepEvent):
    """A node stopped a branch with a message; the job goes on."""

    kind: Literal["step_blocked"] = "step_blocked"
    message: str
    type: str = ""


class Finished(_Event):
    kind: Literal["finished"] = "finished"
    seconds: float = 0.0


class Failed(_Event):
    """``inputs`` is a short form of what the node was given; ``traceback`` is for the log and the API."""

    kind: Literal["failed"] = "failed"
    message: str
    node: str | None = None
    display: str | None = None
    type: str = ""
    title: str = ""
    exception_type: str = ""
    traceback: tuple[str, ...] = ()
    inputs: Mapping[str, Any] = Field(default_factory=dict)
    finished: tuple[str, ...] = ()


class Cancelled(_Event):
    kind: Literal["cancelled"] = "cancelled"
    node: str | None = None
    type: str = ""
    finished: tuple[str, ...] = ()


Event = Annotated[
    Queued | Started | Cached | StepStarted | Progress | Preview | StepFinished | StepBlocked | Finished | Failed | Cancelled,
    Field(discriminator="kind"),
]
Emit = Callable[[Any], None]
"""Takes an Event; called from any thread, in the order things happened within one node."""


def ignore(event: Any) -> None:
    """Emit to nobody."""
