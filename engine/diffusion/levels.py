"""The noise levels a network was trained at: its table of sigmas, and the timestep that stands for each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

ABOVE_ALL = 999999999.9
"""The sigma of 0 percent for a variance-exploding model: no schedule starts higher."""


class Levels(Protocol):
    """``sigma`` is in the sampler's units, ``timestep`` in those the network was trained with; both of any shape."""

    @property
    def sigmas(self) -> Tensor:
        """(T,) float32, ascending, never 0."""
        ...

    def timestep(self, sigma: Tensor) -> Tensor: ...

    def sigma(self, timestep: Tensor) -> Tensor: ...

    def percent_to_sigma(self, percent: float) -> float:
        """The sigma at which a fraction of the time is over: 0 is the start of sampling, 1 its end."""
        ...


def betas(kind: str = "scaled_linear", start: float = 0.00085, end: float = 0.012, steps: int = 1000) -> Tensor:
    """(steps,) float64 variances of the forward process: ``linear`` (DDPM) or ``scaled_linear`` (latent diffusion)."""
    if kind == "scaled_linear":
        return torch.linspace(start**0.5, end**0.5, steps, dtype=torch.float64) ** 2
    if kind == "linear":
        return torch.linspace(start, end, steps, dtype=torch.float64)
    raise ValueError(f"beta schedule {kind!r} is not known; use 'scaled_linear' or 'linear'")


def sigmas_of(alphas_cumprod: Tensor) -> Tensor:
    """sigma = sqrt((1 - alpha_bar) / alpha_bar), the variance-exploding view of a variance-preserving process."""
    return ((1 - alphas_cumprod) / alphas_cumprod).sqrt()


def zero_terminal_snr(sigmas: Tensor) -> Tensor:
    """Rescale so that the last step is pure noise, or as near as float32 gets: a terminal alpha_bar of 4.9e-8.

    Lin et al. 2023, https://arxiv.org/abs/2305.08891, Algorithm 1.
    """
    alphas = (sigmas**2 + 1).rsqrt()
    first, last = alphas[0], alphas[-1]
    alphas_cumprod = ((alphas - last) * first / (first - last)) ** 2
    alphas_cumprod[-1] = 4.8973451890853435e-08
    return sigmas_of(alphas_cumprod)


@dataclass(frozen=True, eq=False)
class DiscreteLevels:
    """A table with one sigma a training step; between its entries log sigma is linear in the timestep.

    A sigma becomes the nearest whole timestep, the ones the network saw in training, unless ``quantize`` is off.
    Distilled models (LCM) know only every ``stride``-th step.
    """

    sigmas: Tensor
    quantize: bool = True
    stride: int = 1

    @classmethod
    def of(cls, alphas_cumprod: Tensor, *, zsnr: bool = False, quantize: bool = True) -> DiscreteLevels:
        sigmas = sigmas_of(alphas_cumprod.double())
        return cls((zero_terminal_snr(sigmas) if zsnr else sigmas).float(), quantize)

    def distilled(self, steps: int = 50) -> DiscreteLevels:
        """Only ``steps`` of the levels, evenly spaced down from the last."""
        stride = len(self.sigmas) // steps
        return DiscreteLevels(self.sigmas.flip(0)[: steps * stride : stride].flip(0), stride=stride)

    def timestep(self, sigma: Tensor) -> Tensor:
        log_sigma, log_sigmas = sigma.log(), self.sigmas.log().to(sigma.device)
        if self.quantize:
            index = (log_sigma[..., None] - log_sigmas).abs().argmin(-1).float()
        else:
            low = torch.searchsorted(log_sigmas, log_sigma.contiguous(), right=True).sub(1).clamp(0, len(log_sigmas) - 2)
            weight = (log_sigma - log_sigmas[low]) / (log_sigmas[low + 1] - log_sigmas[low])
            index = low + weight.clamp(0, 1)
        return index * self.stride + (self.stride - 1)

    def sigma(self, timestep: Tensor) -> Tensor:
        log_sigmas = self.sigmas.log().to(timestep.device)
        t = ((timestep.float() - (self.stride - 1)) / self.stride).clamp(0, len(log_sigmas) - 1)
        return log_sigmas[t.floor().long()].lerp(log_sigmas[t.ceil().long()], t.frac()).exp()

    def percent_to_sigma(self, percent: float) -> float:
        if percent <= 0:
            return ABOVE_ALL
        return 0.0 if percent >= 1 else float(self.sigma(torch.tensor((1 - percent) * 999.0)))


def _log_spaced(sigma_min: float, sigma_max: float) -> Tensor:
    return torch.linspace(math.log(sigma_min), math.log(sigma_max), 1000).exp()


@dataclass(frozen=True)
class LogLevels:
    """Any sigma in a range; the timestep is log(sigma) / 4, as EDM's c_noise. Karras et al. 2022, Table 1."""

    sigma_min: float = 0.002
    sigma_max: float = 120.0

    @property
    def sigmas(self) -> Tensor:
        return _log_spaced(self.sigma_min, self.sigma_max)

    def timestep(self, sigma: Tensor) -> Tensor:
        return 0.25 * sigma.log()

    def sigma(self, timestep: Tensor) -> Tensor:
        return (timestep / 0.25).exp()

    def percent_to_sigma(self, percent: float) -> float:
        if percent <= 0:
            return ABOVE_ALL
        return 0.0 if percent >= 1 else self.sigma_min**percent * self.sigma_max ** (1 - percent)


class AngleLevels(LogLevels):
    """Any sigma in a range; the timestep is the angle atan(sigma) as a fraction of a right one (continuous v)."""

    def timestep(self, sigma: Tensor) -> Tensor:
        return sigma.atan() / (math.pi / 2)

    def sigma(self, timestep: Tensor) -> Tensor:
        return (timestep * (math.pi / 2)).tan()


class OddsLevels(LogLevels):
    """Any sigma in a range; the timestep is sigma / (1 + sigma), a flow network driven as a variance-exploding one."""

    def timestep(self, sigma: Tensor) -> Tensor:
        return sigma / (sigma + 1)

    def sigma(self, timestep: Tensor) -> Tensor:
        return (timestep / (1 - timestep)).clamp(self.sigma_min, self.sigma_max)


@dataclass(frozen=True)
class FlowLevels:
    """Rectified flow: sigma in (0, 1]; the schedule is shifted towards noise, the timestep is ``multiplier * sigma``.

    ``sigma(timestep)`` applies the shift and ``timestep(sigma)`` does not: schedules are laid out in unshifted time,
    while the network is told the sigma it really sees. Esser et al. 2024, https://arxiv.org/abs/2403.03206, eq. 23.
    """

    shift: float = 1.0
    multiplier: float = 1000.0
    steps: int = 1000

    @property
    def sigmas(self) -> Tensor:
        return self._shifted(torch.arange(1, self.steps + 1) / self.steps)

    def _shifted(self, t: Tensor) -> Tensor:
        return self.shift * t / (1 + (self.shift - 1) * t)

    def timestep(self, sigma: Tensor) -> Tensor:
        return sigma * self.multiplier

    def sigma(self, timestep: Tensor) -> Tensor:
        return self._shifted(timestep / self.multiplier)

    def percent_to_sigma(self, percent: float) -> float:
        t = min(max(1 - percent, 0.0), 1.0)
        return self.shift * t / (1 + (self.shift - 1) * t)


@dataclass(frozen=True)
class CosineLevels:
    """Cosine alpha_bar over continuous time, its log-SNR lowered by 2 log(shift); Stable Cascade's stages.

    As in ``FlowLevels`` the network is told unshifted time. Nichol & Dhariwal 2021, https://arxiv.org/abs/2102.09672,
    eq. 17; the shift is that of Hoogeboom et al. 2023, https://arxiv.org/abs/2301.11093.
    """

    shift: float = 1.0
    offset: float = 8e-3
    steps: int = 10000

    @property
    def sigmas(self) -> Tensor:
        return self.sigma(torch.arange(1, self.steps + 1) / self.steps)

    def _alpha_bar(self, timestep: Tensor) -> Tensor:
        return ((timestep + self.offset) / (1 + self.offset) * (math.pi / 2)).cos() ** 2

    def sigma(self, timestep: Tensor) -> Tensor:
        alpha_bar = self._alpha_bar(timestep) / self._alpha_bar(torch.zeros_like(timestep))
        if self.shift != 1:
            alpha_bar = (alpha_bar.logit() - 2 * math.log(self.shift)).sigmoid()
        return sigmas_of(alpha_bar.clamp(0.0001, 0.9999))

    def timestep(self, sigma: Tensor) -> Tensor:
        alpha_bar = self._alpha_bar(torch.zeros_like(sigma)) / (sigma**2 + 1)
        return alpha_bar.sqrt().acos() / (math.pi / 2) * (1 + self.offset) - self.offset

    def percent_to_sigma(self, percent: float) -> float:
        if percent <= 0:
            return ABOVE_ALL
        return 0.0 if percent >= 1 else float(self.sigma(torch.tensor(1 - percent)))
