"""A model with a closed form: data ~ N(mean, S^2), one scalar an element, its ideal denoiser and its exact path."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from engine.diffusion.samplers import SAMPLERS

S = 0.7


class Gaussian:
    """E[x0 | x] for x = alpha x0 + sigma eps; ``mean`` has the shape of x or is a number. Counts its calls."""

    def __init__(self, flow: bool = False, mean: Tensor | float = 0.0) -> None:
        self.flow, self.mean, self.calls = flow, mean, 0

    def alpha(self, sigma: Tensor) -> Tensor:
        return 1 - sigma if self.flow else torch.ones_like(sigma)

    def variance(self, sigma: Tensor) -> Tensor:
        return (self.alpha(sigma) * S) ** 2 + sigma**2

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        self.calls += 1
        return self.mean + (x - self.alpha(sigma) * self.mean) * (self.alpha(sigma) * S**2 / self.variance(sigma))

    def split(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        denoised = self(x, sigma)
        return denoised, denoised

    def path(self, x: Tensor, sigma: Tensor, sigma_next: Tensor) -> Tensor:
        """Where the probability flow takes x, for mean 0."""
        return x * (self.variance(sigma_next) / self.variance(sigma)).sqrt()


def even(u: Tensor) -> Tensor:
    return u


def graded(u: Tensor) -> Tensor:
    """Cubic at both ends: steps of n^-3 there, so that a method's low-order start and end do not count."""
    return u**3 * (10 - 15 * u + 6 * u**2)


def levels(flow: bool, n: int, spacing: Callable[[Tensor], Tensor] = even) -> Tensor:
    """(n + 1,) float64, decreasing, above 0: in log sigma, or in sigma on a flow model."""
    u = spacing(torch.linspace(0, 1, n + 1, dtype=torch.float64))
    return 0.95 - 0.9 * u if flow else torch.exp(math.log(5.0) - math.log(50.0) * u)


def silent(sigma: Tensor, sigma_next: Tensor) -> Tensor:
    raise AssertionError(f"noise drawn for the step {float(sigma):.3f} -> {float(sigma_next):.3f}, which uses none")


def options(name: str, **more: Any) -> dict[str, Any]:
    """The table's options and ``more``, of these only what the function takes."""
    sampler = SAMPLERS[name]
    taken = signature(sampler.function).parameters
    return {**sampler.options, **{key: value for key, value in more.items() if key in taken}}


def deterministic(name: str, **more: Any) -> Any:
    """The ODE behind a sampler."""
    more = {"eta": 0.0, "solver_type": "ODE", **more} if name == "er_sde" else {"eta": 0.0, **more}
    return partial(SAMPLERS[name].function, **options(name, **more), noise=silent)
