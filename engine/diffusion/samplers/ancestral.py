"""Ancestral samplers: solve the ODE to below the next level, then add noise back up to it.

On flow models the step down and the noise follow ``ancestral_split``'s rectified-flow form.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from engine.diffusion.denoise import Denoise, Noise, OnStep, ignore
from engine.diffusion.samplers.terms import ancestral_split, ddim_step, derivative, evaluate, half_log_snr, sigma_at


def euler_ancestral(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Noise, on_step: OnStep = ignore,
    eta: float = 1.0, s_noise: float = 1.0,
) -> Tensor:
    """Euler's method down, noise back up; with eta = 1 it is DDPM's posterior. From k-diffusion."""
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoise(x, sigma)
        on_step(i, x, denoised)
        if sigma_next == 0:
            x = denoised
            continue
        split = ancestral_split(sigma, sigma_next, eta, denoise.flow)
        x = x + derivative(x, sigma, denoised) * (split.down - sigma)
        x = split.renoise(x, s_noise, noise, sigma, sigma_next)
    return x


def dpm_2_ancestral(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Noise, on_step: OnStep = ignore,
    eta: float = 1.0, s_noise: float = 1.0,
) -> Tensor:
    """The midpoint method in log sigma down (DPM-Solver-2), noise back up; the last step to 0 is Euler. From k-diffusion."""
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoise(x, sigma)
        on_step(i, x, denoised)
        split = ancestral_split(sigma, sigma_next, eta, denoise.flow)
        d = derivative(x, sigma, denoised)
        if split.down > 0:
            sigma_mid = sigma.log().lerp(split.down.log(), 0.5).exp()
            x_2 = x + d * (sigma_mid - sigma)
            d = derivative(x_2, sigma_mid, denoise(x_2, sigma_mid))
        x = x + d * (split.down - sigma)
        x = split.renoise(x, s_noise, noise, sigma, sigma_next)
    return x


def midpoint_sigma(sigma: Tensor, sigma_down: Tensor, flow: bool) -> Tensor:
    """The level halfway in log-SNR; from pure noise on a flow model, where log-SNR has no half, just below 1."""
    if flow and sigma >= 1:
        return sigma.new_tensor(0.9999)
    return sigma_at(half_log_snr(sigma, flow).lerp(half_log_snr(sigma_down, flow), 0.5), flow)


def dpmpp_2s_ancestral(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Noise, on_step: OnStep = ignore,
    eta: float = 1.0, s_noise: float = 1.0, cfg_pp: bool = False,
) -> Tensor:
    """DPM-Solver++(2S) down, noise back up; the last step to 0 is Euler.

    Lu et al. 2022, https://arxiv.org/abs/2211.01095, Algorithm 1 with r = 1/2; ancestral form from k-diffusion.
    """
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised, toward = evaluate(denoise, x, sigma, cfg_pp)
        on_step(i, x, denoised)
        split = ancestral_split(sigma, sigma_next, eta, denoise.flow)
        x = x + (denoised - toward)
        if split.down > 0:
            s = midpoint_sigma(sigma, split.down, denoise.flow)
            u = denoised + (x - denoised) * (s / sigma)
            denoised = denoise(u, s)
        x = denoised + (x - denoised) * (split.down / sigma)
        x = split.renoise(x, s_noise, noise, sigma, sigma_next)
    return x


def ddim_ancestral(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Noise, on_step: OnStep = ignore,
    eta: float = 1.0, s_noise: float = 1.0, cfg_pp: bool = False,
) -> Tensor:
    """DDIM between its ODE (eta = 0, Euler) and DDPM's posterior (eta = 1). Song et al. 2020, eq. 12.

    With ``cfg_pp`` the direction is the unconditional one: CFG++, Chung et al. 2024, Algorithm 2.
    """
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised, toward = evaluate(denoise, x, sigma, cfg_pp)
        on_step(i, x, denoised)
        if sigma_next == 0:
            x = denoised
        else:
            x = ddim_step(x, denoised, toward, sigma, sigma_next, eta=eta, s_noise=s_noise, noise=noise, flow=denoise.flow)
    return x
