"""UniPC: a predictor and a corrector of the same network calls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from engine.diffusion.denoise import Denoise, Noise, OnStep, ignore

LAST_SIGMA = 0.001


def uni_pc(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Noise, on_step: OnStep = ignore,
    variant: Literal["bh1", "bh2"] = "bh1", order: int = 3,
) -> Tensor:
    """UniPC-p with B(h) = h (bh1) or e^h - 1 (bh2), data prediction, lower order at both ends; it stops at sigma 0.001.

    Zhao et al. 2023, https://arxiv.org/abs/2302.04867, Algorithms 5 and 6.
    """
    if variant not in ("bh1", "bh2"):
        raise ValueError(f"variant {variant!r} is not known; use 'bh1' or 'bh2'")
    if len(sigmas) > 1 and sigmas[-1] == 0:
        sigmas = torch.cat([sigmas[:-1], sigmas.new_tensor([LAST_SIGMA])])
    levels = [float(sigma) for sigma in sigmas]
    steps = len(levels) - 1
    history: list[Tensor] = []  # denoised x at this level and those before, the latest first
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        if i == 0:
            denoised = denoise(x, sigma)
            on_step(i, x, denoised)
            history = [denoised]
        p = min(order, i + 1, steps - i)
        rho, rho_c, h_phi_1, b_h = coefficients(levels[i::-1][:p], levels[i + 1], variant)
        differences = [old - history[0] for old in history[1:p]]
        start = x * (sigma_next / sigma) - history[0] * h_phi_1
        x = start - b_h * weighted(rho, differences)
        if i + 1 < steps:
            denoised = denoise(x, sigma_next)
            x = start - b_h * weighted(rho_c, [*differences, denoised - history[0]])
            on_step(i + 1, x, denoised)
            history = [denoised, *history[: order - 1]]
    return x


def weighted(weights: Sequence[float], tensors: Sequence[Tensor]) -> Tensor | float:
    return sum((tensor * weight for weight, tensor in zip(weights, tensors, strict=True)), start=0.0)


def coefficients(
    levels: Sequence[float], sigma_next: float, variant: str,
) -> tuple[list[float], list[float], float, float]:
    """Weights of the differences to D_0 in predictor and corrector, then e^{-h} - 1 and B(h); from ``levels`` of the history.

    Both solve R rho = b: R_k = r^{k - 1} over the history's places r, b_k = k! phi_{k + 1} / B(h), eq. 11 and 12.
    """
    order = len(levels)
    h = math.log(levels[0] / sigma_next)
    r = np.array([*(math.log(levels[0] / level) / h for level in levels[1:]), 1.0])
    hh = -h
    h_phi_1 = math.expm1(hh)
    b_h = hh if variant == "bh1" else h_phi_1
    b, h_phi_k = [], h_phi_1 / hh - 1
    for k in range(1, order + 1):
        b.append(h_phi_k * math.factorial(k) / b_h)
        h_phi_k = h_phi_k / hh - 1 / math.factorial(k + 1)
    matrix = np.vander(r, order, increasing=True).T
    rho_c = np.linalg.solve(matrix, b) if order > 1 else np.array([0.5])
    rho = np.linalg.solve(matrix[:-1, :-1], b[:-1]) if order > 2 else np.array([0.5] * (order - 1))
    return [*(rho / r[:-1])], [*(rho_c / r)], h_phi_1, b_h
