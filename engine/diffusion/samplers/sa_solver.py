"""SA-Solver: a stochastic Adams predictor and corrector in half log-SNR."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from engine.diffusion.denoise import Denoise, Noise, OnStep, ignore
from engine.diffusion.samplers.sde import sde_noise
from engine.diffusion.samplers.terms import FIRST_SIGMA, alpha_at, finite_snr, half_log_snr, lagrange_integrals


def sa_solver(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Noise, on_step: OnStep = ignore,
    eta: float = 1.0, tau_start: float = math.inf, tau_end: float = 0.0, s_noise: float = 1.0,
    predictor_order: int = 3, corrector_order: int = 4, use_pece: bool = False, simple_order_2: bool = False,
    first_sigma: float = FIRST_SIGMA,
) -> Tensor:
    """SA-Solver with tau = eta for sigma in [tau_end, tau_start] and 0 outside; orders rise and fall at the ends.

    One network call a step, or two with ``use_pece``, which evaluates again where the corrector lands; the step to 0
    gives the denoised x. Xue et al. 2023, https://arxiv.org/abs/2309.05019, Algorithm 1, eqs. 14 to 18.
    """
    flow = denoise.flow
    sigmas = finite_snr(sigmas, flow, first_sigma)
    lambdas = half_log_snr(sigmas, flow)
    steps = len(sigmas) - 1
    to_zero = bool((sigmas[-1:] == 0).all())
    ds: list[Tensor] = []  # denoised x, the latest first
    moved, tau = x, 0.0  # x of the step before, taken to this level and noised, but without its Adams sum
    for i in range(steps):
        denoised = denoise(x, sigmas[i])
        on_step(i, x, denoised)
        ends = bool(sigmas[i + 1] == 0)
        ds = [denoised, *ds[: max(predictor_order, corrector_order) - 1]]
        p = min(corrector_order, len(ds), steps - i if to_zero else len(ds))
        if i > 0 and p > 0 and (use_pece or not ends):
            weights = adams(lambdas[i - p + 1 : i + 1], lambdas[i - 1], lambdas[i], tau, simple_order_2)
            x = moved + weighted(ds, weights) * alpha_at(sigmas[i], flow)
            if use_pece:
                ds[0] = denoised = denoise(x, sigmas[i])
        if ends:
            return denoised
        p = min(predictor_order, len(ds), steps - 1 - i if to_zero else len(ds))
        tau = eta if tau_end <= sigmas[i + 1] <= tau_start else 0.0
        h = lambdas[i + 1] - lambdas[i]
        moved = x * (sigmas[i + 1] / sigmas[i] * (-(tau**2) * h).exp())
        moved = moved + sde_noise(sigmas[i], sigmas[i + 1], h, tau**2, s_noise, noise)
        weights = adams(lambdas[i - p + 1 : i + 1], lambdas[i], lambdas[i + 1], tau, simple_order_2)
        x = moved + weighted(ds, weights) * alpha_at(sigmas[i + 1], flow)
    return x


def weighted(ds: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    return sum((d * weight for d, weight in zip(ds[1:], weights[1:], strict=False)), start=ds[0] * weights[0])


def adams(nodes: Tensor, lambda_s: Tensor, lambda_t: Tensor, tau: float, simple_order_2: bool) -> list[float]:
    """The weights of denoised x at ``nodes``, returned latest first, over the step from lambda_s to lambda_t.

    The integral of (1 + tau^2) e^{(1 + tau^2)(lambda - lambda_t)} times each Lagrange polynomial; with
    ``simple_order_2`` the two-node ones are simplified as in appendix D. A corrector is one whose last node is lambda_t.
    """
    s, t = float(lambda_s), float(lambda_t)
    kappa = 1 + tau**2
    if simple_order_2 and len(nodes) == 2:
        total = -math.expm1(-kappa * (t - s))
        if nodes[1] == lambda_t:
            latest = 0.5 * kappa * (t - s)
            return [latest, total - latest]
        before = 0.5 * kappa * (t - s) ** 2 / (float(nodes[0]) - s)
        return [total - before, before]
    return lagrange_integrals(nodes.flip(0).tolist(), s, t, lambda lambda_: kappa * np.exp(kappa * (lambda_ - t)))
