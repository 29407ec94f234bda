"""What a model file can be refused for."""

from __future__ import annotations

from pathlib import Path


class CheckpointError(ValueError):
    """A model file that cannot be used: which one, what is wrong with it, what to do."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path.name}: {problem}.")
        self.path = path
        self.problem = problem
