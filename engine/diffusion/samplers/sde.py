"""DPM-Solver++ for the reverse SDE, in half log-SNR lambda; eta = 0 is its ODE, eta = 1 the reverse-time SDE.

Lu et al. 2022, https://arxiv.org/abs/2211.01095; SDE forms from k-diffusion. Their noise is Brownian, so that a finer
schedule follows the same path. Steps to 0 give the denoised x.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from torch import Tensor

from engine.diffusion.denoise import Denoise, Noise, OnStep, ignore
from engine.diffusion.samplers.terms import FIRST_SIGMA, alpha_at, ddim_step, finite_snr, half_log_snr, sigma_at


def dpmpp_sde(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Noise, on_step: OnStep = ignore,
    eta: float = 1.0, s_noise: float = 1.0, r: float = 0.5, first_sigma: float = FIRST_SIGMA,
) -> Tensor:
    """DPM-Solver++ (stochastic), single-step with a point at the fraction r of lambda; two network calls a step."""
    flow = denoise.flow
    for i, (sigma, sigma_next) in enumerate(pairwise(finite_snr(sigmas, flow, first_sigma))):
        denoised = denoise(x, sigma)
        on_step(i, x, denoised)
        if sigma_next == 0:
            x = denoised
            continue
        s = sigma_at(half_log_snr(sigma, flow).lerp(half_log_snr(sigma_next, flow), r), flow)
        x_2 = ddim_step(x, denoised, denoised, sigma, s, eta=eta, s_noise=s_noise, noise=noise, flow=flow)
        denoised_d = denoised + (denoise(x_2, s) - denoised) / (2 * r)
        x = ddim_step(x, denoised_d, denoised_d, sigma, sigma_next, eta=eta, s_noise=s_noise, noise=noise, flow=flow)
    return x


def sde_noise(
    sigma: Tensor, sigma_next: Tensor, h: Tensor, eta: float, s_noise: float, noise: Noise,
) -> Tensor | float:
    """What the SDE adds over a step of h in lambda: variance sigma_next^2 (1 - exp(-2 eta h)); none drawn if none is used."""
    if eta <= 0 or s_noise == 0:
        return 0.0
    return noise(sigma, sigma_next) * (sigma_next * (-2 * eta * h).expm1().neg().sqrt() * s_noise)


def dpmpp_2m_sde(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Noise, on_step: OnStep = ignore, eta: float = 1.0,
    s_noise: float = 1.0, solver_type: Literal["midpoint", "heun"] = "midpoint", first_sigma: float = FIRST_SIGMA,
) -> Tensor:
    """DPM-Solver++(2M) SDE: the slope of the denoised x from the step before, integrated two ways."""
    if solver_type not in ("midpoint", "heun"):
        raise ValueError(f"solver_type {solver_type!r} is not known; use 'midpoint' or 'heun'")
    flow = denoise.flow
    old_denoised, h_last = x, x.new_zeros(())
    for i, (sigma, sigma_next) in enumerate(pairwise(finite_snr(sigmas, flow, first_sigma))):
        denoised = denoise(x, sigma)
        on_step(i, x, denoised)
        if sigma_next == 0:
            x = denoised
            continue
        h = half_log_snr(sigma_next, flow) - half_log_snr(sigma, flow)
        h_eta = h * (1 + eta)
        alpha_next = alpha_at(sigma_next, flow)
        x = x * (sigma_next / sigma * (-h * eta).exp()) - denoised * (alpha_next * (-h_eta).expm1())
        if i > 0:
            slope = (denoised - old_denoised) / (h_last / h)
            phi = (-h_eta).expm1() / h_eta + 1 if solver_type == "heun" else -0.5 * (-h_eta).expm1()
            x = x + slope * (alpha_next * phi)
        x = x + sde_noise(sigma, sigma_next, h, eta, s_noise, noise)
        old_denoised, h_last = denoised, h
    return x


def dpmpp_3m_sde(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Noise, on_step: OnStep = ignore,
    eta: float = 1.0, s_noise: float = 1.0, first_sigma: float = FIRST_SIGMA,
) -> Tensor:
    """DPM-Solver++(3M) SDE: slope and curvature of the denoised x from the two steps before."""
    flow = denoise.flow
    history: list[tuple[Tensor, Tensor]] = []  # (denoised, h) of the steps before, the latest first
    for i, (sigma, sigma_next) in enumerate(pairwise(finite_snr(sigmas, flow, first_sigma))):
        denoised = denoise(x, sigma)
        on_step(i, x, denoised)
        if sigma_next == 0:
            x = denoised
            continue
        h = half_log_snr(sigma_next, flow) - half_log_snr(sigma, flow)
        h_eta = h * (1 + eta)
        alpha_next = alpha_at(sigma_next, flow)
        x = x * (sigma_next / sigma * (-h * eta).exp()) - denoised * (alpha_next * (-h_eta).expm1())
        phi_2 = (-h_eta).expm1() / h_eta + 1
        if history:
            r0 = history[0][1] / h
            d1 = d1_0 = (denoised - history[0][0]) / r0
            if len(history) > 1:
                r1 = history[1][1] / h
                d1_1 = (history[0][0] - history[1][0]) / r1
                d1 = d1_0 + (d1_0 - d1_1) * (r0 / (r0 + r1))
                d2 = (d1_0 - d1_1) / (r0 + r1)
                x = x - d2 * (alpha_next * (phi_2 / h_eta - 0.5))
            x = x + d1 * (alpha_next * phi_2)
        x = x + sde_noise(sigma, sigma_next, h, eta, s_noise, noise)
        history = [(denoised, h), *history[:1]]
    return x
