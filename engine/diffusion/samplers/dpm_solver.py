"""DPM-Solver in its own words: steps of order 1 to 3 in log-SNR, planned by a number of calls or by an error bound.

Lu et al. 2022, https://arxiv.org/abs/2206.00927, with alpha = 1; from k-diffusion. Both stop at the last sigma above 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from engine.diffusion.denoise import Denoise, Noise, OnStep, ignore
from engine.diffusion.samplers.terms import ancestral_split, derivative


def _eps(denoise: Denoise, x: Tensor, t: Tensor) -> Tensor:
    sigma = (-t).exp()
    return derivative(x, sigma, denoise(x, sigma))


def solver_1_step(x: Tensor, t: Tensor, t_next: Tensor, eps: Tensor) -> Tensor:
    """DPM-Solver-1, eq. 3.7."""
    return x - (-t_next).exp() * (t_next - t).expm1() * eps


def solver_2_step(denoise: Denoise, x: Tensor, t: Tensor, t_next: Tensor, eps: Tensor, r1: float = 0.5) -> tuple[Tensor, Tensor]:
    """DPM-Solver-2, Algorithm 1; and the noise at its midpoint."""
    h = t_next - t
    s1 = t + r1 * h
    eps_r1 = _eps(denoise, solver_1_step(x, t, s1, eps), s1)
    x_2 = solver_1_step(x, t, t_next, eps) - (-t_next).exp() / (2 * r1) * h.expm1() * (eps_r1 - eps)
    return x_2, eps_r1


def solver_3_step(
    denoise: Denoise, x: Tensor, t: Tensor, t_next: Tensor, eps: Tensor,
    r1: float = 1 / 3, r2: float = 2 / 3, eps_r1: Tensor | None = None,
) -> Tensor:
    """DPM-Solver-3, Algorithm 2; ``eps_r1`` is the noise at the fraction r1 if it is known."""
    h = t_next - t
    s1, s2 = t + r1 * h, t + r2 * h
    if eps_r1 is None:
        eps_r1 = _eps(denoise, solver_1_step(x, t, s1, eps), s1)
    u2 = solver_1_step(x, t, s2, eps) - (-s2).exp() * (r2 / r1) * ((r2 * h).expm1() / (r2 * h) - 1) * (eps_r1 - eps)
    eps_r2 = _eps(denoise, u2, s2)
    return solver_1_step(x, t, t_next, eps) - (-t_next).exp() / r2 * (h.expm1() / h - 1) * (eps_r2 - eps)


def _ends(sigmas: Tensor) -> tuple[Tensor, Tensor, int]:
    """-log of the first level and of the last above 0, and the number of steps."""
    last = sigmas[-1] if sigmas[-1] > 0 else sigmas[-2]
    return -sigmas[0].log(), -last.log(), len(sigmas) - 1


def _split(t: Tensor, t_next: Tensor, t_end: Tensor, eta: float, flow: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Where the solver goes on the way from t to t_next, the scale of x there and the noise that takes it to t_next."""
    if eta == 0 or t_next < t:
        return t_next, torch.ones_like(t), torch.zeros_like(t)
    sigma_next = (-t_next).exp()
    split = ancestral_split((-t).exp(), sigma_next, eta, flow)
    t_down = torch.minimum(t_end, -split.down.log())
    down = (-t_down).exp()
    scale = (1 - sigma_next) / (1 - down) if flow else split.scale
    return t_down, scale, (sigma_next**2 - (scale * down) ** 2).clamp(min=0).sqrt()


def _orders(nfe: int) -> Sequence[int]:
    """Third-order steps, and at the end lower ones, that cost ``nfe`` network calls together. Section 3.4."""
    m = nfe // 3 + 1
    return [3] * (m - 2) + [2, 1] if nfe % 3 == 0 else [3] * (m - 1) + [nfe % 3]


def dpm_fast(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Noise, on_step: OnStep = ignore,
    eta: float = 0.0, s_noise: float = 1.0,
) -> Tensor:
    """DPM-Solver-Fast: of ``sigmas`` only the ends and the length count, N calls spread evenly over log sigma."""
    if len(sigmas) < 2:
        return x
    t_start, t_end, nfe = _ends(sigmas)
    orders = _orders(nfe)
    ts = torch.linspace(float(t_start), float(t_end), len(orders) + 1, dtype=sigmas.dtype)
    for i, ((t, t_next), order) in enumerate(zip(pairwise(ts), orders, strict=True)):
        t_down, scale, up = _split(t, t_next, t_end, eta, denoise.flow)
        sigma = (-t).exp()
        eps = _eps(denoise, x, t)
        on_step(i, x, x - sigma * eps)
        if order == 1:
            x = solver_1_step(x, t, t_down, eps)
        elif order == 2:
            x, _ = solver_2_step(denoise, x, t, t_down, eps)
        else:
            x = solver_3_step(denoise, x, t, t_down, eps)
        x = x * scale
        if up > 0 and s_noise != 0:
            x = x + noise(sigma, (-t_next).exp()) * (s_noise * up)
    return x


class StepSize:
    """A PID controller of the step size h: it grows after a small error and shrinks, the step refused, after a large one.

    Söderlind 2003, "Digital filters in adaptive time-stepping"; limiter and numbers of k-diffusion.
    """

    def __init__(self, h: float, pcoeff: float, icoeff: float, dcoeff: float, order: float, accept_safety: float) -> None:
        self.h = h
        self.b = ((pcoeff + icoeff + dcoeff) / order, -(pcoeff + 2 * dcoeff) / order, dcoeff / order)
        self.accept_safety = accept_safety
        self.inverse_errors: list[float] = []

    def accepts(self, error: float) -> bool:
        inverse_error = 1 / (error + 1e-8)
        history = [inverse_error, *(self.inverse_errors or [inverse_error, inverse_error])]
        factor = math.prod(e**b for e, b in zip(history, self.b, strict=True))
        factor = 1 + math.atan(factor - 1)
        accepted = factor >= self.accept_safety
        if accepted or not self.inverse_errors:
            self.inverse_errors = history[:2] if accepted else [inverse_error, inverse_error]
        self.h *= factor
        return accepted


def dpm_adaptive(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Noise, on_step: OnStep = ignore,
    order: int = 3, rtol: float = 0.05, atol: float = 0.0078, h_init: float = 0.05, pcoeff: float = 0.0, icoeff: float = 1.0,
    dcoeff: float = 0.0, accept_safety: float = 0.81, eta: float = 0.0, s_noise: float = 1.0,
) -> Tensor:
    """DPM-Solver-12 or -23: steps as large as the difference of two orders allows; of ``sigmas`` only the ends count.

    Appendix C of the paper; the step size by ``StepSize``. The number of calls is not known beforehand.
    """
    if order not in (2, 3):
        raise ValueError(f"order of dpm_adaptive must be 2 or 3, got {order}")
    if len(sigmas) < 2:
        return x
    s, t_end, _ = _ends(sigmas)
    forward = bool(t_end > s)
    size = StepSize(h_init if forward else -h_init, pcoeff, icoeff, dcoeff, 1.5 if eta else order, accept_safety)
    x_prev, i = x, 0
    while s < t_end - 1e-5 if forward else s > t_end + 1e-5:
        t = torch.minimum(t_end, s + size.h) if forward else torch.maximum(t_end, s + size.h)
        t_down, scale, up = _split(s, t, t_end, eta, denoise.flow)
        eps = _eps(denoise, x, s)
        denoised = x - (-s).exp() * eps
        on_step(i, x, denoised)
        if order == 2:
            x_low = solver_1_step(x, s, t_down, eps)
            x_high, _ = solver_2_step(denoise, x, s, t_down, eps)
        else:
            x_low, eps_r1 = solver_2_step(denoise, x, s, t_down, eps, r1=1 / 3)
            x_high = solver_3_step(denoise, x, s, t_down, eps, eps_r1=eps_r1)
        delta = torch.maximum(x_low.abs(), x_prev.abs()).mul(rtol).clamp(min=atol)
        error = float(torch.linalg.vector_norm((x_low - x_high) / delta)) / x.numel() ** 0.5
        if t == s or not math.isfinite(error):
            sigma = float((-s).exp())
            raise ValueError(f"dpm_adaptive finds no step at sigma {sigma:.4g}: raise rtol or atol, unless the model gives NaN")
        if size.accepts(error):
            x_prev = x_low
            x = x_high * scale
            if up > 0 and s_noise != 0:
                x = x + noise((-s).exp(), (-t).exp()) * (s_noise * up)
            s = t
        i += 1
    return x
