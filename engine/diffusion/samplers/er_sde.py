"""The extended reverse-time SDE: how much noise a step adds is a free function of the level."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from engine.diffusion.denoise import Denoise, Noise, OnStep, ignore
from engine.diffusion.samplers.terms import FIRST_SIGMA, alpha_at, finite_snr

SOLVER_TYPES = ("ER-SDE", "Reverse-time SDE", "ODE")
POINTS = 200


def noise_scale(solver_type: str, eta: float) -> Callable[[Tensor], Tensor]:
    """phi(lambda) of the paper: the authors' SDE 5, lambda^2 for the usual reverse SDE, lambda for the ODE."""
    if solver_type not in SOLVER_TYPES:
        raise ValueError(f"solver_type {solver_type!r} is not known; use one of {', '.join(SOLVER_TYPES)}")
    if solver_type == "ER-SDE":
        return lambda lambda_: lambda_ * ((lambda_**0.3).exp() + 10)
    power = 1.0 if solver_type == "ODE" else 1 + eta
    return lambda lambda_: lambda_**power


def er_sde(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Noise, on_step: OnStep = ignore, s_noise: float = 1.0,
    max_stage: int = 3, solver_type: str = "ER-SDE", eta: float = 1.0, first_sigma: float = FIRST_SIGMA,
) -> Tensor:
    """ER-SDE-Solver of up to third order, with lambda = sigma / alpha; the step to 0 gives the denoised x.

    ``eta`` is the noise of solver type Reverse-time SDE, 0 being the ODE and 1 the SDE of Song et al.
    Cui et al. 2023, https://arxiv.org/abs/2309.06169, Algorithms 1 to 3; quadrature by 200 left-hand points as published.
    """
    noise_scaler = noise_scale(solver_type, eta)
    if solver_type == "ODE" or (solver_type == "Reverse-time SDE" and eta == 0):
        s_noise = 0.0
    flow = denoise.flow
    sigmas = finite_snr(sigmas, flow, first_sigma)
    lambdas = sigmas / alpha_at(sigmas, flow)
    old_denoised = old_denoised_d = x
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoise(x, sigma)
        on_step(i, x, denoised)
        if sigma_next == 0:
            x = denoised
            continue
        lambda_s, lambda_t = lambdas[i], lambdas[i + 1]
        alpha_s, alpha_t = alpha_at(sigma, flow), alpha_at(sigma_next, flow)
        phi_t = noise_scaler(lambda_t)
        r = phi_t / noise_scaler(lambda_s)
        x = x * (r * alpha_t / alpha_s) + denoised * (alpha_t * (1 - r))
        stage = min(max_stage, i + 1)
        if stage > 1:
            dt = lambda_t - lambda_s
            points = lambda_t - torch.arange(POINTS, dtype=sigmas.dtype, device=sigmas.device) * dt / POINTS
            inverse = -dt / POINTS / noise_scaler(points)
            denoised_d = (denoised - old_denoised) / (lambda_s - lambdas[i - 1])
            x = x + denoised_d * (alpha_t * (dt + inverse.sum() * phi_t))
            if stage > 2:
                denoised_u = (denoised_d - old_denoised_d) / ((lambda_s - lambdas[i - 2]) / 2)
                x = x + denoised_u * (alpha_t * (dt**2 / 2 + ((points - lambda_s) * inverse).sum() * phi_t))
            old_denoised_d = denoised_d
        up = (lambda_t**2 - (lambda_s * r) ** 2).clamp(min=0).sqrt()
        if up > 0 and s_noise != 0:
            x = x + noise(sigma, sigma_next) * (alpha_t * up * s_noise)
        old_denoised = denoised
    return x
