"""Weights turned instead of added to: OFT and BOFT, whose outputs keep their angles to each other.

Qiu et al. 2023, https://arxiv.org/abs/2306.07280; Liu et al. 2023, https://arxiv.org/abs/2311.06243. How the blocks are laid out
is that of LyCORIS (Apache-2.0), ``lycoris/functional/diag_oft.py`` and ``boft.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Rotation:
    """Outputs turned within blocks: (blocks, b, b) for OFT, (stages, blocks, b, b) for BOFT, whose stages mix ever farther ones.

    ``limit``: the norm the whole skew part is held under, as a share of the outputs; 0 is none. ``rescale`` (O, 1 ...) gives
    each output a length. The strength is how much of the change is made; for BOFT, of each stage.
    """

    blocks: Tensor
    limit: float = 0.0
    rescale: Tensor | None = None

    @property
    def outputs(self) -> int:
        """How many rows the weight must have."""
        return self.blocks.shape[-3] * self.blocks.shape[-1]

    def apply(self, weight: Tensor, strength: float) -> Tensor:
        blocks = self.blocks.to(weight.device, torch.float32)
        turns = cayley(blocks, self.limit * self.outputs)
        rescale = None if self.rescale is None else self.rescale.to(weight.device, torch.float32)
        if blocks.ndim == 4:
            moved = _butterfly(weight, turns, strength)
            return moved if rescale is None else moved * rescale.reshape(-1, *[1] * (weight.ndim - 1))
        rows = weight.reshape(*blocks.shape[:2], -1)
        moved = torch.einsum("knm,kni->kmi", turns, rows).reshape(weight.shape)
        if rescale is not None:
            moved = moved * rescale.reshape(-1, *[1] * (weight.ndim - 1))
        return torch.lerp(weight, moved, strength) if strength != 1.0 else moved


def cayley(blocks: Tensor, limit: float = 0.0) -> Tensor:
    """The rotations (..., b, b) of matrices: (I + Q)(I - Q)^-1 for their skew parts Q, held under the norm ``limit`` if set."""
    skew = blocks - blocks.transpose(-1, -2)
    norm = float(skew.norm()) + 1e-8
    if 0 < limit < norm:
        skew = skew * (limit / norm)
    identity = torch.eye(blocks.shape[-1], device=blocks.device)
    turned: Tensor = torch.linalg.solve(identity - skew, identity + skew, left=False)
    return turned


def _butterfly(weight: Tensor, stages: Tensor, strength: float) -> Tensor:
    """Each stage turns blocks of outputs twice as far apart as the one before."""
    size, rest = stages.shape[-1], weight.shape[1:]
    identity = torch.eye(size, device=weight.device)
    for i, turns in enumerate(stages):
        apart = 2**i * (size // 2)
        mixed = weight.reshape(-1, 2, apart, *rest).transpose(1, 2).reshape(-1, size, *rest)
        mixed = torch.einsum("bij,bj...->bi...", torch.lerp(identity, turns, strength), mixed)
        weight = mixed.reshape(-1, apart, 2, *rest).transpose(1, 2).reshape(-1, *rest)
    return weight
