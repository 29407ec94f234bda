"""The random numbers of a seed. All are drawn on the CPU, so a seed means the same picture on every device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from engine.diffusion.denoise import Noise


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed % 2**64)


def starting_noise(shape: Sequence[int], seed: int, batch_index: Sequence[int] | None = None) -> Tensor:
    """Unit normal noise of ``shape`` (B, C, ...), float32, for the sampler's starting point.

    With ``batch_index`` sample k gets the noise that sample ``batch_index[k]`` has in a batch drawn one by one, so one
    picture of a batch can be made again alone; equal indices get equal noise.
    """
    generator = _generator(seed)
    if batch_index is None:
        return torch.randn(tuple(shape), generator=generator)
    if len(batch_index) != shape[0]:
        raise ValueError(f"batch_index has {len(batch_index)} entries for a batch of {shape[0]}")
    draws = [torch.randn((1, *shape[1:]), generator=generator) for _ in range(max(batch_index) + 1)]
    return torch.cat([draws[k] for k in batch_index])


def fresh(x: Tensor, seed: int) -> Noise:
    """A new draw for each call, from a generator seeded with ``seed + 1``: not the starting noise again."""
    generator = _generator(seed + 1)
    shape, dtype, device = x.shape, x.dtype, x.device

    def noise(sigma: Tensor, sigma_next: Tensor) -> Tensor:
        return torch.randn(shape, dtype=dtype, generator=generator).to(device)

    return noise


def brownian(x: Tensor, sigma_min: float, sigma_max: float, seed: int) -> Noise:
    """Increments of one Brownian motion over sigma, scaled to unit variance: finer schedules refine the same path.

    From k-diffusion's BrownianTreeNoiseSampler; Li et al. 2020, https://arxiv.org/abs/2001.01328, section 4.
    """

    @cache
    def tree() -> Any:
        from torchsde import BrownianTree  # type: ignore[import-untyped, unused-ignore]

        t0, t1 = torch.tensor(float(sigma_min)), torch.tensor(float(sigma_max))
        return BrownianTree(t0, torch.zeros(x.shape, dtype=x.dtype), t1, entropy=seed)

    def noise(sigma: Tensor, sigma_next: Tensor) -> Tensor:
        low, high = sorted((float(sigma), float(sigma_next)))
        # The tree resolves sigma to six digits; rounding here keeps it from warning of its own rounded ends.
        increment: Tensor = tree()(round(low, 6), round(high, 6)) / (high - low) ** 0.5
        return (-increment if sigma > sigma_next else increment).to(x.device)

    return noise


@dataclass(frozen=True, eq=False)
class Draws:
    """The noise of a whole run along ``sigmas``, from its seed. All samplers of the run share it, so none draws a draw again."""

    x: Tensor
    sigmas: Tensor
    seed: int

    @cached_property
    def fresh(self) -> Noise:
        return fresh(self.x, self.seed)

    @cached_property
    def brownian(self) -> Noise:
        return brownian(self.x, float(self.sigmas[self.sigmas > 0].min()), float(self.sigmas.max()), self.seed)

    def of(self, kind: Literal["fresh", "brownian"]) -> Noise:
        return self.fresh if kind == "fresh" else self.brownian
