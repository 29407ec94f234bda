"""One run along a timeline: the denoiser that changes its network with sigma, and the samplers one after the other."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from engine.diffusion.conditioning import Conditioning
from engine.diffusion.denoise import Denoise, OnStep
from engine.diffusion.guidance import Guided, Guider, Inpaint, cfg_guider
from engine.diffusion.journal import Journal
from engine.diffusion.model import Model
from engine.diffusion.noise import noise_source, starting_noise
from engine.diffusion.parametrization import Parametrization
from engine.diffusion.patches import Patch
from engine.diffusion.rules import Cfg
from engine.diffusion.samplers import Sampler
from engine.diffusion.timeline import Segment, Stage, Timeline, with_strengths

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class TimelineGuider(Guider):
    """The guider of the first stage, to whoever asks for a model; the denoiser it starts knows all stages."""

    timeline: Timeline = Timeline()
    stages: tuple[Stage, ...] = ()
    guiders: tuple[Guider, ...] = ()
    sigmas: Tensor = field(default_factory=lambda: torch.zeros(0))

    @classmethod
    def made(
        cls, timeline: Timeline, stages: tuple[Stage, ...], positive: Conditioning, negative: Conditioning, sigmas: Tensor
    ) -> TimelineGuider:
        guiders = tuple(_guider(stage.segment, positive, negative) for stage in stages)
        first = guiders[0]
        return cls(first.model, first.conditionings, first.rule, timeline, stages, guiders, sigmas)

    def open(self, stack: ExitStack) -> nn.Module:
        """The first stage's network, for its device; edits come and go with the stages."""
        return self.model.network()

    def start(self, network: nn.Module, x: Tensor, inpaint: Inpaint | None, journal: Journal | None) -> Denoise:
        guided = [Guided.start(guider, network, x, inpaint, journal) for guider in self.guiders]
        for other in guided[1:]:
            other.memory = guided[0].memory
        return TimelineDenoise(self, guided)


@dataclass(eq=False)
class TimelineDenoise:
    """The ``Denoise`` of a run: at every sigma that of its stage, with the network and the edits of the moment."""

    guider: TimelineGuider
    guided: list[Guided]
    flow: bool = False
    evaluations: int = 0
    _placed: tuple[Model, tuple[float, ...]] | None = None
    _network: nn.Module | None = None
    _patches: tuple[Patch, ...] = ()

    def __post_init__(self) -> None:
        self.flow = self.guided[0].flow

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self._at(sigma, lambda guided, level: guided(x, level))

    def split(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        return self._at(sigma, lambda guided, level: guided.split(x, level))

    def _at(self, sigma: Tensor, ask: Callable[[Guided, Tensor], T]) -> T:
        k = next((k for k, stage in enumerate(self.guider.stages) if stage.covers(float(sigma))), len(self.guided) - 1)
        stage, guided = self.guider.stages[k], self.guided[k]
        guided.network = self._place(stage.segment.model, sigma)
        guided.patches = self._patches
        guided.guider = replace(guided.guider, rule=Cfg(stage.cfg(sigma, self.guider.sigmas)))
        guided.evaluations = self.evaluations
        with guided.guider.edited(guided.network):
            result = ask(guided, sigma * (1.0 - stage.segment.detail) if stage.segment.detail else sigma)
        self.evaluations = guided.evaluations
        return result

    def _place(self, model: Model, sigma: Tensor) -> nn.Module:
        """The network for this moment. One with a passing strength is forgotten when the strength changes."""
        strengths = self.guider.timeline.strengths(sigma, self.guider.model.sampling, self.guider.sigmas)
        if self._placed is None or self._placed[0] is not model or self._placed[1] != strengths or self._network is None:
            patched = with_strengths(model, self.guider.timeline.ramps, strengths)
            place: Any = model.place if patched is model else getattr(model.place, "once", model.place)
            self._network = None
            self._placed, self._network = (model, strengths), place(patched.part, patched.patches, dtype=model.dtype)
            self._patches = patched.patches
        assert self._network is not None
        return self._network


@dataclass(frozen=True)
class TimelineSampler(Sampler):
    """The samplers of the stages, one walk for each run of steps that share one: a seam between equals is none."""

    stages: tuple[Stage, ...] = ()
    samplers: tuple[Sampler, ...] = ()

    @classmethod
    def made(cls, stages: tuple[Stage, ...], default: Sampler) -> TimelineSampler:
        samplers = tuple(stage.segment.sampler or default for stage in stages)
        return cls(samplers[0].function, mask_noise=samplers[0].mask_noise, stages=stages, samplers=samplers)

    def walk(
        self, denoise: Denoise, x: Tensor, sigmas: Tensor, sampling: Parametrization, seed: int, on_step: OnStep
    ) -> Tensor:
        sources = {kind: noise_source(kind, x, sigmas, seed) for kind in ("fresh", "brownian")}
        last: list[Tensor] = []
        for first, end in self.runs(sigmas):
            k = self._stage(float(sigmas[first]))
            share = self.stages[k].segment.renoise
            if share and last:
                x = _renoised(x, last[0], sigmas[first], share, denoise.flow, seed + first)

            def report(i: int, x: Tensor, denoised: Tensor, first: int = first) -> None:
                last[:] = [denoised]
                on_step(first + i, x, denoised)

            sampler = self.samplers[k]
            x = sampler.of(sampling)(denoise, x, sigmas[first : end + 1], noise=sources[sampler.noise], on_step=report)
        return x

    def runs(self, sigmas: Tensor) -> list[tuple[int, int]]:
        """(first step, step after the last) of each walk."""
        owners = [self._stage(float(sigma)) for sigma in sigmas[:-1]]
        cuts = [i for i in range(1, len(owners)) if self._parts(owners[i - 1], owners[i])]
        return list(zip([0, *cuts], [*cuts, len(owners)], strict=True))

    def _parts(self, before: int, after: int) -> bool:
        return before != after and (self.samplers[before] != self.samplers[after] or self.stages[after].segment.renoise > 0)

    def _stage(self, sigma: float) -> int:
        return next((k for k, stage in enumerate(self.stages) if stage.covers(sigma)), len(self.stages) - 1)


def _renoised(x: Tensor, denoised: Tensor, sigma: Tensor, share: float, flow: bool, seed: int) -> Tensor:
    """x at the same noise level with ``share`` of its noise's deviation drawn anew: D + sqrt(1 - r^2) (x - D) + r sigma n.

    The noise is what the last clean estimate D leaves of x. At r = 1 it is the step of a consistency model.
    """
    clean = denoised * (1 - sigma) if flow else denoised
    fresh = starting_noise(x.shape, seed + 2).to(x)
    kept = math.sqrt(1 - share**2)
    return clean + kept * (x - clean) + share * sigma * fresh


def _guider(segment: Segment, positive: Conditioning, negative: Conditioning) -> Guider:
    positive = positive if segment.positive is None else segment.positive
    negative = negative if segment.negative is None else segment.negative
    return cfg_guider(segment.model, positive, negative, segment.cfg)
