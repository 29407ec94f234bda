"""How far a run is: by steps, for an exact rerun, or by the clock, for one that must end in time."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import torch


@dataclass
class Clock:
    """Progress from 0 to 1, over ``steps`` if there are any, else over ``minutes``."""

    steps: int
    minutes: float
    start: float = field(default_factory=time.monotonic)
    i: int = 0

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self.start

    @property
    def progress(self) -> float:
        """0 at the start, 1 and more when the run is over."""
        return self.i / self.steps if self.steps else self.seconds / 60 / self.minutes

    def tick(self) -> int:
        """Counts a step and says whether it is one to report: 1, 5, 20 and every 50th."""
        self.i += 1
        return self.i in (1, 5, 20) or self.i % 50 == 0

    def rate(self, warm: int, hold: float, last: float) -> float:
        """The learning rate's factor: linear warm-up, held, then half a cosine down to ``last``."""
        p = min(self.progress, 1.0)
        fall = last + (1 - last) * 0.5 * (1 + math.cos(math.pi * (p - hold) / (1 - hold))) if p > hold else 1.0
        return min(1.0, (self.i + 1) / warm) * fall


class Threads:
    """One thread while others use the cores, all of them otherwise.

    Two threads of which one waits for a busy core are slower than one. Linux counts the time of niced
    processes, as a training run should be, apart from that of others.
    """

    def __init__(self) -> None:
        self.most = torch.get_num_threads()
        self.calls = 0
        self.last: tuple[float, float] | None = None

    def tick(self) -> None:
        """Looks at the load every fifth call."""
        self.calls += 1
        if self.most < 2 or self.calls % 5:
            return
        with open("/proc/stat") as file:
            user, _nice, system = (int(x) for x in file.readline().split()[1:4])
        now = ((user + system) / 100, time.monotonic())
        if self.last:
            busy = (now[0] - self.last[0]) / max(now[1] - self.last[1], 1e-3)
            torch.set_num_threads(1 if busy > 0.35 else self.most)
        self.last = now
