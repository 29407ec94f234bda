"""What the papers' algorithm boxes share: the derivative, the split of an ancestral step, half log-SNR, churn."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from engine.diffusion.denoise import Denoise, Noise, OnStep, ignore


class SamplerFunction(Protocol):
    """From ``x`` (B, C, ...) at ``sigmas[0]`` to the latent at ``sigmas[-1]``.

    ``sigmas`` is (N + 1,) float32 on the CPU, decreasing, as a rule ending in 0; with fewer than two ``x`` is returned.
    Pure: what it returns depends on nothing but the denoiser's results and the noise, and noise is drawn only where
    it is used. Options are keywords with the defaults of the reference.
    """

    def __call__(self, denoise: Denoise, x: Tensor, sigmas: Tensor, /, *, noise: Noise, on_step: OnStep = ignore) -> Tensor: ...


class Walk(Protocol):
    """A sampler function that has its options and its noise: what takes x along sigmas."""

    def __call__(self, denoise: Denoise, x: Tensor, sigmas: Tensor, /, *, on_step: OnStep = ignore) -> Tensor: ...


def derivative(x: Tensor, sigma: Tensor, denoised: Tensor) -> Tensor:
    """dx / dsigma of the probability flow, the same for variance-exploding and rectified-flow x."""
    return (x - denoised) / sigma


def evaluate(denoise: Denoise, x: Tensor, sigma: Tensor, cfg_pp: bool) -> tuple[Tensor, Tensor]:
    """The denoised x and the one that gives the direction of the noise: CFG++ takes the unconditional for it.

    Chung et al. 2024, https://arxiv.org/abs/2406.08070, Algorithm 2.
    """
    if cfg_pp:
        return denoise.split(x, sigma)
    denoised = denoise(x, sigma)
    return denoised, denoised


def alpha_at(sigma: Tensor, flow: bool) -> Tensor:
    """The share of the clean latent in x."""
    return 1 - sigma if flow else torch.ones_like(sigma)


class Split(NamedTuple):
    """An ancestral step: the solver goes to ``down``, then ``x * scale + noise * up`` is at sigma_next."""

    down: Tensor
    scale: Tensor
    up: Tensor

    def renoise(self, x: Tensor, s_noise: float, noise: Noise, sigma: Tensor, sigma_next: Tensor) -> Tensor:
        if self.up <= 0 or s_noise == 0:
            return x * self.scale
        return x * self.scale + noise(sigma, sigma_next) * (s_noise * self.up)


def ancestral_split(sigma: Tensor, sigma_next: Tensor, eta: float, flow: bool = False) -> Split:
    """How far to step down and how much noise to add back, eta = 0 being the ODE and 1 the most; a step up adds none.

    Variance-exploding: up^2 = eta^2 sigma_next^2 (1 - sigma_next^2 / sigma^2) and down^2 = sigma_next^2 - up^2, as in
    k-diffusion. Rectified flow: down goes from sigma_next to sigma_next^2 / sigma with eta, and x is scaled so that
    its share of the clean latent is 1 - sigma_next again.
    """
    ratio = (sigma_next / sigma).clamp(max=1)
    if not flow:
        kept = (1 - eta**2 + (eta * ratio) ** 2).clamp(min=0)
        return Split(sigma_next * kept.sqrt(), torch.ones_like(sigma), sigma_next * (1 - kept).sqrt())
    down = sigma_next * (1 + (ratio - 1) * eta)
    scale = (1 - sigma_next) / (1 - down)
    return Split(down, scale, (sigma_next**2 - (scale * down) ** 2).clamp(min=0).sqrt())


def ddim_step(
    x: Tensor, denoised: Tensor, toward: Tensor, sigma: Tensor, sigma_next: Tensor,
    *, eta: float, s_noise: float, noise: Noise, flow: bool,
) -> Tensor:
    """x_next = alpha_next D + down d + up eps, with d = (x - alpha D') / sigma and D' = ``toward``, as a rule D itself.

    Song et al. 2020 (DDIM), https://arxiv.org/abs/2010.02502, eqs. 12 and 16; eta = 1 is DDPM's posterior.
    """
    alpha, alpha_next = alpha_at(sigma, flow), alpha_at(sigma_next, flow)
    ratio = (alpha * sigma_next / (alpha_next * sigma)).clamp(max=1)
    kept = (1 - eta**2 + (eta * ratio) ** 2).clamp(min=0)
    x = denoised * alpha_next + (x - toward * alpha) * (sigma_next * kept.sqrt() / sigma)
    if kept >= 1 or s_noise == 0:
        return x
    return x + noise(sigma, sigma_next) * (sigma_next * (1 - kept).sqrt() * s_noise)


FIRST_SIGMA = 1 - 1e-4
"""Where log-SNR samplers start on a flow model of shift 1; in general the model's sigma at 0.01 percent."""


def finite_snr(sigmas: Tensor, flow: bool, first_sigma: float) -> Tensor:
    """``sigmas`` with a first one of 1, pure noise and a log-SNR of minus infinity on a flow model, moved just below."""
    if not flow or len(sigmas) < 2 or sigmas[0] < 1:
        return sigmas
    return torch.cat([sigmas.new_tensor([first_sigma]), sigmas[1:]])


def half_log_snr(sigma: Tensor, flow: bool) -> Tensor:
    """lambda = log(alpha / sigma), with alpha = 1 - sigma on a flow model and 1 otherwise."""
    return -sigma.logit() if flow else -sigma.log()


def sigma_at(lambda_: Tensor, flow: bool) -> Tensor:
    """The inverse of ``half_log_snr``."""
    return (-lambda_).sigmoid() if flow else (-lambda_).exp()


@dataclass(frozen=True)
class Churn:
    """Noise added before a step, raising sigma to sigma (1 + gamma). Karras et al. 2022, Algorithm 2, lines 4 to 6.

    On a flow model x is scaled as well, so that it lies on the path at the raised sigma, which is at most 1.
    """

    flow: bool
    gamma: float
    s_tmin: float
    s_tmax: float
    s_noise: float

    @classmethod
    def of(cls, denoise: Denoise, sigmas: Tensor, s_churn: float, s_tmin: float, s_tmax: float, s_noise: float) -> Churn:
        return cls(denoise.flow, min(s_churn / max(len(sigmas) - 1, 1), 2**0.5 - 1), s_tmin, s_tmax, s_noise)

    def __call__(self, x: Tensor, sigma: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """x and sigma, raised."""
        if self.gamma <= 0 or not self.s_tmin <= sigma <= self.s_tmax or (self.flow and sigma >= 1):
            return x, sigma
        sigma_hat = sigma * (1 + self.gamma)
        if self.flow:
            sigma_hat = sigma_hat.clamp(max=1)
        scale = alpha_at(sigma_hat, self.flow) / alpha_at(sigma, self.flow)
        added = (sigma_hat**2 - (scale * sigma) ** 2).sqrt()
        return x * scale + noise(sigma, sigma_hat) * (self.s_noise * added), sigma_hat


@cache
def _gauss_legendre(points: int = 20) -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(points)


def lagrange_integrals(
    nodes: Sequence[float], start: float, end: float, weight: Callable[[np.ndarray], np.ndarray] = np.ones_like,
) -> list[float]:
    """The integral over [start, end] of ``weight`` times each Lagrange basis polynomial on ``nodes``.

    Every linear multistep method is these: the history's polynomial, integrated. Twenty Gauss-Legendre points.
    """
    points, weights = _gauss_legendre()
    t = (end + start) / 2 + points * (end - start) / 2
    w = weights * weight(t) * (end - start) / 2
    return [
        float(np.sum(w * math.prod((t - other) / (node - other) for k, other in enumerate(nodes) if k != j)))
        for j, node in enumerate(nodes)
    ]
