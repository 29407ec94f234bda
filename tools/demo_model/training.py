"""What the two stages that make the few-step LoRA have in common: the loop, and how its state is kept."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Protocol

import torch

from .clock import Clock, Threads
from .lora import Lora
from .optimizers import Average


class Stage(Protocol):
    """A stage in the making. Its state is saved with the averaged factors of ``student``."""

    student: Lora
    average: Average

    def step(self, factor: float) -> tuple[float, ...]:
        """One update at that share of the learning rate; the losses before it."""
        ...


def train(stage: Stage, clock: Clock, warm: int, hold: float, last: float, path: Path) -> None:
    """Steps until the clock has run out, with its learning rate; now and then the losses are told and the state is saved."""
    threads = Threads()
    losses: deque[tuple[float, ...]] = deque(maxlen=50)
    while clock.progress < 1:
        threads.tick()
        losses.append(stage.step(clock.rate(warm, hold, last)))
        if clock.tick():
            means = ", ".join(f"{sum(column) / len(losses):.4f}" for column in zip(*losses, strict=True))
            print(f"{clock.i} p {clock.progress:.3f} {clock.seconds:.0f}s loss {means}", flush=True)
            save(stage, path)
    save(stage, path)
    print(f"{clock.i} steps, {clock.seconds:.0f} seconds")


def save(stage: Stage, path: Path) -> None:
    """The averaged factors, as ``export`` and the next stage read them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stage.average.swap()
    torch.save({"rank": stage.student.most, "state": stage.student.state_dict()}, path)
    stage.average.swap()
