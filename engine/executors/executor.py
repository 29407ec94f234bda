"""Where graphs run. ``local`` is this process; whatever else there will be keeps the same promises."""

from __future__ import annotations

from typing import Protocol

from engine.execution import Results
from engine.graph import Graph
from engine.run import Job


class Executor(Protocol):
    """Runs checked graphs. Emits to ``job.emit`` what ``execute`` emits, and ends with its results or its errors."""

    async def run(self, graph: Graph, job: Job) -> Results:
        """From any loop; cancelling the await cancels the job."""
        ...

    def close(self) -> None:
        """Start nothing more."""
        ...
