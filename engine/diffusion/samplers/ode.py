"""One-step samplers of the probability flow ODE, each with the churn of Karras et al. 2022 (off by default).

https://arxiv.org/abs/2206.00364. The ODE dx / dsigma = (x - D) / sigma is the same on flow models.
"""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor

from engine.diffusion.denoise import Denoise, Noise, OnStep, ignore
from engine.diffusion.samplers.terms import Churn, derivative


def euler(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Noise, on_step: OnStep = ignore,
    s_churn: float = 0.0, s_tmin: float = 0.0, s_tmax: float = math.inf, s_noise: float = 1.0,
) -> Tensor:
    """Euler's method, first order; without churn it is DDIM. Algorithm 2 of Karras et al., Euler steps only."""
    churn = Churn.of(denoise, sigmas, s_churn, s_tmin, s_tmax, s_noise)
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        x, sigma_hat = churn(x, sigma, noise)
        denoised = denoise(x, sigma_hat)
        on_step(i, x, denoised)
        x = x + derivative(x, sigma_hat, denoised) * (sigma_next - sigma_hat)
    return x


def heun(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Noise, on_step: OnStep = ignore,
    s_churn: float = 0.0, s_tmin: float = 0.0, s_tmax: float = math.inf, s_noise: float = 1.0,
) -> Tensor:
    """Heun's method, second order; two network calls a step but for the last to 0, which is Euler. Algorithm 2."""
    churn = Churn.of(denoise, sigmas, s_churn, s_tmin, s_tmax, s_noise)
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        x, sigma_hat = churn(x, sigma, noise)
        denoised = denoise(x, sigma_hat)
        on_step(i, x, denoised)
        d = derivative(x, sigma_hat, denoised)
        dt = sigma_next - sigma_hat
        if sigma_next > 0:
            x_2 = x + d * dt
            d_2 = derivative(x_2, sigma_next, denoise(x_2, sigma_next))
            d = (d + d_2) / 2
        x = x + d * dt
    return x


def dpm_2(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Noise, on_step: OnStep = ignore,
    s_churn: float = 0.0, s_tmin: float = 0.0, s_tmax: float = math.inf, s_noise: float = 1.0,
) -> Tensor:
    """The midpoint method with the midpoint in log sigma, second order; the last step to 0 is Euler.

    DPM-Solver-2 with r = 1/2 in Karras' variables: Lu et al. 2022, https://arxiv.org/abs/2206.00927; from k-diffusion.
    """
    churn = Churn.of(denoise, sigmas, s_churn, s_tmin, s_tmax, s_noise)
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        x, sigma_hat = churn(x, sigma, noise)
        denoised = denoise(x, sigma_hat)
        on_step(i, x, denoised)
        d = derivative(x, sigma_hat, denoised)
        if sigma_next > 0:
            sigma_mid = sigma_hat.log().lerp(sigma_next.log(), 0.5).exp()
            x_2 = x + d * (sigma_mid - sigma_hat)
            d = derivative(x_2, sigma_mid, denoise(x_2, sigma_mid))
        x = x + d * (sigma_next - sigma_hat)
    return x


def heunpp2(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Noise, on_step: OnStep = ignore,
    s_churn: float = 0.0, s_tmin: float = 0.0, s_tmax: float = math.inf, s_noise: float = 1.0,
) -> Tensor:
    """Heun++: derivatives at up to three levels ahead, weighted by their sigma over the first one; first order.

    A step whose end is 0 is Euler, the one before it looks one level ahead. Three network calls a step otherwise.
    Zhou et al. 2023 (AMED-Solver), https://arxiv.org/abs/2312.00094; method of zju-pi/diff-sampler.
    """
    churn = Churn.of(denoise, sigmas, s_churn, s_tmin, s_tmax, s_noise)
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        x, sigma_hat = churn(x, sigma, noise)
        denoised = denoise(x, sigma_hat)
        on_step(i, x, denoised)
        d = derivative(x, sigma_hat, denoised)
        dt = sigma_next - sigma_hat
        ahead = sigmas[i + 1 : i + 3]
        ahead = ahead[ahead > sigmas[-1]]
        weights = ahead / (sigmas[0] * (1 + len(ahead)))
        x_k, d_k, sigma_k, d_prime = x, d, sigma_hat, d * (1 - weights.sum())
        for sigma_ahead, weight in zip(ahead, weights, strict=True):
            x_k = x_k + d_k * (sigma_ahead - sigma_k)
            d_k, sigma_k = derivative(x_k, sigma_ahead, denoise(x_k, sigma_ahead)), sigma_ahead
            d_prime = d_prime + d_k * weight
        x = x + d_prime * dt
    return x
