"""What changes with the noise level of a run, as one value: models, guidance, samplers and LoRA strengths over intervals."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from annotated_types import Interval

from engine.node import Advanced, Doc, Folder, Run, Seed, Step, node
from engine.types import Conditioning, Image, Latent, Model, Noise, Sampler, Sigmas, Timeline
from nodes.custom_sampling import Sampled
from nodes.lora_files import tell
from nodes.reports import reporting
from nodes.sampling import Cfg
from nodes.sizes import FineShare, Share

Unit = Literal["percent", "sigma", "step"]
Start = Annotated[float, Interval(ge=0.0, le=10_000.0), Step(0.01)]
Scale = Annotated[float, Interval(ge=0.0, le=100.0), Step(0.1)]
CATEGORY = "sampling/timeline"
PresetName = Literal[
    "base first", "base in high noise", "LoRA ramp", "LoRA at part strength", "cfg interval", "detail", "seed variance", "CADS",
    "TCD", "variation seed",
]  # fmt: skip


class Preset(NamedTuple):
    timeline: Timeline
    sigmas: Sigmas


@node("TimelineSegment", category=CATEGORY, title="Timeline Segment", search_aliases=("interval", "schedule", "two models"))
def timeline_segment(
    model: Model,
    cfg: Cfg = 5.0,
    start: Start = 0.0,
    unit: Unit = "percent",
    *,
    cfg_end: Annotated[Scale, Advanced()] = 0.0,
    renoise: Annotated[FineShare, Advanced()] = 0.0,
    detail: Annotated[float, Interval(ge=-0.5, le=0.5), Step(0.005), Advanced()] = 0.0,
    timeline: Timeline | None = None,
    sampler: Sampler | None = None,
    positive: Conditioning | None = None,
    negative: Conditioning | None = None,
) -> Timeline:
    """From ``start`` until the next segment's start: this model at this scale, and a sampler or prompts of its own if connected.

    ``cfg_end`` (0: as ``cfg``) lets the scale move over the segment, ``renoise`` draws a share of the noise anew where it begins,
    ``detail`` tells the network of less noise than there is, which makes it add detail.
    """
    from engine.diffusion import timeline as timelines

    segment = timelines.Segment(
        model, cfg, timelines.Point(start, unit), last_cfg=cfg_end or None, sampler=sampler, positive=positive, negative=negative,
        renoise=renoise, detail=detail,
    )  # fmt: skip
    return (timeline or timelines.Timeline()).with_segment(segment)


@node("TimelineLora", category=CATEGORY, title="Timeline LoRA", search_aliases=("lora schedule", "lora strength", "ramp"))
def timeline_lora(
    timeline: Timeline,
    lora_name: Annotated[str, Folder("loras")],
    strengths: str = "0@0, 1@0.5",
    unit: Unit = "percent",
    *,
    run: Run,
) -> Timeline:
    """A LoRA whose strength moves over the run: "0@0, 1@0.5" rises from 0 at the start to 1 half way, and stays there.

    It is on every segment's model. At strength 0 the model is as if there were no LoRA.
    """
    from engine.diffusion import timeline as timelines
    from engine.diffusion.lora import read_adapters
    from engine.diffusion.lora_file import read_lora

    if not timeline.segments:
        raise timelines.TimelineError("the timeline has no segment yet. Connect a Timeline Segment first.")
    tensors = read_lora(run.folders.find("loras", lora_name))
    part = timeline.segments[0].model.part
    (adapter,) = read_adapters(tensors, [part])
    tell(run, lora_name, tensors, [part])
    return timeline.with_ramp(timelines.Ramp(adapter, timelines.read_keys(strengths, unit)))


@node(
    "SamplingTimeline",
    category=CATEGORY,
    title="Sampling Timeline",
    search_aliases=("base then distilled", "dmd2", "lcm", "lightning", "turbo", "variety", "cads", "seed variance"),
)
def sampling_timeline(
    base: Model,
    sigmas: Sigmas,
    preset: PresetName = "base first",
    base_cfg: Cfg = 5.0,
    distilled_cfg: Cfg = 1.0,
    seam: Annotated[int, Interval(ge=0, le=10_000), Doc("base first: how many steps of the schedule the base model takes")] = 1,
    base_steps: Annotated[int, Interval(ge=0, le=10_000), Doc("base first: in how many steps of its own; 0: as scheduled")] = 1,
    amount: Annotated[
        float, Interval(ge=-10.0, le=10.0), Step(0.01), Doc(
            "LoRA ramp, LoRA at part strength: its strength (0.3 to 1). detail: the share of noise hidden (0.05). "
            "seed variance: noise on the prompt (0.1 to 1). CADS: noise in its place (0.25). TCD: eta (0.3). "
            "variation seed: how far to the other noise (0.2)."
        )
    ] = 0.3,
    start: Annotated[Share, Doc("LoRA ramp, cfg interval, detail, CADS: from this share of the model's schedule")] = 0.0,
    end: Annotated[Share, Doc("the same, base in high noise, seed variance: until this share")] = 0.3,
    seed: Seed = 0,
    *,
    distilled: Model | None = None,
    timeline: Timeline | None = None,
    base_sampler: Sampler | None = None,
) -> Preset:
    """What people do with a base model and a distilled one; each preset looks only at its own numbers.

    ``distilled`` is the base with a LoRA, or another checkpoint. With the ``timeline`` of another preset, "cfg interval" and
    those after it change that one. ``base_sampler`` is the base model's where it comes first: the samplers of distilled models
    draw new noise at every step, which blurs it. What each of them gives and costs is measured in docs/distilled.md.
    """
    from engine.diffusion import timeline_presets as presets

    numbers = base_cfg, distilled_cfg, seam, base_steps, amount, start, end, seed
    plan = presets.Plan(base, sigmas, distilled, timeline, base_sampler, *numbers)
    made, levels = presets.PRESETS[preset](plan)
    return Preset(made, Sigmas(levels))


@node("SampleTimeline", category=CATEGORY, title="Sample Timeline")
def sample_timeline(
    timeline: Timeline, positive: Conditioning, negative: Conditioning, noise: Noise, sampler: Sampler, sigmas: Sigmas,
    latent_image: Latent, *, run: Run,
) -> Sampled:  # fmt: skip
    """Sample along a timeline. Prompts and sampler are those of segments that have none of their own."""
    from engine.diffusion import timeline as timelines

    done = timelines.sample_timeline(
        timeline, positive, negative, noise, sampler, sigmas, latent_image, report=reporting(run), journal=run.journal
    )
    return Sampled(*done)


@node("TimestepsToSigmas", category="sampling/custom_sampling/schedulers", title="Timesteps to Sigmas")
def timesteps_to_sigmas(model: Model, timesteps: str = "999, 749, 499, 249") -> Sigmas:
    """The noise levels of the timesteps a model was distilled at; these are those of DMD2 on SDXL in four steps."""
    from engine.diffusion.timeline import at_timesteps, read_numbers

    return Sigmas(at_timesteps(read_numbers(timesteps), model.sampling))


@node("TimelineDrawing", category=CATEGORY, title="Draw Timeline")
def timeline_drawing(timeline: Timeline, sigmas: Sigmas) -> Image:
    """A drawing of the timeline over the noise levels of a run: who draws when, the scale, the strengths and the steps."""
    from engine.diffusion.timeline_drawing import draw

    return Image(draw(timeline, sigmas))
