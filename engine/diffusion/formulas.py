"""Guidance a model carries: a formula in place of the plain one, or a change of predictions before or after it.

In the formulas c and u are the predictions with and without the prompt, w the scale. How each is put on a model is said where
it is: ``with_rule``, ``with_before``, ``with_after``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from engine.diffusion.parametrization import along
from engine.diffusion.rules import After, Before, Formula, Parts, PerpNeg, dims, formula


def perp_neg(neg_scale: float = 1.0) -> Formula:
    """``PerpNeg`` as a model's rule, against the conditioning "empty" beside it: ``with_rule``."""

    def rule(parts: Parts) -> Tensor:
        empty = parts.again("empty", lambda network: nullcontext())
        return PerpNeg(parts.cfg, neg_scale)(parts.having(empty=empty))

    return rule


def renorm(cfg_trunc: float = 100.0, renorm_cfg: float = 1.0) -> Formula:
    """CFG no longer than ``renorm_cfg`` times c (0: however long), and from sigma ``cfg_trunc`` up c alone: ``with_rule``.

    As Lumina-Image 2.0 is sampled, https://github.com/Alpha-VLLM/Lumina-Image-2.0.
    """

    def rule(parts: Parts) -> Tensor:
        if float(parts.sigma) >= cfg_trunc:
            return parts.positive
        guided = formula(parts)
        if renorm_cfg <= 0:
            return guided
        return guided * (_norm(parts.positive) * renorm_cfg / _norm(guided).clamp(min=1e-12)).clamp(max=1.0)

    return rule


def rescale(multiplier: float = 0.7) -> Formula:
    """Guidance in v, brought back to the spread of c: ``with_rule``. 0 is plain CFG.

    Lin et al. 2023, https://arxiv.org/abs/2305.08891, section 3.4.
    """

    def rule(parts: Parts) -> Tensor:
        sigma = along(parts.sigma, parts.x)
        scale: Tensor = (sigma**2 + 1).sqrt()
        x = parts.x / scale**2
        c, u = ((x - d) * scale / sigma for d in (parts.positive, parts.negative))
        v = u + parts.cfg * (c - u)
        rescaled = v * (_std(c) / _std(v))
        return x - (multiplier * rescaled + (1.0 - multiplier) * v) * sigma / scale

    return rule


def apg(eta: float = 1.0, norm_threshold: float = 5.0, momentum: float = 0.0) -> Before:
    """Adaptive projected guidance: ``with_before``. c - u is cut to ``norm_threshold``; its part along c counts ``eta`` times.

    Sadat et al. 2024, https://arxiv.org/abs/2410.02416. As in ComfyUI the result is c + w g, so eta 1, threshold 0 and momentum
    0 is plain CFG at w + 1.
    """
    key = object()

    def before(parts: Parts) -> Parts:
        if "negative" not in parts.denoised:
            return parts
        c, u, sigma = parts.positive, parts.negative, float(parts.sigma)
        average, last_sigma = parts.memory.get(key, (None, math.inf))
        average = None if sigma > last_sigma else average
        guidance = c - u
        if momentum != 0:
            guidance = guidance if average is None else momentum * average + guidance
            parts.memory[key] = (guidance, sigma)
        if norm_threshold > 0:
            guidance = guidance * (norm_threshold / _norm(guidance)).clamp(max=1.0)
        direction = c / _norm(c).clamp(min=1e-12)
        along_c = (guidance * direction).sum(dims(c), keepdim=True) * direction
        guidance = guidance - along_c + eta * along_c
        return parts.having(positive=u + guidance + ((c - u) / parts.cfg if parts.cfg else 0.0))

    return before


def cfg_zero_star() -> After:
    """u counts by how well, as noise, it fits c: ``with_after``. Fan et al. 2025, https://arxiv.org/abs/2503.18886.

    As in ComfyUI the fit is of the noise, and what it weighs is the denoised u.
    """

    def after(parts: Parts, result: Tensor) -> Tensor:
        c, u = parts.x - parts.positive, parts.x - parts.negative
        alpha = (c * u).sum(dims(c), keepdim=True) / ((u * u).sum(dims(c), keepdim=True) + 1e-8)
        return result + parts.negative * (alpha - 1.0) * (1.0 - parts.cfg)

    return after


def cfg_norm(strength: float = 1.0) -> After:
    """No place is longer, over channels, than c has it: ``with_after``."""

    def after(parts: Parts, result: Tensor) -> Tensor:
        length, most = (torch.linalg.vector_norm(d, dim=1, keepdim=True) for d in (result, parts.positive))
        ratio: Tensor = (most / (length + 1e-8)).clamp(0.0, 1.0)
        return result * ratio * strength

    return after


def tcfg() -> Before:
    """Tangential damping: u is kept only along the main direction it shares with c: ``with_before``.

    Kwon et al. 2025, https://arxiv.org/abs/2503.18137.
    """

    def before(parts: Parts) -> Parts:
        if "negative" not in parts.denoised:
            return parts
        c, u = parts.x - parts.positive, parts.x - parts.negative
        pair = torch.stack([u.flatten(1), c.flatten(1)], dim=1).float()
        direction = torch.linalg.svd(pair, full_matrices=False).Vh[:, :1]
        damped = (u.flatten(1).float().unsqueeze(1) @ direction.mT @ direction).reshape(u.shape)
        return parts.having(negative=parts.x - damped)

    return before


def mahiro() -> After:
    """The closer the guided result points to c, the more of c itself: ``with_after``."""

    def after(parts: Parts, result: Tensor) -> Tensor:
        leap = parts.positive * parts.cfg
        merged = (leap + result) / 2
        similarity = torch.cosine_similarity(_root(parts.negative * parts.cfg), _root(merged), dim=1)
        share = (similarity.flatten(1).mean(1).reshape(-1, *[1] * (result.ndim - 1)) + 1) / 2
        return share * result + (1 - share) * leap

    return after


def scale_eps(factor: float = 1.005) -> After:
    """The predicted noise divided by ``factor``: ``with_after``. Ning et al. 2023, https://arxiv.org/abs/2308.15321."""

    def after(parts: Parts, result: Tensor) -> Tensor:
        return parts.x - (parts.x - result) / factor

    return after


def on_guidance(operation: Callable[[Tensor], Tensor]) -> Before:
    """A latent operation on c - u in units of noise (tonemap, sharpen): ``with_before``."""

    def before(parts: Parts) -> Parts:
        if "negative" not in parts.denoised:
            return parts.having(positive=operation(parts.positive))
        return parts.having(positive=operation(parts.positive - parts.negative) + parts.negative)

    return before


def perturbed(scale: float, edit: Any, first_sigma: float = math.inf, last_sigma: float = -1.0) -> After:
    """+ scale (c - c of the edited network), as in PAG and SEG: ``with_after``. https://arxiv.org/abs/2403.17377.

    Only at ``first_sigma`` >= sigma >= ``last_sigma``.
    """

    def after(parts: Parts, result: Tensor) -> Tensor:
        if scale == 0 or not last_sigma <= float(parts.sigma) <= first_sigma:
            return result
        return result + (parts.positive - parts.again("positive", edit)) * scale

    return after


def linear_cfg(min_cfg: float) -> Formula:
    """The scale rises over the frames of a batch, from ``min_cfg`` to the guider's: ``with_rule``."""

    def rule(parts: Parts) -> Tensor:
        scale = torch.linspace(min_cfg, parts.cfg, parts.x.shape[0], device=parts.x.device)
        return parts.negative + along(scale, parts.x) * (parts.positive - parts.negative)

    return rule


def triangle_cfg(min_cfg: float) -> Formula:
    """The scale is the guider's in the middle of a batch's frames and ``min_cfg`` at both ends: ``with_rule``."""

    def rule(parts: Parts) -> Tensor:
        time = torch.linspace(0, 1, parts.x.shape[0], device=parts.x.device)
        wave = 2 * (time - (time + 0.5).floor()).abs()
        return parts.negative + along(wave * (parts.cfg - min_cfg) + min_cfg, parts.x) * (parts.positive - parts.negative)

    return rule


def _root(x: Tensor) -> Tensor:
    return x.abs().sqrt() * x.sign()


def _std(x: Tensor) -> Tensor:
    return x.std(dims(x), keepdim=True)


def _norm(x: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(x, dim=dims(x), keepdim=True)
    return norm
