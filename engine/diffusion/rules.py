"""Guidance formulas: from the predictions of several conditionings to one.

``Rule`` is a guider's own formula and says which conditionings it reads; ``Before`` and ``After`` change predictions on
either side of it. In the formulas c and u are the predictions with and without the prompt, w the scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from engine.diffusion.parametrization import along


@dataclass(frozen=True)
class Parts:
    """What one evaluation of the network gave: a denoised latent a conditioning.

    ``memory`` lives as long as one run: a rule keeps what it must remember under its own key.
    ``again(name, edit, x, aside)`` evaluates a conditioning once more with an ``Edit`` on the network, at another x if not
    None; ``aside`` leaves no trace of it in the run's journal.
    """

    x: Tensor
    sigma: Tensor
    denoised: Mapping[str, Tensor]
    cfg: float
    memory: dict[object, Any]
    again: Callable[..., Tensor]

    @property
    def positive(self) -> Tensor:
        return self.denoised["positive"]

    @property
    def negative(self) -> Tensor:
        """The unconditional prediction; without one, the conditional."""
        return self.denoised.get("negative", self.positive)

    def having(self, **denoised: Tensor) -> Parts:
        """The same with some predictions replaced."""
        return replace(self, denoised={**self.denoised, **denoised})


class Rule(Protocol):
    """A guider's formula."""

    @property
    def cfg(self) -> float: ...

    def names(self, sigma: float) -> tuple[str, ...]:
        """The conditionings it reads at sigma; the others are not evaluated."""
        ...

    def __call__(self, parts: Parts) -> Tensor: ...


Formula = Callable[[Parts], Tensor]
Before = Callable[[Parts], Parts]
After = Callable[[Parts, Tensor], Tensor]


@dataclass(frozen=True)
class Plain:
    """The conditional prediction alone."""

    cfg: float = 1.0

    def names(self, sigma: float) -> tuple[str, ...]:
        return ("positive",)

    def __call__(self, parts: Parts) -> Tensor:
        return parts.positive


@dataclass(frozen=True)
class Cfg:
    """u + w (c - u); at w = 1 the negative is not evaluated. Ho & Salimans 2022, https://arxiv.org/abs/2207.12598.

    Outside ``first_sigma`` >= sigma > ``last_sigma`` w is 1. Kynkaanniemi et al. 2024, https://arxiv.org/abs/2404.07724.
    """

    cfg: float
    first_sigma: float = math.inf
    last_sigma: float = -1.0

    def names(self, sigma: float) -> tuple[str, ...]:
        plain = math.isclose(self.cfg, 1.0) or not self.last_sigma < sigma <= self.first_sigma
        return ("positive",) if plain else ("positive", "negative")

    def __call__(self, parts: Parts) -> Tensor:
        if len(self.names(float(parts.sigma))) == 1:
            return parts.positive
        return parts.negative + (parts.positive - parts.negative) * self.cfg


@dataclass(frozen=True)
class Dual:
    """Two prompts with a scale each: m + w1 (c - m) on top of u + w2 (m - u), or ``nested``: u + w2 (cfg(c, m; w1) - u)."""

    cfg: float
    cfg_middle: float
    nested: bool = False

    def names(self, sigma: float) -> tuple[str, ...]:
        if self.nested:
            return ("positive", "middle", "negative")
        negative = () if math.isclose(self.cfg_middle, 1.0) else ("negative",)
        if not negative and math.isclose(self.cfg, 1.0):
            return ("positive",)
        return ("positive", "middle", *negative)

    def __call__(self, parts: Parts) -> Tensor:
        if "middle" not in parts.denoised:
            return parts.positive
        middle = parts.denoised["middle"]
        if self.nested:
            inner = middle + (parts.positive - middle) * self.cfg
            return parts.negative + (inner - parts.negative) * self.cfg_middle
        outer = middle if "negative" not in parts.denoised else parts.negative + (middle - parts.negative) * self.cfg_middle
        return outer + (parts.positive - middle) * self.cfg


@dataclass(frozen=True)
class PerpNeg:
    """The negative counts only where it is perpendicular to the positive. https://arxiv.org/abs/2304.04968."""

    cfg: float
    neg_scale: float = 1.0

    def names(self, sigma: float) -> tuple[str, ...]:
        return ("positive", "negative", "empty")

    def __call__(self, parts: Parts) -> Tensor:
        empty = parts.denoised["empty"]
        pos, neg = parts.positive - empty, parts.negative - empty
        dims = _dims(pos)
        share = (neg * pos).sum(dims, keepdim=True) / (pos * pos).sum(dims, keepdim=True).clamp(min=1e-12)
        perpendicular: Tensor = neg - share * pos
        return empty + self.cfg * (pos - perpendicular * self.neg_scale)


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


def formula(parts: Parts) -> Tensor:
    """Plain classifier-free guidance at the parts' own scale."""
    return parts.negative + (parts.positive - parts.negative) * parts.cfg


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
        along_c = (guidance * direction).sum(_dims(c), keepdim=True) * direction
        guidance = guidance - along_c + eta * along_c
        return parts.having(positive=u + guidance + ((c - u) / parts.cfg if parts.cfg else 0.0))

    return before


def cfg_zero_star() -> After:
    """u counts by how well, as noise, it fits c: ``with_after``. Fan et al. 2025, https://arxiv.org/abs/2503.18886.

    As in ComfyUI the fit is of the noise, and what it weighs is the denoised u.
    """

    def after(parts: Parts, result: Tensor) -> Tensor:
        c, u = parts.x - parts.positive, parts.x - parts.negative
        dims = _dims(c)
        alpha = (c * u).sum(dims, keepdim=True) / ((u * u).sum(dims, keepdim=True) + 1e-8)
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


def _dims(x: Tensor) -> tuple[int, ...]:
    return tuple(range(1, x.ndim))


def _std(x: Tensor) -> Tensor:
    return x.std(_dims(x), keepdim=True)


def _norm(x: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(x, dim=_dims(x), keepdim=True)
    return norm
