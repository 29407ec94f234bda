"""Sigmas: the noise levels a sampler walks through."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from annotated_types import Interval

from engine.node import Round, Step, node
from engine.types import Latent, Model, Noise, SchedulerName, Sigmas
from nodes.sizes import Share

Steps = Annotated[int, Interval(ge=1, le=10_000)]
FineSigma = Annotated[float, Interval(ge=0.0, le=5000.0), Step(0.01), Round(False)]
Fine = Annotated[float, Interval(ge=0.0, le=100.0), Step(0.01), Round(False)]


@node("BasicScheduler", category="sampling/custom_sampling/schedulers")
def basic_scheduler(model: Model, scheduler: SchedulerName, steps: Steps = 20, denoise: Share = 1.0) -> Sigmas:
    """A scheduler by its name, over the model's own noise levels; ``denoise`` below 1 leaves out the noisiest part."""
    from engine.diffusion.sampling import schedule

    return Sigmas(schedule(model, scheduler, steps, denoise))


@node("KarrasScheduler", category="sampling/custom_sampling/schedulers")
def karras_scheduler(
    steps: Steps = 20, sigma_max: FineSigma = 14.614642, sigma_min: FineSigma = 0.0291675, rho: Fine = 7.0
) -> Sigmas:
    """Evenly spaced in sigma^(1/rho)."""
    from engine.diffusion.schedules import karras

    return Sigmas(karras(steps, sigma_min, sigma_max, rho))


@node("ExponentialScheduler", category="sampling/custom_sampling/schedulers")
def exponential_scheduler(steps: Steps = 20, sigma_max: FineSigma = 14.614642, sigma_min: FineSigma = 0.0291675) -> Sigmas:
    """Evenly spaced in the logarithm."""
    from engine.diffusion.schedules import exponential

    return Sigmas(exponential(steps, sigma_min, sigma_max))


@node("PolyexponentialScheduler", category="sampling/custom_sampling/schedulers")
def polyexponential_scheduler(
    steps: Steps = 20, sigma_max: FineSigma = 14.614642, sigma_min: FineSigma = 0.0291675, rho: Fine = 1.0
) -> Sigmas:
    """Exponential, with the spacing bent by ``rho``."""
    from engine.diffusion.schedules import polyexponential

    return Sigmas(polyexponential(steps, sigma_min, sigma_max, rho))


@node("LaplaceScheduler", category="sampling/custom_sampling/schedulers")
def laplace_scheduler(
    steps: Steps = 20,
    sigma_max: FineSigma = 14.614642,
    sigma_min: FineSigma = 0.0291675,
    mu: Annotated[float, Interval(ge=-10.0, le=10.0), Step(0.1), Round(False)] = 0.0,
    beta: Annotated[float, Interval(ge=0.0, le=10.0), Step(0.1), Round(False)] = 0.5,
) -> Sigmas:
    """Quantiles of a Laplace distribution of the log-SNR."""
    from engine.diffusion.schedules import laplace

    return Sigmas(laplace(steps, sigma_min, sigma_max, mu, beta))


@node("VPScheduler", category="sampling/custom_sampling/schedulers")
def vp_scheduler(
    steps: Steps = 20,
    beta_d: FineSigma = 19.9,
    beta_min: FineSigma = 0.1,
    eps_s: Annotated[float, Interval(ge=0.0, le=1.0), Step(0.0001), Round(False)] = 0.001,
) -> Sigmas:
    """Evenly spaced in the time of a variance-preserving diffusion."""
    from engine.diffusion.schedules import vp

    return Sigmas(vp(steps, beta_d, beta_min, eps_s))


@node("BetaSamplingScheduler", category="sampling/custom_sampling/schedulers")
def beta_sampling_scheduler(
    model: Model,
    steps: Steps = 20,
    alpha: Annotated[float, Interval(ge=0.0, le=50.0), Step(0.01), Round(False)] = 0.6,
    beta: Annotated[float, Interval(ge=0.0, le=50.0), Step(0.01), Round(False)] = 0.6,
) -> Sigmas:
    """Timesteps at quantiles of a beta distribution: denser at both ends."""
    from engine.diffusion import schedules

    return Sigmas(schedules.beta(model.sampling, steps, alpha, beta))


@node("SDTurboScheduler", category="sampling/custom_sampling/schedulers")
def sd_turbo_scheduler(model: Model, steps: Annotated[int, Interval(ge=1, le=10)] = 1, denoise: Share = 1.0) -> Sigmas:
    """The levels the Turbo models were distilled at."""
    from engine.diffusion.schedules import sd_turbo

    return Sigmas(sd_turbo(model.sampling, steps, denoise))


@node("AlignYourStepsScheduler", category="sampling/custom_sampling/schedulers")
def align_your_steps_scheduler(model_type: Literal["SD1", "SDXL", "SVD"], steps: Steps = 10, denoise: Share = 1.0) -> Sigmas:
    """Noise levels optimised for a family by NVIDIA."""
    from engine.diffusion.schedule_tables import align_your_steps

    return Sigmas(align_your_steps(model_type, steps, denoise))


@node("OptimalStepsScheduler", category="sampling/custom_sampling/schedulers")
def optimal_steps_scheduler(
    model_type: Literal["FLUX", "Wan", "Chroma"], steps: Annotated[int, Interval(ge=3, le=1000)] = 20, denoise: Share = 1.0
) -> Sigmas:
    """Noise levels optimised for a flow model by dynamic programming."""
    from engine.diffusion.schedule_tables import optimal_steps

    return Sigmas(optimal_steps(model_type, steps, denoise))


@node("LTXVScheduler", category="sampling/custom_sampling/schedulers")
def ltxv_scheduler(
    steps: Steps = 20,
    max_shift: Fine = 2.05,
    base_shift: Fine = 0.95,
    stretch: bool = True,
    terminal: Annotated[float, Interval(ge=0.0, le=0.99), Step(0.01)] = 0.1,
    latent: Latent | None = None,
) -> Sigmas:
    """Flow levels shifted by the number of latent cells; ``stretch`` ends them at ``terminal``."""
    from engine.diffusion.schedules import ltxv

    cells = 4096 if latent is None else latent["samples"].shape[2:].numel()
    return Sigmas(ltxv(steps, cells, max_shift, base_shift, stretch, terminal))


class Halves(NamedTuple):
    high_sigmas: Sigmas
    low_sigmas: Sigmas


@node("SplitSigmas", category="sampling/custom_sampling/sigmas")
def split_sigmas(sigmas: Sigmas, step: Annotated[int, Interval(ge=0, le=10_000)] = 0) -> Halves:
    """The steps before and those after; both parts hold the sigma at the seam."""
    return Halves(Sigmas(sigmas[: step + 1]), Sigmas(sigmas[step:]))


@node("SplitSigmasDenoise", category="sampling/custom_sampling/sigmas")
def split_sigmas_denoise(sigmas: Sigmas, denoise: Share = 1.0) -> Halves:
    """Split so that the second part is the last ``denoise`` share of the steps."""
    kept = round((sigmas.shape[-1] - 1) * denoise)
    return Halves(Sigmas(sigmas[: len(sigmas) - kept]), Sigmas(sigmas[len(sigmas) - kept - 1 :]))


@node("ManualSigmas", category="sampling/custom_sampling/sigmas", experimental=True)
def manual_sigmas(sigmas: str = "1, 0.5") -> Sigmas:
    """The noise levels written down, whatever stands between the numbers; a run to the end needs a last one of 0."""
    import re

    import torch

    found = re.findall(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", sigmas)
    if not found:
        raise ValueError(f"there is no noise level in {sigmas[:40]!r}. Write numbers that fall, such as 14.6, 4, 1, 0.")
    return Sigmas(torch.tensor([float(number) for number in found]))


@node("FlipSigmas", category="sampling/custom_sampling/sigmas")
def flip_sigmas(sigmas: Sigmas) -> Sigmas:
    """Backwards, for turning a picture into noise; a start at 0 is moved off it a little."""
    if len(sigmas) == 0:
        return sigmas
    flipped = sigmas.flip(0)
    if flipped[0] == 0:
        flipped[0] = 0.0001
    return Sigmas(flipped)


@node("SetFirstSigma", category="sampling/custom_sampling/sigmas")
def set_first_sigma(
    sigmas: Sigmas, sigma: Annotated[float, Interval(ge=0.0, le=20000.0), Step(0.001), Round(False)] = 136.0
) -> Sigmas:
    """Put another sigma in the first place."""
    changed = sigmas.clone()
    changed[0] = sigma
    return Sigmas(changed)


@node("ExtendIntermediateSigmas", category="sampling/custom_sampling/sigmas", search_aliases=("interpolate sigmas",))
def extend_intermediate_sigmas(
    sigmas: Sigmas,
    steps: Annotated[int, Interval(ge=1, le=100)] = 2,
    start_at_sigma: Annotated[float, Interval(ge=-1.0, le=20000.0), Step(0.01), Round(False)] = -1.0,
    end_at_sigma: Annotated[float, Interval(ge=0.0, le=20000.0), Step(0.01), Round(False)] = 12.0,
    spacing: Literal["linear", "cosine", "sine"] = "linear",
) -> Sigmas:
    """Put so many sigmas between each two that lie in a range; a start of -1 means no upper bound."""
    from engine.diffusion.schedules import extended

    start = float("inf") if start_at_sigma < 0 else start_at_sigma
    return Sigmas(extended(sigmas, steps, start, end_at_sigma, spacing))


class SigmaValue(NamedTuple):
    sigma_value: float


@node("SamplingPercentToSigma", category="sampling/custom_sampling/sigmas")
def sampling_percent_to_sigma(model: Model, sampling_percent: Share = 0.0, return_actual_sigma: bool = False) -> SigmaValue:
    """The sigma after a share of the sampling; at the ends the schedule's limits, or with ``return_actual_sigma`` the model's."""
    sigma = model.sampling.percent_to_sigma(sampling_percent)
    if return_actual_sigma and sampling_percent in (0.0, 1.0):
        sigma = model.sampling.sigma_max if sampling_percent == 0.0 else model.sampling.sigma_min
    return SigmaValue(sigma)


@node("AddNoise", category="_for_testing")
def add_noise(model: Model, noise: Noise, sigmas: Sigmas, latent_image: Latent) -> Latent:
    """Add the noise that lies between the first and the last sigma."""
    from engine.diffusion.sampling import with_noise

    return with_noise(model, noise, sigmas, latent_image)
