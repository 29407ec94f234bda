"""SEEDS: single-step exponential solvers of the reverse SDE, their inner points on one noise path.

Gonzalez et al. 2023, https://arxiv.org/abs/2305.14267, data prediction; lambda is half log-SNR, eta scales the noise.
Steps to 0 give the denoised x.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from torch import Tensor

from engine.diffusion.denoise import Denoise, Noise, OnStep, ignore
from engine.diffusion.samplers.terms import FIRST_SIGMA, alpha_at, finite_snr, half_log_snr, sigma_at


class Path:
    """The noise of one step, of unit rate at its end: each point's is the last one's faded, plus a fresh draw."""

    def __init__(self, noise: Noise, eta: float, s_noise: float) -> None:
        self.noise, self.eta, self.s_noise = noise, eta, s_noise
        self.value: Tensor | float = 0.0

    def to(self, sigma: Tensor, sigma_next: Tensor, h: Tensor) -> Tensor | float:
        """What is in x at ``sigma_next``, h further in lambda than ``sigma``, where the last call left off."""
        if self.eta <= 0 or self.s_noise == 0:
            return 0.0
        if h > 0:
            drawn = self.noise(sigma, sigma_next) * (-2 * h * self.eta).expm1().neg().sqrt()
            self.value = self.value * (-h * self.eta).exp() + drawn
        return self.value * (sigma_next * self.s_noise)


def seeds_2(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Noise, on_step: OnStep = ignore,
    eta: float = 1.0, s_noise: float = 1.0, r: float = 0.5, first_sigma: float = FIRST_SIGMA,
    solver_type: Literal["phi_1", "phi_2"] = "phi_1",
) -> Tensor:
    """SEEDS-2: one inner point at the fraction r of lambda; two network calls a step. Algorithm 2.

    "phi_2" integrates the slope of the denoised exactly: the exponential Runge-Kutta method of second order. Hochbruck &
    Ostermann 2010, https://doi.org/10.1017/S0962492910000048, equation 2.39; with r = 1 and eta = 0 exponential Heun.
    """
    flow = denoise.flow
    for i, (sigma, sigma_next) in enumerate(pairwise(finite_snr(sigmas, flow, first_sigma))):
        denoised = denoise(x, sigma)
        on_step(i, x, denoised)
        if sigma_next == 0:
            x = denoised
            continue
        lambda_s, lambda_t = half_log_snr(sigma, flow), half_log_snr(sigma_next, flow)
        h = lambda_t - lambda_s
        h_eta = h * (1 + eta)
        s = sigma_at(lambda_s.lerp(lambda_t, r), flow)
        path = Path(noise, eta, s_noise)

        x_2 = x * (s / sigma * (-r * h * eta).exp()) - denoised * (alpha_at(s, flow) * (-r * h_eta).expm1())
        x_2 = x_2 + path.to(sigma, s, r * h)
        within = 2.0 if solver_type == "phi_1" else -(-h_eta).expm1() / (1 + (-h_eta).expm1() / h_eta)
        denoised_d = denoised + (denoise(x_2, s) - denoised) / (within * r)

        x = x * (sigma_next / sigma * (-h * eta).exp()) - denoised_d * (alpha_at(sigma_next, flow) * (-h_eta).expm1())
        x = x + path.to(s, sigma_next, (1 - r) * h)
    return x


def seeds_3(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Noise, on_step: OnStep = ignore,
    eta: float = 1.0, s_noise: float = 1.0, r_1: float = 1 / 3, r_2: float = 2 / 3, first_sigma: float = FIRST_SIGMA,
) -> Tensor:
    """SEEDS-3: inner points at the fractions r_1 and r_2 of lambda; three network calls a step. Algorithm 3."""
    flow = denoise.flow
    for i, (sigma, sigma_next) in enumerate(pairwise(finite_snr(sigmas, flow, first_sigma))):
        denoised = denoise(x, sigma)
        on_step(i, x, denoised)
        if sigma_next == 0:
            x = denoised
            continue
        lambda_s, lambda_t = half_log_snr(sigma, flow), half_log_snr(sigma_next, flow)
        h = lambda_t - lambda_s
        h_eta = h * (1 + eta)
        s_1, s_2 = (sigma_at(lambda_s.lerp(lambda_t, r), flow) for r in (r_1, r_2))
        path = Path(noise, eta, s_noise)

        x_2 = x * (s_1 / sigma * (-r_1 * h * eta).exp()) - denoised * (alpha_at(s_1, flow) * (-r_1 * h_eta).expm1())
        x_2 = x_2 + path.to(sigma, s_1, r_1 * h)
        slope = (denoise(x_2, s_1) - denoised) / r_1

        alpha, phi = alpha_at(s_2, flow), (-r_2 * h_eta).expm1()
        x_3 = x * (s_2 / sigma * (-r_2 * h * eta).exp()) - denoised * (alpha * phi) + slope * (alpha * (phi / h_eta + r_2))
        x_3 = x_3 + path.to(s_1, s_2, (r_2 - r_1) * h)
        slope = (denoise(x_3, s_2) - denoised) / r_2

        alpha, phi = alpha_at(sigma_next, flow), (-h_eta).expm1()
        x = x * (sigma_next / sigma * (-h * eta).exp()) - denoised * (alpha * phi) + slope * (alpha * (phi / h_eta + 1))
        x = x + path.to(s_2, sigma_next, (1 - r_2) * h)
    return x
