"""Sampling: noise to picture."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Interval

from engine.node import ControlAfterGenerate, Round, Run, Step, node
from engine.types import Conditioning, Latent, Model, SamplerName, SchedulerName
from nodes.reports import remark, reporting
from nodes.sizes import Share

NoiseSeed = Annotated[int, Interval(ge=0, le=2**64 - 1), ControlAfterGenerate()]
Steps = Annotated[int, Interval(ge=1, le=10_000)]
Cfg = Annotated[float, Interval(ge=0.0, le=100.0), Step(0.1), Round(0.01)]
Switch = Literal["enable", "disable"]


@node("KSampler", category="sampling", search_aliases=("sampler", "denoise", "generate"))
def ksampler(
    model: Model,
    seed: NoiseSeed = 0,
    steps: Steps = 20,
    cfg: Cfg = 8.0,
    sampler_name: SamplerName = "euler",
    scheduler: SchedulerName = "simple",
    *,
    positive: Conditioning,
    negative: Conditioning,
    latent_image: Latent,
    denoise: Share = 1.0,
    run: Run,
) -> Latent:
    """Denoise a latent from seeded noise; ``denoise`` below 1 keeps part of the input (image to image)."""
    from engine.diffusion import sampling

    remark(run, model, positive, latent_image, steps)
    return sampling.ksampler(
        model, positive, negative, latent_image, seed=seed, steps=steps, cfg=cfg, sampler_name=sampler_name, scheduler=scheduler,
        denoise=denoise, report=reporting(run), journal=run.journal,
    )  # fmt: skip


@node("KSamplerAdvanced", category="sampling", title="KSampler (Advanced)")
def ksampler_advanced(
    model: Model,
    add_noise: Switch = "enable",
    noise_seed: NoiseSeed = 0,
    steps: Steps = 20,
    cfg: Cfg = 8.0,
    sampler_name: SamplerName = "euler",
    scheduler: SchedulerName = "simple",
    *,
    positive: Conditioning,
    negative: Conditioning,
    latent_image: Latent,
    start_at_step: Annotated[int, Interval(ge=0, le=10_000)] = 0,
    end_at_step: Annotated[int, Interval(ge=0, le=10_000)] = 10_000,
    return_with_leftover_noise: Switch = "disable",
    run: Run,
) -> Latent:
    """A part of a sampling run, from one step to another, so that several samplers can share one run."""
    from engine.diffusion import sampling

    remark(run, model, positive, latent_image, steps)
    return sampling.ksampler(
        model, positive, negative, latent_image, seed=noise_seed, steps=steps, cfg=cfg, sampler_name=sampler_name,
        scheduler=scheduler, add_noise=add_noise == "enable", start_step=start_at_step, last_step=end_at_step,
        leftover_noise=return_with_leftover_noise == "enable", report=reporting(run), journal=run.journal,
    )  # fmt: skip
