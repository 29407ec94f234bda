"""Multistep samplers: one network call a step, the history of denoised x extrapolated over the step.

All are written for x = x0 + sigma eps with lambda = -log sigma, and hold unchanged for rectified flow, whose ODE is the
same. The linear ones, on dx / dsigma, are in ``adams``.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from engine.diffusion.denoise import Denoise, Noise, OnStep, ignore
from engine.diffusion.samplers.terms import ancestral_split, evaluate


def dpmpp_2m(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Noise, on_step: OnStep = ignore, cfg_pp: bool = False,
) -> Tensor:
    """DPM-Solver++(2M), second order; the first step and the one to 0 are Euler.

    Lu et al. 2022, https://arxiv.org/abs/2211.01095, Algorithm 2; with ``cfg_pp`` x moves along the unconditional noise.
    """
    old, h_last = x, sigmas.new_zeros(())
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised, toward = evaluate(denoise, x, sigma, cfg_pp)
        on_step(i, x, denoised)
        h = sigma.log() - sigma_next.log()
        denoised_d = denoised
        if i > 0 and sigma_next > 0:
            denoised_d = denoised + (denoised - old) * (h / h_last / 2)
        ratio = sigma_next / sigma
        x = (x + (denoised - toward)) * ratio + denoised_d * (1 - ratio)
        old, h_last = toward, h
    return x


def res_multistep(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Noise, on_step: OnStep = ignore,
    eta: float = 0.0, s_noise: float = 1.0, cfg_pp: bool = False,
) -> Tensor:
    """RES, the refined exponential solver, second-order multistep; with eta > 0 ancestral. First step and last are Euler.

    Zhang et al. 2023, https://arxiv.org/abs/2308.02157, eqs. 26 and 31 with c2 = -h_last / h.
    """
    old, old_down = x, sigmas.new_ones(())
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised, toward = evaluate(denoise, x, sigma, cfg_pp)
        on_step(i, x, denoised)
        split = ancestral_split(sigma, sigma_next, eta, denoise.flow)
        ratio = split.down / sigma
        if split.down == 0 or i == 0:
            x = denoised + (x - toward) * ratio
        else:
            h = sigma.log() - split.down.log()
            c2 = (old_down.log() - sigmas[i - 1].log()) / h
            # phi_1(z) = (e^z - 1) / z and phi_2(z) = (phi_1(z) - 1) / z at z = -h
            phi_1 = (-h).expm1() / -h
            phi_2 = (phi_1 - 1) / -h
            b2 = (phi_2 / c2).nan_to_num(0.0)
            b1 = phi_1 - b2
            x = (x + (denoised - toward)) * ratio + (toward * b1 + old * b2) * h
        x = split.renoise(x, s_noise, noise, sigma, sigma_next)
        old, old_down = toward, split.down
    return x
