"""The noise levels a sampler visits: (N + 1,) float32, decreasing, ending in 0.

Three kinds. Those with a ``Parametrization`` in front walk the levels its network knows; those with ``sigma_min`` and
``sigma_max`` lay a curve between two numbers; those in ``schedule_tables`` interpolate levels found by optimisation.
``SCHEDULERS`` names the ones a model and a number of steps are enough for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from engine.diffusion.parametrization import Parametrization


class Scheduler(Protocol):
    """(parametrization, steps) -> sigmas."""

    def __call__(self, parametrization: Parametrization, steps: int, /) -> Tensor: ...


def append_zero(sigmas: Tensor) -> Tensor:
    return torch.cat([sigmas, sigmas.new_zeros(1)])


# Curves between two sigmas.


def karras(steps: int, sigma_min: float, sigma_max: float, rho: float = 7.0) -> Tensor:
    """Linear in sigma^(1 / rho). Karras et al. 2022, https://arxiv.org/abs/2206.00364, eq. 5."""
    ramp = torch.linspace(0, 1, steps)
    min_inv_rho, max_inv_rho = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    return append_zero((max_inv_rho + ramp * (min_inv_rho - max_inv_rho)) ** rho)


def exponential(steps: int, sigma_min: float, sigma_max: float) -> Tensor:
    """Linear in log sigma, as DPM-Solver's uniform log-SNR. From k-diffusion."""
    return append_zero(torch.linspace(math.log(sigma_max), math.log(sigma_min), steps).exp())


def polyexponential(steps: int, sigma_min: float, sigma_max: float, rho: float = 1.0) -> Tensor:
    """A power of the step in log sigma; rho = 1 is ``exponential``. From k-diffusion."""
    ramp = torch.linspace(1, 0, steps) ** rho
    return append_zero((math.log(sigma_min) + ramp * (math.log(sigma_max) - math.log(sigma_min))).exp())


def vp(steps: int, beta_d: float = 19.9, beta_min: float = 0.1, eps_s: float = 1e-3) -> Tensor:
    """Linear in the time of the continuous variance-preserving SDE. Song et al. 2021; Karras et al. 2022, Table 1."""
    t = torch.linspace(1, eps_s, steps)
    return append_zero(torch.expm1(beta_d * t**2 / 2 + beta_min * t).sqrt())


def laplace(steps: int, sigma_min: float, sigma_max: float, mu: float = 0.0, beta: float = 0.5) -> Tensor:
    """Quantiles of a Laplace distribution of log sigma; the one schedule of (steps,) that stops short of 0.

    Hang et al. 2024, https://arxiv.org/abs/2407.03297, Table 1.
    """
    t = 0.5 - torch.linspace(0, 1, steps)
    log_sigma = mu - beta * t.sign() * (1 - 2 * t.abs() + 1e-5).log()
    return log_sigma.exp().clamp(sigma_min, sigma_max)


def kl_optimal(steps: int, sigma_min: float, sigma_max: float) -> Tensor:
    """Linear in atan(sigma). Sabour et al. 2024 (Align Your Steps), https://arxiv.org/abs/2404.14507, section 3.1."""
    ramp = torch.arange(steps, dtype=torch.float64) / max(steps - 1, 1)  # near a right angle float32 is too coarse
    return append_zero((ramp * math.atan(sigma_min) + (1 - ramp) * math.atan(sigma_max)).tan().float())


def ltxv(
    steps: int, tokens: int = 4096, max_shift: float = 2.05, base_shift: float = 0.95,
    stretch: bool = True, terminal: float = 0.1,
) -> Tensor:
    """Flow time shifted by exp(mu), mu linear in the number of latent tokens, stretched to end at ``terminal``.

    LTX-Video, https://arxiv.org/abs/2501.00103.
    """
    mu = base_shift + (max_shift - base_shift) * (tokens - 1024) / (4096 - 1024)
    t = torch.linspace(1, 0, steps + 1)
    sigmas = math.exp(mu) * t / (1 + (math.exp(mu) - 1) * t)
    if stretch and steps > 1:
        sigmas[:-1] = 1 - (1 - sigmas[:-1]) * (1 - terminal) / (1 - sigmas[-2])
    return sigmas


# Walks over the levels a network knows.


def simple(parametrization: Parametrization, steps: int) -> Tensor:
    """Every (T / steps)-th level of the table, from the highest."""
    sigmas = parametrization.sigmas
    return append_zero(sigmas[[-1 - int(i * len(sigmas) / steps) for i in range(steps)]])


def ddim_uniform(parametrization: Parametrization, steps: int) -> Tensor:
    """Every (T // steps)-th level from the second lowest, so the count may differ. Song et al. 2020, DDIM."""
    sigmas = parametrization.sigmas
    ends_in_zero = math.isclose(float(sigmas[1]), 0, abs_tol=1e-5)
    stride = max(len(sigmas) // (steps + 1 if ends_in_zero else steps), 1)
    walk = sigmas[1::stride].flip(0)
    return walk if ends_in_zero else append_zero(walk)


def normal(parametrization: Parametrization, steps: int) -> Tensor:
    """Linear in the timestep, from the highest level to the lowest, then 0."""
    start, end = parametrization.timestep(torch.tensor([parametrization.sigma_max, parametrization.sigma_min]))
    if math.isclose(float(parametrization.sigma(end)), 0, abs_tol=1e-5):
        return parametrization.sigma(torch.linspace(float(start), float(end), steps + 1))
    return append_zero(parametrization.sigma(torch.linspace(float(start), float(end), steps)))


def sgm_uniform(parametrization: Parametrization, steps: int) -> Tensor:
    """Linear in the timestep, the lowest level left out: the spacing of Stability's generative-models."""
    start, end = parametrization.timestep(torch.tensor([parametrization.sigma_max, parametrization.sigma_min]))
    return append_zero(parametrization.sigma(torch.linspace(float(start), float(end), steps + 1)[:-1]))


def beta(parametrization: Parametrization, steps: int, alpha: float = 0.6, beta: float = 0.6) -> Tensor:
    """Levels at the quantiles of a Beta distribution, more at both ends; levels met twice are visited once.

    Lee et al. 2024, https://arxiv.org/abs/2407.12173.
    """
    from scipy.special import betaincinv  # type: ignore[import-untyped, unused-ignore]

    sigmas = parametrization.sigmas
    quantiles = [betaincinv(alpha, beta, 1 - i / steps) for i in range(steps)]
    return append_zero(torch.unique_consecutive(sigmas[[round(quantile * (len(sigmas) - 1)) for quantile in quantiles]]))


def linear_quadratic(
    parametrization: Parametrization, steps: int, threshold_noise: float = 0.025, linear_steps: int | None = None,
) -> Tensor:
    """Small equal steps until ``threshold_noise`` is gone, then steps that grow. Movie Gen 2024, arXiv:2410.13720, 3.4.2."""
    if steps == 1:
        return torch.tensor([parametrization.sigma_max, 0.0])
    linear_steps = steps // 2 if linear_steps is None else linear_steps
    quadratic_steps = steps - linear_steps
    slope = threshold_noise / linear_steps
    # From there a parabola: it meets the line at the last linear step and reaches 1 at the last step of all.
    excess = (linear_steps - threshold_noise * steps) / quadratic_steps**2
    i = torch.arange(steps + 1, dtype=torch.float64)
    parabola = excess / linear_steps * (i**2 + linear_steps**2) + (slope - 2 * excess) * i
    gone = torch.where(i < linear_steps, slope * i, parabola)
    gone[-1] = 1.0
    return ((1 - gone) * parametrization.sigma_max).float()


def sd_turbo(parametrization: Parametrization, steps: int, denoise: float = 1.0) -> Tensor:
    """The ten levels the Turbo students were distilled at, timesteps 999, 899 ... 99, from a start set by ``denoise``."""
    start = 10 - int(10 * denoise)
    timesteps = torch.arange(999, 0, -100)[start : start + steps]
    return append_zero(parametrization.sigma(timesteps))


def _between(curve: Callable[[int, float, float], Tensor]) -> Scheduler:
    def scheduler(parametrization: Parametrization, steps: int, /) -> Tensor:
        return curve(steps, parametrization.sigma_min, parametrization.sigma_max)

    return scheduler


SCHEDULERS: Mapping[str, Scheduler] = {
    "simple": simple,
    "sgm_uniform": sgm_uniform,
    "karras": _between(karras),
    "exponential": _between(exponential),
    "ddim_uniform": ddim_uniform,
    "beta": beta,
    "normal": normal,
    "linear_quadratic": linear_quadratic,
    "kl_optimal": _between(kl_optimal),
}


def sigmas_for(
    parametrization: Parametrization, scheduler: str, steps: int, denoise: float = 1.0, drop_penultimate: bool = False,
) -> Tensor:
    """The schedule of a sampling node: of int(steps / denoise) steps, the last ``steps``; (0,) when there is nothing to do.

    ``drop_penultimate`` is for samplers that gain nothing from the last tiny step: one more is laid out, and its
    start left out.
    """
    if scheduler not in SCHEDULERS:
        raise ValueError(f"scheduler {scheduler!r} is not known; use one of {', '.join(SCHEDULERS)}")
    if steps < 1 or denoise <= 0:
        return torch.zeros(0)
    whole = denoise > 0.9999
    total = steps if whole else int(steps / denoise)
    sigmas = SCHEDULERS[scheduler](parametrization, total + drop_penultimate)
    if drop_penultimate:
        sigmas = torch.cat([sigmas[:-2], sigmas[-1:]])
    return sigmas if whole else sigmas[-(steps + 1) :]


def extended(sigmas: Tensor, steps: int, start: float, end: float, spacing: str = "linear") -> Tensor:
    """``sigmas`` with ``steps`` levels for one between each two of which the upper lies in ``end`` .. ``start``.

    ``spacing`` is how the new ones lie between the old: linear, cosine (denser above) or sine (denser below).
    """
    share = torch.linspace(0, 1, steps + 1)[1:-1]
    bend = {"linear": share, "cosine": torch.sin(share * torch.pi / 2), "sine": 1 - torch.cos(share * torch.pi / 2)}
    if spacing not in bend:
        raise ValueError(f"expected a spacing of {', '.join(bend)}, but got {spacing!r}")
    out: list[Tensor] = []
    for upper, lower in pairwise(sigmas):
        out.append(upper.reshape(1))
        if end <= float(upper) <= start:
            out.append(upper + (lower - upper) * bend[spacing])
    return torch.cat([*out, sigmas[-1:]])
