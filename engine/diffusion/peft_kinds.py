"""Kinds of adapters as peft defines them, where it differs from LyCORIS: DoRA's lengths, and rotations of inputs.

peft (Apache-2.0), ``peft/tuners/lora/dora.py``, ``oft/layer.py`` and ``boft/layer.py``. The strength of each is how much of the
change is made.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.diffusion.patches import Delta
from engine.diffusion.rotations import cayley


@dataclass(frozen=True, eq=False)
class Decomposed:
    """DoRA: the weight with the directions of W + dW and outputs as long as ``lengths`` says.

    Liu et al. 2024, https://arxiv.org/abs/2402.09353, equation 5.
    """

    delta: Delta
    lengths: Tensor

    def apply(self, weight: Tensor, strength: float) -> Tensor:
        moved = self.delta.apply(weight, 1.0)
        column = (-1, *[1] * (weight.ndim - 1))
        lengths = self.lengths.to(weight.device, torch.float32).reshape(column)
        norm = moved.flatten(1).norm(dim=1).reshape(column)
        return torch.lerp(weight, moved * (lengths / norm.clamp(min=1e-12)), strength)


@dataclass(frozen=True, eq=False)
class Turned:
    """Inputs turned within blocks: OFT's upper triangles of skew matrices (blocks, b (b - 1) / 2), BOFT's (stages, blocks, b, b).

    One block alone serves everywhere. ``scale`` (O, 1) is of outputs.
    """

    blocks: Tensor
    scale: Tensor | None = None

    @property
    def inputs(self) -> int | None:
        """How many columns the weight must have; None if any multiple of a block."""
        number, size = (self.blocks.shape[0], _side(self.blocks)) if self.blocks.ndim == 2 else self.blocks.shape[1:3]
        return None if number == 1 else number * size

    def apply(self, weight: Tensor, strength: float) -> Tensor:
        turned = weight.flatten(1)
        for i, turns in enumerate(self._turns(weight.device)):
            size = turns.shape[-1]
            order = butterfly(turned.shape[1], size, i).to(weight.device)
            mixed = torch.empty_like(turned).index_copy(1, order, turned).reshape(len(turned), -1, size)
            turned = torch.einsum("onk,nck->onc", mixed, turns.expand(mixed.shape[1], -1, -1)).flatten(1)[:, order]
        moved = turned.reshape(weight.shape)
        if self.scale is not None:
            moved = moved * self.scale.to(weight.device, torch.float32).reshape(-1, *[1] * (weight.ndim - 1))
        return torch.lerp(weight, moved, strength)

    def _turns(self, device: torch.device) -> Tensor:
        """(stages, blocks, b, b)."""
        blocks = self.blocks.to(device, torch.float32)
        if blocks.ndim == 4:
            return cayley(blocks / -2)
        size = _side(blocks)
        rows, columns = torch.triu_indices(size, size, 1)
        q = torch.zeros(len(blocks), size, size, device=device)
        q[:, rows, columns] = blocks
        q = q - q.mT
        square = q @ q
        return (torch.eye(size, device=device) + 2 * q + 2 * square + 2 * square @ q + square @ square)[None]


def _side(triangles: Tensor) -> int:
    """b of upper triangles with b (b - 1) / 2 numbers."""
    return (1 + math.isqrt(1 + 8 * triangles.shape[1])) // 2


def butterfly(length: int, size: int, stage: int) -> Tensor:
    """Where each place goes at a stage of BOFT: within 2^stage blocks the even half-blocks come before the odd ones."""
    places = torch.arange(length)
    if stage == 0:
        return places
    groups = places.reshape(-1, 2 ** (stage + 1), size // 2)
    return torch.cat([groups[:, ::2], groups[:, 1::2]], dim=1).flatten()
