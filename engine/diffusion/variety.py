"""What makes seeds differ again, and what keeps strong guidance from burning: changes of prompts, noise, guidance and sampler."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from engine.diffusion.conditioning import Conditioning, Options, entries
from engine.diffusion.denoise import Denoise, Noise, OnStep, ignore
from engine.diffusion.rules import Before, Parts
from engine.diffusion.samplers import Sampler

if TYPE_CHECKING:
    from engine.diffusion.sampling import LatentNoise
    from engine.types import Latent

PIECES = 20
"""Into how many intervals, each with a noise of its own, CADS cuts the time in which it fades."""

Change = Callable[[Tensor, torch.Generator], Tensor]


def embedding_noise(
    conditioning: Conditioning, strength: float = 0.1, share: float = 0.5, end: float = 1.0, seed: int = 0, batch: int = 1
) -> list[list[Any]]:
    """Seed variance: e + m r strength std(e) on the tokens, r uniform in -1..1, m 1 for a random ``share`` of the numbers.

    Up to the share ``end`` of the schedule, then the prompt as it was. With ``batch`` each picture of a batch gets its own.
    InvokeAI's seed variance enhancer.
    """
    if strength == 0 or share == 0 or end <= 0:
        return _during(conditioning, 0.0, 1.0)

    def change(e: Tensor, generator: torch.Generator) -> Tensor:
        r = torch.rand(e.shape, generator=generator) * 2 - 1
        m = (torch.rand(e.shape, generator=generator) < share).float()
        return e + (m * r).to(e) * strength * e.std()

    noisy = _changed(conditioning, change, seed, batch, pooled=False)
    return [*_during(noisy, 0.0, end), *_during(conditioning, end, 1.0)]


def cads(
    conditioning: Conditioning, scale: float = 0.25, t1: float = 0.6, t2: float = 0.9, psi: float = 0.0, seed: int = 0,
    batch: int = 1,
) -> list[list[Any]]:
    """Condition-annealed sampling: y' = sqrt(g) y + scale sqrt(1 - g) n; g is 0 above time t2, 1 below t1, even between.

    With ``psi`` that share is brought back to y's mean and spread. Time runs from 1 to 0 over the schedule; it is cut into
    intervals with a noise each, g being that of the middle. Sadat et al. 2023, https://arxiv.org/abs/2310.17347, Algorithm 1.
    """
    edges = [1.0, *(t2 - (t2 - t1) * i / PIECES for i in range(PIECES + 1))]
    pieces: list[list[Any]] = []
    for k in range(len(edges) - 1):
        first, last = edges[k], edges[k + 1]
        if first > last:
            g = annealing((first + last) / 2, t1, t2)
            noisy = _changed(conditioning, partial(_annealed, g=g, scale=scale, psi=psi), seed + k, batch, pooled=True)
            pieces += _during(noisy, 1 - first, 1 - last)
    return [*pieces, *_during(conditioning, 1 - t1, 1.0)] if scale > 0 else _during(conditioning, 0.0, 1.0)


def annealing(t: float, t1: float, t2: float) -> float:
    """How much of the condition is left at time t: 1 up to t1, 0 from t2."""
    return 1.0 if t <= t1 else 0.0 if t >= t2 else (t2 - t) / (t2 - t1)


def _annealed(y: Tensor, generator: torch.Generator, g: float, scale: float, psi: float) -> Tensor:
    noise = torch.randn(y.shape, generator=generator).to(y)
    noisy: Tensor = y * math.sqrt(g) + noise * (scale * math.sqrt(1 - g))
    if psi == 0:
        return noisy
    rescaled = (noisy - noisy.mean()) / noisy.std() * y.std() + y.mean()
    return noisy.lerp(rescaled, psi)


def _changed(conditioning: Conditioning, change: Change, seed: int, batch: int, *, pooled: bool) -> list[list[Any]]:
    """Every entry changed by numbers of its own, for ``batch`` pictures."""
    generator = torch.Generator().manual_seed(seed % 2**64)
    result: list[list[Any]] = []
    for embedding, options in entries(conditioning):
        new: Options = dict(options)
        known = options.get("pooled_output")
        changed = change(_for_each(embedding, batch), generator)
        if pooled and known is not None:
            new["pooled_output"] = change(_for_each(known, batch), generator)
        elif known is not None and batch > 1:
            new["pooled_output"] = _for_each(known, batch)
        result.append([changed, new])
    return result


def _for_each(tensor: Tensor, batch: int) -> Tensor:
    return tensor if tensor.shape[0] >= batch else tensor.repeat(-(-batch // tensor.shape[0]), *[1] * (tensor.ndim - 1))[:batch]


def _during(conditioning: Conditioning, start: float, end: float) -> list[list[Any]]:
    """The entries from share ``start`` of the schedule to before ``end``, within the range they had."""
    kept: list[list[Any]] = []
    for embedding, options in entries(conditioning):
        first = max(start, float(options.get("start_percent", 0.0)))
        last = min(1.0 if end >= 1 else end - 1e-6, float(options.get("end_percent", 1.0)))
        if first < last:
            whole = first <= 0 and last >= 1
            kept.append([embedding, dict(options) if whole else {**options, "start_percent": first, "end_percent": last}])
    return kept


@dataclass(frozen=True)
class VariationNoise:
    """The NOISE value ``strength`` of the way from one noise to another, along the sphere: near seeds, near pictures."""

    start: LatentNoise
    end: LatentNoise
    strength: float

    @property
    def seed(self) -> int:
        return self.start.seed

    def generate_noise(self, input_latent: Latent) -> Tensor:
        from engine.diffusion.pixels.resize import slerp

        a = self.start.generate_noise(input_latent)
        if self.strength == 0:
            return a
        b = self.end.generate_noise(input_latent)
        share = torch.full((a.shape[0], 1), self.strength)
        return slerp(a.flatten(1), b.flatten(1), share).reshape(a.shape)


def skimmed(scale: float = 7.0, full_negative: bool = False) -> Before:
    """Skimmed CFG: ``with_before``. Where guidance runs away, the result is that of CFG at ``scale``, elsewhere of the full one.

    Where is: c - u, c and the guided c agree in sign, and the guided result has left x on the side it is on. The same is done
    to u, with ``full_negative`` down to scale 0. Extraltodeus, Skimmed_CFG (from its formulas).
    """

    def before(parts: Parts) -> Parts:
        if "negative" not in parts.denoised or parts.cfg == 0:
            return parts
        c, u, x, w = parts.positive, parts.negative, parts.x, parts.cfg
        u = _skim(x, u, c, w, 0.0 if full_negative else scale)
        return parts.having(positive=_skim(x, c, u, w, scale), negative=u)

    return before


def _skim(x: Tensor, c: Tensor, u: Tensor, w: float, k: float) -> Tensor:
    full = u + w * (c - u)
    beyond = ((c - u).sign() == c.sign()) & (c.sign() == full.sign()) & (full.sign() == (full - x).sign())
    return torch.where(beyond, c - (w - k) * (c - u) / w, c)


def detailed(
    sampler: Sampler, amount: float, start: float = 0.2, end: float = 0.8, bias: float = 0.5, smooth: bool = True
) -> Sampler:
    """The sampler with a network that is told less noise than there is, so that it adds detail; 0 is the sampler itself.

    The share hidden rises from 0 at ``start`` of the run to ``amount`` at ``bias`` of the way to ``end``, and falls again.
    Jonseed, Detail Daemon; there the amount is 0.1 times this, times cfg.
    """
    if amount == 0:
        return sampler
    hidden = partial(_hill, amount, start, end, bias, smooth)
    function: Any = partial(_told_less, inner=sampler.function, hidden=hidden)
    return replace(sampler, function=function)


def _told_less(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Noise, on_step: OnStep = ignore, inner: Any,
    hidden: Callable[[float], float], **options: Any,
) -> Tensor:
    """``inner`` with a denoiser that is called at sigma (1 - hidden(share of the run))."""
    result: Tensor = inner(_Told(denoise, sigmas, hidden), x, sigmas, noise=noise, on_step=on_step, **options)
    return result


@dataclass(eq=False)
class _Told:
    denoise: Denoise
    sigmas: Tensor
    hidden: Callable[[float], float]

    @property
    def flow(self) -> bool:
        return self.denoise.flow

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.denoise(x, self._told(sigma))

    def split(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        return self.denoise.split(x, self._told(sigma))

    def _told(self, sigma: Tensor) -> Tensor:
        return sigma * max(1e-6, 1.0 - self.hidden(share_of_run(self.sigmas, float(sigma))))


def share_of_run(sigmas: Tensor, sigma: float) -> float:
    """How far along the run a level is, in steps: 0 at the first sigma, 1 at the last step's."""
    levels = [float(level) for level in sigmas[:-1]]
    for i in range(len(levels) - 1):
        if levels[i] >= sigma > levels[i + 1]:
            return (i + (levels[i] - sigma) / (levels[i] - levels[i + 1])) / (len(levels) - 1)
    return 0.0 if sigma >= levels[0] else 1.0


def _hill(amount: float, start: float, end: float, bias: float, smooth: bool, share: float) -> float:
    """0 outside ``start``..``end``, ``amount`` at the top, ``bias`` of the way between them; a cosine's slopes if smooth."""
    top = start + bias * (end - start)
    if not start < share < end and share != top:
        return 0.0
    height = (share - start) / (top - start) if share < top else (end - share) / (end - top) if share > top else 1.0
    return amount * (0.5 - 0.5 * float(torch.cos(torch.tensor(height * torch.pi))) if smooth else height)
