"""Progress by node."""

from __future__ import annotations

from typing import Any

from engine.comfy.finder import missing
from engine.comfy.progress import report

__getattr__ = missing(__name__)


class ProgressRegistry:
    """Takes updates for any node of the job at work."""

    def update_progress(self, node_id: str, value: float, max_value: float, image: Any = None) -> None:
        report(value, max_value, image, node_id)

    def start_progress(self, node_id: str) -> None:
        """The engine says itself when a node starts."""

    def finish_progress(self, node_id: str) -> None:
        """The engine says itself when a node ends."""


def get_progress_state() -> ProgressRegistry:
    return ProgressRegistry()
