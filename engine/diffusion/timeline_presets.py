"""What people do with base and distilled models, each as a timeline: from a few numbers to segments, ramps and readings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from engine.diffusion.model import Model
from engine.diffusion.samplers import Sampler
from engine.diffusion.samplers.tcd import Tcd
from engine.diffusion.timeline import (
    Point,
    Ramp,
    Reading,
    Segment,
    Timeline,
    TimelineError,
    Variation,
    base_then_distilled,
    refine,
)
from engine.diffusion.variety import cads, embedding_noise


@dataclass(frozen=True, eq=False)
class Plan:
    """A preset's numbers. ``start`` and ``end`` are shares of the model's schedule, ``amount`` is the preset's own strength."""

    base: Model
    sigmas: Tensor
    distilled: Model | None = None
    timeline: Timeline | None = None
    base_sampler: Sampler | None = None
    base_cfg: float = 5.0
    distilled_cfg: float = 1.0
    seam: int = 1
    base_steps: int = 1
    amount: float = 0.3
    start: float = 0.0
    end: float = 0.3
    seed: int = 0

    def needed(self) -> Model:
        """The distilled model."""
        if self.distilled is None:
            raise TimelineError("this preset is about a distilled model, and none is connected. Connect it to `distilled`.")
        return self.distilled

    def base_until(self, seam: Point) -> Timeline:
        """The base model down to there."""
        scales = self.base_cfg, seam, self.distilled_cfg
        return base_then_distilled(self.base, self.needed(), *scales, self.base_sampler)

    def given(self) -> Timeline:
        """What a preset that changes a run changes: the timeline connected, else the distilled model alone, else the base."""
        if self.timeline is not None:
            return self.timeline
        one = Segment(self.base, self.base_cfg) if self.distilled is None else Segment(self.distilled, self.distilled_cfg)
        return Timeline((one,))

    def adapters(self) -> Timeline:
        """A timeline with what the distilled model has beyond the base as ramps, for LoRAs at strengths of their own."""
        own = self.needed().patches[len(self.base.patches) :]
        if not own or self.needed().part is not self.base.part:
            raise TimelineError(
                "this preset changes the strength of a LoRA, and `distilled` is not `base` with a LoRA on it. "
                "Connect the distilled LoRA's loader, fed by the base model; for a whole distilled model use `base first`."
            )
        keys = ((Point(self.start, "percent"), 0.0), (Point(self.end, "percent"), self.amount))
        return Timeline(ramps=tuple(Ramp(patch.adapter, keys) for patch in own))


Made = tuple[Timeline, Tensor]


def base_first(plan: Plan) -> Made:
    """The base model for the first ``seam`` steps, in ``base_steps`` of its own if that is not 0; then the distilled one."""
    if plan.seam == 0:
        return Timeline((Segment(plan.needed(), plan.distilled_cfg),)), plan.sigmas
    seam = Point(float(plan.sigmas[min(plan.seam, len(plan.sigmas) - 1)]))
    finer = refine(plan.sigmas, plan.base_steps, plan.seam, plan.base.sampling) if plan.base_steps else plan.sigmas
    return plan.base_until(seam), finer


def high_noise(plan: Plan) -> Made:
    """The base model until ``end``, as Wan 2.2 is used: its high-noise half without the LoRA (t > 0.875 is end 0.125)."""
    return plan.base_until(Point(plan.end, "percent")), plan.sigmas


def ramp(plan: Plan) -> Made:
    """The LoRA from 0 at ``start`` to ``amount`` at ``end``; guidance of the base until then. "loractl"."""
    segments = Segment(plan.base, plan.base_cfg), Segment(plan.base, plan.distilled_cfg, Point(plan.end, "percent"))
    return replace(plan.adapters(), segments=segments), plan.sigmas


def partial_strength(plan: Plan) -> Made:
    """The LoRA at ``amount`` all along, for some more steps than it was made for and a scale a little above 1."""
    ramps = tuple(Ramp(one.adapter, ((Point(0.0, "percent"), plan.amount),)) for one in plan.adapters().ramps)
    return Timeline((Segment(plan.base, plan.distilled_cfg),), ramps), plan.sigmas


def cfg_interval(plan: Plan) -> Made:
    """Guidance from ``start`` to ``end`` only. Kynkaanniemi et al. 2024, https://arxiv.org/abs/2404.07724."""
    plain = Timeline((Segment(plan.base, 1.0),)) if plan.timeline is None else plan.timeline
    return _between(plain, plan, lambda segment: replace(segment, cfg=plan.base_cfg, last_cfg=None)), plan.sigmas


def detail(plan: Plan) -> Made:
    """The network is told of ``amount`` less noise than there is, from ``start`` to ``end``."""
    return _between(plan.given(), plan, lambda segment: replace(segment, detail=plan.amount)), plan.sigmas


def seed_variance(plan: Plan) -> Made:
    """Noise of ``amount`` on half of the prompt's numbers until ``end``."""
    given = plan.given()
    reading = Reading(
        f"seed variance {plan.amount:g} until {plan.end:g}",
        lambda prompt, seed, pictures: embedding_noise(prompt, plan.amount, 0.5, plan.end, seed + plan.seed, pictures),
    )
    return replace(given, readings=(*given.readings, reading)), plan.sigmas


def annealed_prompt(plan: Plan) -> Made:
    """CADS: noise of ``amount`` in place of the prompt until ``start``, none of it from ``end`` on."""
    given = plan.given()
    reading = Reading(
        f"CADS {plan.amount:g} until {plan.end:g}",
        lambda prompt, seed, pictures: cads(
            prompt, plan.amount, 1 - plan.end, 1 - plan.start, seed=seed + plan.seed, batch=pictures
        ),
    )
    return replace(given, readings=(*given.readings, reading)), plan.sigmas


def tcd(plan: Plan) -> Made:
    """TCD's sampler, with ``amount`` as eta, in every segment without a sampler of its own."""
    given, sampler = plan.given(), Tcd(options={"eta": plan.amount})
    segments = tuple(replace(segment, sampler=segment.sampler or sampler) for segment in given.segments)
    return replace(given, segments=segments), plan.sigmas


def variation(plan: Plan) -> Made:
    """The starting noise moved by ``amount`` towards that of ``seed``."""
    return replace(plan.given(), variation=Variation(plan.seed, plan.amount)), plan.sigmas


PRESETS: dict[str, Callable[[Plan], Made]] = {
    "base first": base_first,
    "base in high noise": high_noise,
    "LoRA ramp": ramp,
    "LoRA at part strength": partial_strength,
    "cfg interval": cfg_interval,
    "detail": detail,
    "seed variance": seed_variance,
    "CADS": annealed_prompt,
    "TCD": tcd,
    "variation seed": variation,
}


def _between(timeline: Timeline, plan: Plan, change: Callable[[Segment], Segment]) -> Timeline:
    """The timeline with ``change`` from ``start`` to ``end``: segments are cut there and are otherwise what they were."""
    sampling, sigmas = plan.base.sampling, plan.sigmas
    first, last = (sampling.percent_to_sigma(share) for share in (plan.start, plan.end))
    pieces: list[Segment] = []
    for stage in timeline.stages(sigmas):
        cuts = [stage.first, *(level for level in (first, last) if stage.first > level > stage.last), stage.last]
        for k in range(len(cuts) - 1):
            piece = stage.segment if len(cuts) == 2 else stage.piece(cuts[k], cuts[k + 1], sigmas)
            inside = cuts[k] <= first and cuts[k + 1] >= last
            pieces.append(change(piece) if inside else piece)
    return replace(timeline, segments=tuple(pieces))
