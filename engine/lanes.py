"""What an execution asks of the place it runs in: threads, and a way to make room."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from engine.run import Job


class Lanes(Protocol):
    """Threads that steps run on, shared by all jobs."""

    def width(self, lane: str) -> int:
        """How many steps may run at once on ``lane``."""
        ...

    def start(self, lane: str, work: Callable[[], None]) -> None:
        """Do ``work`` on one of the lane's threads as soon as one is free."""
        ...


Relief = Callable[[Job], list[str]]
"""Frees memory when a node ran out of it; says what it did, nothing if there was nothing to do."""
