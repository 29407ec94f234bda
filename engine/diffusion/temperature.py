"""Sampling at another temperature: the score of a broader or narrower distribution than a model was trained on."""

from __future__ import annotations

from torch import Tensor

from engine.diffusion.parametrization import along
from engine.diffusion.rules import After, Parts


def rescaled_score(k: float, spread: float, flow: bool) -> After:
    """Temporal score rescaling: the predicted noise times r = (a^2 s^2 + sigma^2) / (a^2 s^2 / k + sigma^2).

    ``spread`` s is the size of the structures it works on, larger ones being met earlier in a run; a is the share of the clean
    latent in x. Exact where the data are N(mean, s^2): samples are then of N(mean, s^2 / k). k = 1 is nothing.
    Xu et al. 2025, https://arxiv.org/abs/2510.01184.
    """

    def rescale(parts: Parts, result: Tensor) -> Tensor:
        sigma = along(parts.sigma, parts.x)
        alpha = 1 - sigma if flow else 1.0 + 0.0 * sigma
        if bool((alpha == 0).any()) or bool((sigma == 0).any()):
            return result
        r = ((alpha * spread) ** 2 + sigma**2) / ((alpha * spread) ** 2 / k + sigma**2)
        noise = parts.x - alpha * result  # sigma times it
        scaled: Tensor = (parts.x - r * noise) / alpha
        return scaled

    return rescale
