"""Progress for people: one bar that says which node is at which step and how long a step takes."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any, TextIO

from engine import events

FULL, EMPTY = "█", "░"
BAR = 24


@dataclass
class Terminal:
    """Takes events from any thread. Where nobody looks (no terminal) it writes a line for each node that has steps."""

    out: TextIO = field(default_factory=lambda: sys.stderr)
    titles: dict[str, str] = field(default_factory=dict)
    _began: dict[str, tuple[float, float]] = field(default_factory=dict)
    _shown: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, event: Any) -> None:
        with self._lock:
            match event:
                case events.StepStarted(node=node, title=title):
                    self.titles[node] = title
                    self._began.pop(node, None)
                    self._draw(f"{title} ...", lasting=False)
                case events.Progress(node=node, value=value, total=total, note=note):
                    self._progress(node, value, total, note)
                case events.StepBlocked(message=message, node=node):
                    self._line(f"{self.titles.get(node, node)}: {message}")
                case events.Finished() | events.Failed() | events.Cancelled():
                    self._clear()
                case _:
                    pass

    def _progress(self, node: str, value: float, total: float, note: str) -> None:
        now = time.monotonic()
        first, began = self._began.setdefault(node, (value, now))
        done = value - first
        pace = f"{(now - began) / done:.2f} s/step" if done > 0 else ""
        part = min(1.0, value / total) if total else 0.0
        bar = FULL * round(part * BAR) + EMPTY * (BAR - round(part * BAR))
        finished = value >= total
        words = [self.titles.get(node, node), bar if self._live else "", f"{value:g}/{total:g}", pace, note]
        self._draw("  ".join(word for word in words if word), lasting=finished)

    @property
    def _live(self) -> bool:
        return self.out.isatty()

    def _draw(self, text: str, *, lasting: bool) -> None:
        if self._live:
            width = shutil.get_terminal_size().columns
            self.out.write(f"\r\x1b[K{text[: width - 1]}")
            self._shown = True
            if lasting:
                self.out.write("\n")
                self._shown = False
        elif lasting:
            self.out.write(f"{text}\n")
        self.out.flush()

    def _line(self, text: str) -> None:
        self._clear()
        self.out.write(f"{text}\n")
        self.out.flush()

    def _clear(self) -> None:
        if self._shown:
            self.out.write("\r\x1b[K")
            self._shown = False
            self.out.flush()
