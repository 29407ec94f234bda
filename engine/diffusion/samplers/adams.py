"""Linear multistep samplers: the history of dx / dsigma, extrapolated by a polynomial and integrated over the step.

They differ in the variable the polynomial is in and in whether unequal steps are accounted for. Steps to 0 are Euler.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
from torch import Tensor

from engine.diffusion.denoise import Denoise, Noise, OnStep, ignore
from engine.diffusion.samplers.terms import derivative, evaluate, lagrange_integrals

Coefficients = Callable[[Sequence[float], float], Sequence[float]]
"""(levels of the history, this step's first; sigma_next) -> the weight of each derivative in x_next - x."""


def linear_multistep(
    denoise: Denoise, x: Tensor, sigmas: Tensor, on_step: OnStep, order: int, coefficients: Coefficients,
) -> Tensor:
    """x_next = x + sum of coefficients times the last ``order`` derivatives, fewer at the start."""
    ds: list[Tensor] = []
    levels: list[float] = []
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoise(x, sigma)
        on_step(i, x, denoised)
        if sigma_next == 0:
            x = denoised
            continue
        ds = [derivative(x, sigma, denoised), *ds[: order - 1]]
        levels = [float(sigma), *levels[: order - 1]]
        weights = coefficients(levels, float(sigma_next)) if len(ds) > 1 else [float(sigma_next - sigma)]
        for weight, d in zip(weights, ds, strict=True):
            x = x + d * weight
    return x


def lms(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Noise, on_step: OnStep = ignore, order: int = 4,
) -> Tensor:
    """Adams-Bashforth with unequal steps: the polynomial is in sigma, its integral exact. From k-diffusion."""
    return linear_multistep(denoise, x, sigmas, on_step, order, lms_coefficients)


def lms_coefficients(levels: Sequence[float], sigma_next: float) -> list[float]:
    return lagrange_integrals(levels, levels[0], sigma_next)


def ipndm(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Noise, on_step: OnStep = ignore, max_order: int = 4,
) -> Tensor:
    """Improved PNDM: Adams-Bashforth as if all steps were equal.

    Zhang & Chen 2022, https://arxiv.org/abs/2204.13902, appendix H.2; Liu et al. 2022, https://arxiv.org/abs/2202.09778.
    """
    return linear_multistep(denoise, x, sigmas, on_step, max_order, ipndm_coefficients)


ADAMS_BASHFORTH = {2: (3 / 2, -1 / 2), 3: (23 / 12, -16 / 12, 5 / 12), 4: (55 / 24, -59 / 24, 37 / 24, -9 / 24)}


def ipndm_coefficients(levels: Sequence[float], sigma_next: float) -> list[float]:
    return [(sigma_next - levels[0]) * weight for weight in ADAMS_BASHFORTH[len(levels)]]


def ipndm_v(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Noise, on_step: OnStep = ignore, max_order: int = 4,
) -> Tensor:
    """Improved PNDM with variable steps, its coefficients kept as zju-pi/diff-sampler published them: second order.

    Those of order 3 are Adams-Bashforth's for equal steps only, those of order 4 never; ``lms`` is the method with the
    exact ones.
    """
    return linear_multistep(denoise, x, sigmas, on_step, max_order, ipndm_v_coefficients)


def ipndm_v_coefficients(levels: Sequence[float], sigma_next: float) -> list[float]:
    """Newton's form: each order adds a divided difference of the history, its weight ``temp_k``."""
    h, *past = (start - end for start, end in pairwise([sigma_next, *levels]))
    h1 = past[0]
    c = [1 + h / h1 / 2, -h / h1 / 2, 0.0, 0.0]
    if len(past) > 1:
        h2 = past[1]
        reach = h * (h + h1) / (h1 * (h1 + h2))
        temp_1 = (1 - h / (3 * (h + h1)) * reach) / 2
        c = [c[0] + temp_1, c[1] - (1 + h1 / h2) * temp_1, temp_1 * h1 / h2, 0.0]
    if len(past) > 2:
        h3 = past[2]
        reach = h * (h + h1) * (h + h1 + h2) / (h1 * (h1 + h2) * (h1 + h2 + h3))
        temp_2 = ((1 - h / (3 * (h + h1))) / 2 + (1 - h / (2 * (h + h1))) * h / (6 * (h + h1 + h2))) * reach
        q = h1 * (h1 + h2) / (h2 * (h2 + h3))
        c_2 = c[2] + (h1 / h2 + q * (1 + h2 / h3)) * temp_2
        c = [c[0] + temp_2, c[1] - (1 + h1 / h2 + q) * temp_2, c_2, -temp_2 * q * h1 / h2]
    return [h * weight for weight in c[: len(levels)]]


def deis(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Noise, on_step: OnStep = ignore,
    max_order: int = 3, deis_mode: Literal["tab", "rhoab"] = "tab",
) -> Tensor:
    """DEIS: the polynomial is in the time of the variance-preserving SDE (tAB) or in sigma (rhoAB).

    Zhang & Chen 2022, https://arxiv.org/abs/2204.13902, eq. 15; levels as in zju-pi/diff-sampler.
    """
    if deis_mode not in ("tab", "rhoab"):
        raise ValueError(f"deis_mode {deis_mode!r} is not known; use 'tab' or 'rhoab'")
    return linear_multistep(denoise, x, sigmas, on_step, max_order, tab_coefficients if deis_mode == "tab" else lms_coefficients)


_LOW, _HIGH, _EPS = math.log1p(0.002**2), math.log1p(80.0**2), 1e-3
VP_BETA_D = 2 * (_LOW / _EPS - _HIGH) / (_EPS - 1)
VP_BETA_MIN = _HIGH - 0.5 * VP_BETA_D
"""The linear-beta SDE whose sigma is 0.002 at t = 0.001 and 80 at t = 1."""


def vp_time(sigma: float) -> float:
    return (math.sqrt(VP_BETA_MIN**2 + 2 * VP_BETA_D * math.log1p(sigma**2)) - VP_BETA_MIN) / VP_BETA_D


def vp_slope(t: np.ndarray) -> np.ndarray:
    """dsigma / dt of sigma^2 = exp(beta_d t^2 / 2 + beta_min t) - 1."""
    grown = np.expm1(VP_BETA_D * t**2 / 2 + VP_BETA_MIN * t)
    slope: np.ndarray = (VP_BETA_D * t + VP_BETA_MIN) * (grown + 1) / (2 * np.sqrt(grown))
    return slope


def tab_coefficients(levels: Sequence[float], sigma_next: float) -> list[float]:
    times = [vp_time(level) for level in levels]
    return lagrange_integrals(times, times[0], vp_time(sigma_next), vp_slope)


def gradient_estimation(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Noise, on_step: OnStep = ignore,
    ge_gamma: float = 2.0, cfg_pp: bool = False,
) -> Tensor:
    """Euler with the derivative gamma d + (1 - gamma) d_old, an estimate with less error in it; the last step is plain.

    Permenter & Yuan 2023, https://arxiv.org/abs/2306.04848, Algorithm 2.
    """
    old_d = x
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised, toward = evaluate(denoise, x, sigma, cfg_pp)
        on_step(i, x, denoised)
        d = derivative(x, sigma, toward)
        x = denoised + d * sigma_next
        if i > 0 and sigma_next > 0:
            x = x + (d - old_d) * ((ge_gamma - 1) * (sigma_next - sigma))
        old_d = d
    return x
