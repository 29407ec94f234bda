"""Guiders' formulas: from the predictions of several conditionings to one.

``Rule`` is a guider's own formula and says which conditionings it reads; ``Before`` and ``After`` change predictions on
either side of it (see ``formulas``). Here c and u are the predictions with and without the prompt, w the scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from torch import Tensor


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
        share = (neg * pos).sum(dims(pos), keepdim=True) / (pos * pos).sum(dims(pos), keepdim=True).clamp(min=1e-12)
        perpendicular: Tensor = neg - share * pos
        return empty + self.cfg * (pos - perpendicular * self.neg_scale)


def formula(parts: Parts) -> Tensor:
    """Plain classifier-free guidance at the parts' own scale."""
    return parts.negative + (parts.positive - parts.negative) * parts.cfg


def dims(x: Tensor) -> tuple[int, ...]:
    """All but the batch."""
    return tuple(range(1, x.ndim))
