"""The sampler of trajectory consistency models: how much of each step's noise is new is a number."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from engine.diffusion.denoise import Denoise, Noise, OnStep, ignore
from engine.diffusion.parametrization import Parametrization
from engine.diffusion.samplers import Sampler, SamplerFunction
from engine.diffusion.samplers.terms import alpha_at, derivative


def tcd(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Noise, on_step: OnStep = ignore, sampling: Parametrization,
    eta: float = 0.3,
) -> Tensor:
    """A step of the flow to timestep (1 - eta) t, then new noise up to t: 0 is Euler, 1 almost a consistency step.

    Zheng et al. 2024, https://arxiv.org/abs/2402.19159, Algorithm 4 (gamma is eta here).
    """
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoise(x, sigma)
        on_step(i, x, denoised)
        if sigma_next <= 0:
            x = denoised
            continue
        below = sampling.sigma((1.0 - eta) * sampling.timestep(sigma_next)) if eta > 0 else sigma_next
        below = torch.minimum(below.to(sigma_next), sigma_next)
        x = x + derivative(x, sigma, denoised) * (below - sigma)
        scale = alpha_at(sigma_next, denoise.flow) / alpha_at(below, denoise.flow)
        added = (sigma_next**2 - (scale * below) ** 2).clamp(min=0).sqrt()
        x = x * scale
        if added > 0:
            x = x + noise(sigma, sigma_next) * added
    return x


@dataclass(frozen=True)
class Tcd(Sampler):
    """The SAMPLER value; it asks the model which sigma a timestep is."""

    function: SamplerFunction = tcd  # type: ignore[assignment]

    def of(self, parametrization: Parametrization, **options: Any) -> SamplerFunction:
        asked: dict[str, Any] = {"sampling": parametrization, **self.options, **options}
        function: SamplerFunction = partial(self.function, **asked)
        return function
