"""What is wrong with a prompt: every problem at once, each with its cure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SHOWN = 50


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault. ``error``, ``message``, ``details`` and ``extra`` are what ComfyUI's clients read; the rest is for people.

    ``node`` is None when the prompt as a whole is at fault.
    """

    error: str
    message: str
    details: str = ""
    node: str | None = None
    title: str = ""
    type: str = ""
    input: str | None = None
    expected: str = ""
    received: str = ""
    cure: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        parts = []
        if self.node is not None:
            name = self.title or self.type
            parts.append(f"node {self.node} ({name})" if name else f"node {self.node}")
        if self.input is not None:
            parts.append(self.input)
        if self.expected and self.received:
            parts.append(f"expected {self.expected}, got {self.received}.")
        elif self.expected:
            parts.append(f"expected {self.expected}.")
        else:
            parts.append(self.details or self.message)
        text = ": ".join(parts)
        return f"{text.rstrip('.')}. {self.cure}" if self.cure else text


class GraphError(ValueError):
    """A prompt that cannot run. ``dependents`` are, for each faulty node, the outputs that need it."""

    def __init__(self, problems: Sequence[Problem], dependents: Mapping[str, Sequence[str]] | None = None) -> None:
        self.problems = tuple(problems)
        self.dependents = dict(dependents or {})
        more = len(self.problems) - SHOWN
        lines = [str(problem) for problem in self.problems[:SHOWN]] + ([f"... and {more} more"] if more > 0 else [])
        super().__init__("\n".join(lines))

    @property
    def whole(self) -> Problem | None:
        """The problem with the prompt as a whole, if that is what it is."""
        return next((problem for problem in self.problems if problem.node is None), None)
