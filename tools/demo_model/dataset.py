"""The encoded pictures and their captions, as endless batches."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .captions import caption
from .concepts import Scene
from .diffusion import STEPS, alphas_cumprod, noised
from .tokens import Compact

EMPTY, UNKNOWN = 0.1, 0.06
"""The part of captions left out, for classifier-free guidance, and with unknown words mixed in."""
HIGH_T = 0.2
"""The part of each batch moved to t >= 750, where a picture's background is decided."""


class Batch(NamedTuple):
    """Noised latents (B, 4, 16, 16), their noise, time steps (B,) and caption rows (B, 77)."""

    x: Tensor
    noise: Tensor
    t: Tensor
    rows: Tensor


class Latents:
    """What ``encode.py`` wrote, and what is in each picture."""

    def __init__(self, data: Path) -> None:
        with np.load(data / "latents.npz") as file:
            self.mean, self.std = torch.from_numpy(file["mean"]), torch.from_numpy(file["std"])
        self.scenes: list[Scene] = json.loads((data / "meta.json").read_text())

    def __len__(self) -> int:
        return len(self.mean)

    def draw(self, ids: np.ndarray, generator: torch.Generator) -> Tensor:
        """A sample of the posterior of each picture."""
        ii = torch.from_numpy(ids)
        spread = torch.randn(len(ids), 4, 16, 16, generator=generator)
        return self.mean[ii].float() + self.std[ii].float() * spread


def caption_rows(scene: Scene, compact: Compact, rng: np.random.Generator) -> list[int]:
    """A caption's 77 rows: sometimes empty, sometimes with unknown words between."""
    r = rng.random()
    rows = [] if r < EMPTY else compact.words(caption(scene, rng))
    if EMPTY <= r < EMPTY + UNKNOWN:
        for _ in range(rng.integers(1, 4)):
            rows.insert(int(rng.integers(0, len(rows) + 1)), 0)
    return compact.padded(rows)


def time_steps(size: int, generator: torch.Generator) -> Tensor:
    """Time steps spread evenly over the schedule, shuffled, and some moved to its noisy quarter."""
    t = ((torch.arange(size) + torch.rand(size, generator=generator)) / size * STEPS).long().clamp(max=STEPS - 1)
    t = t[torch.randperm(size, generator=generator)]
    moved = int(size * HIGH_T)
    t[:moved] = 750 + (torch.rand(moved, generator=generator) * 250).long()
    return t


def batches(latents: Latents, compact: Compact, size: int, seed: int) -> Iterator[Batch]:
    """Every picture once, in a new order, again and again."""
    rng = np.random.default_rng([seed, 77])
    generator = torch.Generator().manual_seed(seed + 1)
    ac = alphas_cumprod()
    order, at = rng.permutation(len(latents)), 0
    while True:
        if at + size > len(order):
            order, at = rng.permutation(len(latents)), 0
        ids = order[at : at + size]
        at += size
        rows = torch.tensor([caption_rows(latents.scenes[j], compact, rng) for j in ids])
        x = latents.draw(ids, generator)
        t = time_steps(size, generator)
        noise = torch.randn(size, 4, 16, 16, generator=generator)
        yield Batch(noised(x, noise, ac[t].view(-1, 1, 1, 1)), noise, t, rows)


def ahead(source: Iterator[Batch], depth: int = 4) -> Iterator[Batch]:
    """The same batches, made in a thread of their own."""
    queue: Queue[Batch] = Queue(depth)

    def feed() -> None:
        for batch in source:
            queue.put(batch)

    Thread(target=feed, daemon=True).start()
    while True:
        yield queue.get()
