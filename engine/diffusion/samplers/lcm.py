"""The sampler of consistency models and of most few-step students."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from engine.diffusion.denoise import Denoise, Noise, OnStep, ignore
from engine.diffusion.samplers.terms import alpha_at


def lcm(denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Noise, on_step: OnStep = ignore) -> Tensor:
    """Denoise, then noise again to the next level. Song et al. 2023, https://arxiv.org/abs/2303.01469, Algorithm 1."""
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoise(x, sigma)
        on_step(i, x, denoised)
        x = denoised
        if sigma_next > 0:
            x = x * alpha_at(sigma_next, denoise.flow) + noise(sigma, sigma_next) * sigma_next
    return x
