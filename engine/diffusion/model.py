"""The MODEL value: a network of a file, its family, and everything a graph has done to it; nothing is ever copied."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from engine.diffusion import parametrization
from engine.diffusion.conditioning import Conditioning
from engine.diffusion.families.family import Family, Prediction
from engine.diffusion.parametrization import Parametrization
from engine.diffusion.parts import Part, Place
from engine.diffusion.patches import Adapter, Patch
from engine.diffusion.residency import Residency

if TYPE_CHECKING:
    from engine.diffusion.reuse import Reuse
    from engine.diffusion.rules import After, Before, Formula

Edit = Callable[[nn.Module], AbstractContextManager[object]]
"""Installs something on the network for the length of a run and takes it away again: attention patches, FreeU ..."""

Around = Callable[..., Any]
"""``around(walk, guider, noise, sampler, sigmas, latent)`` in the place of ``walk`` of the same, a whole run of a sampler."""

DenoiseMask = Callable[[Parametrization, Tensor, Tensor, Tensor], Tensor]
"""(sampling, sigma, mask, sigmas) -> the mask to use at sigma: ``differential``."""


@dataclass(frozen=True)
class Override:
    """Another guidance scale where first_sigma >= sigma > last_sigma."""

    cfg: float
    first_sigma: float
    last_sigma: float


@dataclass(frozen=True)
class Guidance:
    """How predictions become one, beside the formula of the guider: see ``formulas``."""

    rule: Formula | None = None
    before: tuple[Before, ...] = ()
    after: tuple[After, ...] = ()
    needs_negative: bool = False  # also at cfg 1, where it is otherwise not evaluated
    beside: Mapping[str, Conditioning] = field(default_factory=dict)  # conditionings the formulas evaluate themselves
    reuse: Reuse | None = None  # when predictions are guessed from earlier ones
    scales: tuple[Override, ...] = ()  # in place of the guider's; the last one that holds

    def scale(self, sigma: float) -> float | None:
        """The guidance scale at sigma, if it is not the guider's."""
        held = (one.cfg for one in reversed(self.scales) if one.last_sigma < sigma <= one.first_sigma)
        return next(held, None)


@dataclass(frozen=True, eq=False)
class Model:
    """A denoiser with its patches. ``place`` provides the network when it is time to compute."""

    part: Part
    family: Family
    place: Place = field(default_factory=Residency)
    patches: tuple[Patch, ...] = ()
    parametrization: Parametrization | None = None
    guidance: Guidance = Guidance()
    edits: tuple[Edit, ...] = ()
    around: tuple[Around, ...] = ()
    denoise_mask: DenoiseMask | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    dtype: torch.dtype | None = None  # to compute in, if not what ``place`` finds best

    @cached_property
    def sampling(self) -> Parametrization:
        """The noise levels and the meaning of the output: the family's own unless a node has set another."""
        return self.parametrization or parametrization_of(self.family.prediction)

    def network(self) -> nn.Module:
        """The patched network, placed and ready."""
        return self.place(self.part, self.patches, dtype=self.dtype)

    def with_patches(self, adapter: Adapter, strength: float = 1.0) -> Self:
        """One adapter more; strength 0 is this very model."""
        return self if strength == 0.0 else replace(self, patches=(*self.patches, Patch(adapter, strength)))

    def with_sampling(self, sampling: Parametrization) -> Self:
        return replace(self, parametrization=sampling)

    def with_rule(self, rule: Formula, *, needs_negative: bool = False, **beside: Conditioning) -> Self:
        """``rule`` in place of the classifier-free guidance formula; it may evaluate what is ``beside`` by name."""
        needs = self.guidance.needs_negative or needs_negative
        known = {**self.guidance.beside, **beside}
        return replace(self, guidance=replace(self.guidance, rule=rule, needs_negative=needs, beside=known))

    def with_before(self, change: Before, *, needs_negative: bool = False) -> Self:
        """``change`` sees the predictions before the formula."""
        needs = self.guidance.needs_negative or needs_negative
        return replace(self, guidance=replace(self.guidance, before=(*self.guidance.before, change), needs_negative=needs))

    def with_after(self, change: After, *, needs_negative: bool = False) -> Self:
        """``change`` sees the predictions and the formula's result."""
        needs = self.guidance.needs_negative or needs_negative
        return replace(self, guidance=replace(self.guidance, after=(*self.guidance.after, change), needs_negative=needs))

    def with_scale(self, cfg: float, start: float, end: float) -> Self:
        """Guided at ``cfg`` from one share of the noise schedule to another, whatever the guider says."""
        first, last = (self.sampling.percent_to_sigma(share) for share in (start, end))
        scale = Override(cfg, first, -1.0 if end >= 1.0 else last)
        return replace(self, guidance=replace(self.guidance, scales=(*self.guidance.scales, scale)))

    def with_reuse(self, reuse: Reuse | None) -> Self:
        return replace(self, guidance=replace(self.guidance, reuse=reuse))

    def with_dtype(self, dtype: torch.dtype | None) -> Self:
        """Computed in ``dtype``; None is what is best for the device."""
        return replace(self, dtype=dtype)

    def with_edit(self, edit: Edit) -> Self:
        return replace(self, edits=(*self.edits, edit))

    def with_denoise_mask(self, function: DenoiseMask) -> Self:
        return replace(self, denoise_mask=function)

    def with_options(self, **options: Any) -> Self:
        """Free-form values, for foreign nodes."""
        return replace(self, options={**self.options, **options})


def parametrization_of(prediction: Prediction) -> Parametrization:
    """The parametrization a family's plain numbers mean."""
    p = prediction
    if p.kind in ("eps", "v", "x0"):
        return parametrization.discrete(p.kind, zsnr=p.zero_terminal_snr, start=p.beta_start, end=p.beta_end)
    if p.kind == "flow":
        return parametrization.flow(p.shift, p.multiplier)
    if p.kind == "edm":
        return parametrization.edm(p.sigma_min, p.sigma_max, p.sigma_data)
    return parametrization.edm_v(p.sigma_min, p.sigma_max, p.sigma_data)


def differential(sampling: Parametrization, sigma: Tensor, mask: Tensor, sigmas: Tensor, strength: float = 1.0) -> Tensor:
    """Differential diffusion: under a soft mask each place joins once the share of the run still to go falls to its value.

    Levin & Fried 2023, https://arxiv.org/abs/2306.00950. Shares are of the timesteps between the schedule's ends. With less
    ``strength`` a part of the soft mask itself is in it; at 0 it is that alone.
    """
    first, last = sampling.timestep(sigmas[0]), sampling.timestep(sigmas[-1].clamp(min=sampling.sigma_min))
    share = (sampling.timestep(sigma) - last) / (first - last)
    joined = (mask >= share.to(mask.device)).to(mask.dtype)
    return joined if strength == 1.0 else mask + (joined - mask) * strength
