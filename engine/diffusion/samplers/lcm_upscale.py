"""The sampler of consistency models on a picture that grows between steps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from engine.diffusion.denoise import Denoise, OnStep, ignore
from engine.diffusion.noise import Draws
from engine.diffusion.parametrization import Parametrization
from engine.diffusion.samplers import Sampler, Walk
from engine.diffusion.samplers.lcm import lcm
from engine.diffusion.samplers.terms import alpha_at


@dataclass(frozen=True)
class LcmUpscale(Sampler):
    """``lcm``, enlarging the clean latent after each of the first ``steps`` steps, evenly up to ``ratio`` times.

    ``steps`` None: half of the run and one more. As in ComfyUI the noise goes on where that of the start left off.
    """

    ratio: float = 1.0
    steps: int | None = None
    method: str = "bislerp"

    @classmethod
    def made(cls, ratio: float, steps: int | None, method: str) -> LcmUpscale:
        return cls(lcm, ratio=ratio, steps=steps, method=method)

    def sizes(self, steps: int, height: int, width: int) -> list[tuple[int, int]]:
        """(height, width) after each step that enlarges, of ``steps``."""
        count = max((steps + 1) // 2 + 1, 2) - 1 if self.steps is None else min(self.steps, steps + 1)
        ratios = [1 + (self.ratio - 1) * (i + 1) / count for i in range(count)] if count > 0 else []
        return [(round(height * ratio), round(width * ratio)) for ratio in ratios]

    def walk(self, sampling: Parametrization, draws: Draws) -> Walk:
        generator = torch.Generator().manual_seed(draws.seed)
        torch.randn(draws.x.shape, generator=generator)  # the noise the run began with
        return partial(self._grown, generator)

    def _grown(
        self, generator: torch.Generator, denoise: Denoise, x: Tensor, sigmas: Tensor, *, on_step: OnStep = ignore
    ) -> Tensor:
        from engine.diffusion.pixels.resize import resize

        sizes = self.sizes(len(sigmas) - 1, *x.shape[-2:])
        for i in range(len(sigmas) - 1):
            denoised = denoise(x, sigmas[i])
            on_step(i, x, denoised)
            x = denoised if i >= len(sizes) else resize(denoised, sizes[i][1], sizes[i][0], self.method)
            if sigmas[i + 1] > 0:
                noise = torch.randn(x.shape, generator=generator).to(x.device)
                x = x * alpha_at(sigmas[i + 1], denoise.flow) + noise * sigmas[i + 1]
        return x
