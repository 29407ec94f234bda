"""What changes with the noise level of a run, in one value: model, prompts, cfg, sampler, LoRA strengths, noise.

A timeline is a list of segments; each holds from its start down to the start of the next. Everything is keyed by sigma,
so more or fewer steps mean the same picture drawn more or less finely.

A step belongs to the segment its first noise level lies in: all network calls of the step are made as that segment says, also
those of second-order samplers at the step's other end. Where a seam changes what is asked of the network, or the sampler, the
sampler begins anew there, as a second KSamplerAdvanced does: what a multistep sampler remembers of another network would be
extrapolated wrongly. A seam that changes nothing is none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from engine.diffusion.conditioning import Conditioning
from engine.diffusion.journal import Journal
from engine.diffusion.model import Model
from engine.diffusion.parametrization import Parametrization
from engine.diffusion.patches import Adapter, Patch
from engine.diffusion.samplers import Sampler

if TYPE_CHECKING:
    from engine.diffusion.sampling import LatentNoise, Report
    from engine.types import Latent

Unit = Literal["sigma", "percent", "step"]


class TimelineError(ValueError):
    """A timeline that cannot be sampled: why, and what to do."""


@dataclass(frozen=True)
class Point:
    """A moment of a run: a noise level, a share of the model's schedule (0 is pure noise), or a step of the run's own sigmas."""

    value: float
    unit: Unit = "sigma"

    def sigma(self, sampling: Parametrization, sigmas: Tensor) -> float:
        if self.unit == "sigma":
            return self.value
        if self.unit == "percent":
            return sampling.percent_to_sigma(self.value)
        return float(sigmas[min(int(self.value), len(sigmas) - 1)])


@dataclass(frozen=True, eq=False)
class Segment:
    """What holds from ``start`` on. What is None is what the caller of the whole timeline gave.

    ``last_cfg``: the scale goes there from ``cfg`` over the segment, evenly in the model's own time. ``renoise``: the share
    of the noise that is drawn anew where the segment begins. ``detail``: the network is told a noise level lower by this share.
    """

    model: Model
    cfg: float = 1.0
    start: Point = Point(0.0, "percent")
    last_cfg: float | None = None
    sampler: Sampler | None = None
    positive: Conditioning | None = None
    negative: Conditioning | None = None
    renoise: float = 0.0
    detail: float = 0.0


@dataclass(frozen=True, eq=False)
class Ramp:
    """A LoRA whose strength follows ``keys``, evenly between them in the model's own time and constant outside."""

    adapter: Adapter
    keys: tuple[tuple[Point, float], ...]


@dataclass(frozen=True, eq=False)
class Reading:
    """A change of every positive prompt that gives each picture its own: ``change(prompt, seed, pictures)``."""

    title: str
    change: Callable[[Conditioning, int, int], Conditioning]


@dataclass(frozen=True)
class Variation:
    """The starting noise moved ``strength`` of the way to another seed's."""

    seed: int
    strength: float


@dataclass(frozen=True, eq=False)
class Timeline:
    """The TIMELINE value: segments in any order, LoRAs whose strength changes over all of them, and what a seed changes."""

    segments: tuple[Segment, ...] = ()
    ramps: tuple[Ramp, ...] = ()
    readings: tuple[Reading, ...] = ()
    variation: Variation | None = None

    def with_segment(self, segment: Segment) -> Timeline:
        return replace(self, segments=(*self.segments, segment))

    def with_ramp(self, ramp: Ramp) -> Timeline:
        return replace(self, ramps=(*self.ramps, ramp))

    def read(self, prompt: Conditioning, seed: int, pictures: int) -> Conditioning:
        """The prompt as each of the pictures of a seed reads it."""
        for reading in self.readings:
            prompt = reading.change(prompt, seed, pictures)
        return prompt

    def stages(self, sigmas: Tensor) -> tuple[Stage, ...]:
        """The segments in the order of a run along ``sigmas``, each with the noise levels it covers."""
        if not self.segments:
            raise TimelineError("the timeline has no segment. Connect a Timeline Segment.")
        sampling = self.segments[0].model.sampling
        starts = [(_snapped(segment.start.sigma(sampling, sigmas), sigmas), segment) for segment in self.segments]
        starts.sort(key=lambda pair: -pair[0])
        firsts = [float("inf"), *(sigma for sigma, _ in starts[1:])]
        lasts = [*firsts[1:], -1.0]
        stages = [Stage(segment, *ends) for (_, segment), *ends in zip(starts, firsts, lasts, strict=True)]
        return tuple(stage for stage in stages if stage.first > stage.last)

    def strengths(self, sigma: Tensor, sampling: Parametrization, sigmas: Tensor) -> tuple[float, ...]:
        """Of each ramp, at ``sigma``."""
        return tuple(_follow(ramp.keys, sigma, sampling, sigmas) for ramp in self.ramps)


@dataclass(frozen=True, eq=False)
class Stage:
    """A segment with its noise levels: ``first`` >= sigma > ``last``."""

    segment: Segment
    first: float
    last: float

    def covers(self, sigma: float) -> bool:
        return self.first >= sigma > self.last

    def cfg(self, sigma: Tensor, sigmas: Tensor) -> float:
        """The scale at ``sigma``."""
        segment = self.segment
        if segment.last_cfg is None:
            return segment.cfg
        ends = (min(self.first, float(sigmas[0])), max(self.last, float(sigmas[-1])))
        keys = ((Point(ends[0]), segment.cfg), (Point(ends[1]), segment.last_cfg))
        return _follow(keys, sigma, segment.model.sampling, sigmas)

    def goes_on(self, after: Stage, sigmas: Tensor) -> bool:
        """Whether the network is asked the same by the next stage, at the level where that begins."""
        a, b, level = self.segment, after.segment, torch.tensor(after.first)
        if a.model is not b.model or a.positive is not b.positive or a.negative is not b.negative:
            return False
        return a.detail == b.detail and math.isclose(self.cfg(level, sigmas), after.cfg(level, sigmas), rel_tol=1e-3)

    def piece(self, first: float, last: float, sigmas: Tensor) -> Segment:
        """The segment of a part of these levels, in which everything is as it was in the whole."""
        segment, begins = self.segment, first >= self.first
        cut = replace(segment, start=segment.start if begins else Point(first), renoise=segment.renoise if begins else 0.0)
        if segment.last_cfg is None:
            return cut
        ends = (self.cfg(torch.tensor(level), sigmas) for level in (min(first, float(sigmas[0])), max(last, 0.0)))
        return replace(cut, cfg=next(ends), last_cfg=next(ends))


def base_then_distilled(
    base: Model, distilled: Model, cfg: float, start: Point, distilled_cfg: float = 1.0, base_sampler: Sampler | None = None
) -> Timeline:
    """The base model with guidance down to ``start``, then the distilled one: variety from the first, speed from the second.

    Gandikota & Bau 2025, https://arxiv.org/abs/2503.10637: one step of the base model suffices.
    """
    return Timeline((Segment(base, cfg, sampler=base_sampler), Segment(distilled, distilled_cfg, start)))


def refine(sigmas: Tensor, steps: int, k: int, sampling: Parametrization) -> Tensor:
    """``sigmas`` with ``steps`` steps, even in the model's time, in place of its first ``k``: the levels at both ends stay."""
    k = min(k, len(sigmas) - 1)
    if k < 1 or steps < 1:
        return sigmas
    if float(sigmas[k]) <= 0:
        raise TimelineError(f"the base model has all {k} steps of the schedule. Leave at least one to the distilled model.")
    first, last = (float(sampling.timestep(sigmas[i])) for i in (0, k))
    inner = sampling.sigma(torch.linspace(first, last, steps + 1)[1:-1]).to(sigmas)
    return torch.cat([sigmas[:1], inner, sigmas[k:]])


def at_timesteps(timesteps: Sequence[float], sampling: Parametrization) -> Tensor:
    """The sigmas of the timesteps a model was distilled at, and 0."""
    return torch.cat([sampling.sigma(torch.tensor(timesteps, dtype=torch.float32)).float(), torch.zeros(1)])


def sample_timeline(
    timeline: Timeline, positive: Conditioning, negative: Conditioning, noise: LatentNoise, sampler: Sampler, sigmas: Tensor,
    latent: Latent, *, report: Report | None = None, journal: Journal | None = None,
) -> tuple[Latent, Latent]:
    """Walk ``sigmas`` as the timeline says; the result and the last clean estimate, as ``sampling.sample`` gives them."""
    from engine.diffusion.sampling import sample, silent
    from engine.diffusion.timeline_run import TimelineGuider, TimelineSampler, Turn

    timeline, positive, noise = _begun(timeline, positive, noise, latent["samples"].shape[0])
    stages = timeline.stages(sigmas)
    _check(stages)
    turn = Turn(stages)
    guider = TimelineGuider.made(timeline, turn, positive, negative, sigmas)
    walker = TimelineSampler.made(turn, sampler)
    return sample(guider, noise, walker, sigmas, latent, report=report or silent, journal=journal)


def _begun(
    timeline: Timeline, positive: Conditioning, noise: LatentNoise, pictures: int
) -> tuple[Timeline, Conditioning, LatentNoise]:
    """What the noise's seed and the number of pictures settle before the first step."""
    from engine.diffusion.sampling import RandomNoise
    from engine.diffusion.variety import VariationNoise

    if timeline.readings:
        own = {id(s.positive): s.positive for s in timeline.segments if s.positive is not None}
        read = {key: timeline.read(prompt, noise.seed, pictures) for key, prompt in own.items()}
        segments = tuple(replace(segment, positive=read.get(id(segment.positive))) for segment in timeline.segments)
        timeline, positive = replace(timeline, segments=segments), timeline.read(positive, noise.seed, pictures)
    if timeline.variation:
        noise = VariationNoise(noise, RandomNoise(timeline.variation.seed), timeline.variation.strength)
    return timeline, positive, noise


def with_strengths(model: Model, ramps: Sequence[Ramp], strengths: Sequence[float]) -> Model:
    """The model with every ramp's LoRA at its strength; those at 0 are not there at all."""
    pairs = zip(ramps, strengths, strict=True)
    patches = tuple(Patch(ramp.adapter, strength) for ramp, strength in pairs if strength != 0.0)
    return replace(model, patches=(*model.patches, *patches)) if patches else model


def _snapped(start: float, sigmas: Tensor) -> float:
    """A level typed with few digits means the step it all but names: within 0.1 %."""
    near = [float(sigma) for sigma in sigmas if abs(float(sigma) - start) <= 1e-3 * float(sigma)]
    return min(near, key=lambda sigma: abs(sigma - start)) if near else start


def _follow(keys: Sequence[tuple[Point, float]], sigma: Tensor, sampling: Parametrization, sigmas: Tensor) -> float:
    """The value at ``sigma`` of the broken line through ``keys``, over the model's time."""

    def time(level: float) -> float:
        bounded = min(max(level, sampling.sigma_min), sampling.sigma_max)
        return -float(sampling.timestep(torch.tensor(bounded)))

    points = sorted(((time(point.sigma(sampling, sigmas)), value) for point, value in keys), key=lambda pair: pair[0])
    now = time(float(sigma))
    if now <= points[0][0]:
        return points[0][1]
    for (t0, v0), (t1, v1) in pairwise(points):
        if now <= t1:
            return v1 if t1 == t0 else v0 + (v1 - v0) * (now - t0) / (t1 - t0)
    return points[-1][1]


def _check(stages: Sequence[Stage]) -> None:
    """All models of a run share one latent and one way of adding noise."""
    first = stages[0].segment.model
    for stage in stages[1:]:
        model = stage.segment.model
        if model.family.latent != first.family.latent:
            names = first.family.title, model.family.title
            raise TimelineError(f"the segments' models work on different latents: {names[0]} and {names[1]}. Use one family.")
        if model.sampling.flow != first.sampling.flow:
            raise TimelineError("one segment's model is a flow model, another's is not: a sigma is not the same noise to both.")


def read_keys(text: str, unit: Unit) -> tuple[tuple[Point, float], ...]:
    """"0@0, 1@0.5": a value at each of some moments."""
    pairs = [part.split("@") for part in text.split(",") if part.strip()]
    try:
        return tuple((Point(float(at), unit), float(value)) for value, at in pairs) or _nothing(text)
    except ValueError as error:
        raise TimelineError(f"{text!r} is no list of strengths: write strength@moment, like 0@0, 1@0.5") from error


def read_numbers(text: str) -> list[float]:
    """Numbers with commas between."""
    try:
        return [float(part) for part in text.split(",") if part.strip()] or _nothing(text)
    except ValueError as error:
        raise TimelineError(f"{text!r} is no list of numbers: write them with commas, like 999, 749, 499, 249") from error


def _nothing(text: str) -> Any:
    raise ValueError(text)
