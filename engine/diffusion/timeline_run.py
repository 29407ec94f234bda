"""One run along a timeline: the denoiser that changes its network with sigma, and the samplers one after the other."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from engine.diffusion.conditioning import Conditioning
from engine.diffusion.denoise import Denoise, OnStep, ignore
from engine.diffusion.guidance import Guided, Guider, Inpaint, cfg_guider
from engine.diffusion.journal import Journal
from engine.diffusion.model import Model
from engine.diffusion.noise import Draws, starting_noise
from engine.diffusion.parametrization import Parametrization
from engine.diffusion.patches import Patch
from engine.diffusion.rules import Cfg
from engine.diffusion.samplers import Sampler, Walk
from engine.diffusion.timeline import Segment, Stage, Timeline, with_strengths

T = TypeVar("T")


@dataclass(eq=False)
class Turn:
    """The stages of a run, and which of them the steps being made belong to: the sampler says it, the denoiser keeps to it."""

    stages: tuple[Stage, ...]
    first: int = 0
    last: int = -1  # of the stages that one walk goes through; -1 is the last there is

    def owner(self, sigma: float) -> int:
        """The stage of a step that begins at ``sigma``."""
        return next((k for k, stage in enumerate(self.stages) if stage.covers(sigma)), len(self.stages) - 1)

    def at(self, sigma: float) -> int:
        """The stage, of those whose turn it is, that is asked at ``sigma``; beyond their levels the nearest."""
        last = self.last % len(self.stages)
        return next((k for k in range(self.first, last) if sigma > self.stages[k].last), last)


@dataclass(frozen=True, eq=False)
class TimelineGuider(Guider):
    """The guider of the first stage, to whoever asks for a model; the denoiser it starts knows all stages."""

    timeline: Timeline = Timeline()
    turn: Turn = field(default_factory=lambda: Turn(()))
    guiders: tuple[Guider, ...] = ()
    sigmas: Tensor = field(default_factory=lambda: torch.zeros(0))

    @classmethod
    def made(
        cls, timeline: Timeline, turn: Turn, positive: Conditioning, negative: Conditioning, sigmas: Tensor
    ) -> TimelineGuider:
        guiders = tuple(_guider(stage.segment, positive, negative) for stage in turn.stages)
        first = guiders[0]
        return cls(first.model, first.conditionings, first.rule, timeline, turn, guiders, sigmas)

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
        k = self.guider.turn.at(float(sigma))
        stage, guided = self.guider.turn.stages[k], self.guided[k]
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

    turn: Turn = field(default_factory=lambda: Turn(()))
    samplers: tuple[Sampler, ...] = ()

    @classmethod
    def made(cls, turn: Turn, default: Sampler) -> TimelineSampler:
        samplers = tuple(stage.segment.sampler or default for stage in turn.stages)
        return cls(samplers[0].function, mask_noise=samplers[0].mask_noise, turn=turn, samplers=samplers)

    def walk(self, sampling: Parametrization, draws: Draws) -> Walk:
        return partial(self._along, sampling, draws)

    def _along(
        self, sampling: Parametrization, draws: Draws, denoise: Denoise, x: Tensor, sigmas: Tensor, *, on_step: OnStep = ignore
    ) -> Tensor:
        last: list[Tensor] = []
        walks = [sampler.walk(sampling, draws) for sampler in self.samplers]
        for first, end in self.runs(sigmas):
            k, turn = self.turn.owner(float(sigmas[first])), self.turn
            turn.first, turn.last = k, turn.owner(float(sigmas[end - 1]))
            share = turn.stages[k].segment.renoise
            if share and last:
                x = _renoised(x, last[0], sigmas[first], share, denoise.flow, draws.seed + first)

            def report(i: int, x: Tensor, denoised: Tensor, first: int = first) -> None:
                last[:] = [denoised]
                on_step(first + i, x, denoised)

            x = walks[k](denoise, x, sigmas[first : end + 1], on_step=report)
            if x.shape != draws.x.shape:  # a sampler that enlarges: the noise must be as large
                draws = Draws(x, sigmas, draws.seed + end)
                walks = [sampler.walk(sampling, draws) for sampler in self.samplers]
        return x

    def runs(self, sigmas: Tensor) -> list[tuple[int, int]]:
        """(first step, step after the last) of each walk."""
        owners = [self.turn.owner(float(sigma)) for sigma in sigmas[:-1]]
        cuts = [i for i in range(1, len(owners)) if self._parts(owners[i - 1], owners[i], sigmas)]
        return list(zip([0, *cuts], [*cuts, len(owners)], strict=True))

    def _parts(self, before: int, after: int, sigmas: Tensor) -> bool:
        if before == after:
            return False
        one, other = self.turn.stages[before], self.turn.stages[after]
        alike = self.samplers[before] == self.samplers[after] and other.segment.renoise == 0
        return not alike or not one.goes_on(other, sigmas)


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
