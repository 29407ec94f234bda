"""From an empty latent to a finished one: noise, schedule, guidance and the loop, as the sampling nodes call them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.diffusion.conditioning import Conditioning
from engine.diffusion.families.family import repeat_to
from engine.diffusion.guidance import Guider, Inpaint, cfg_guider
from engine.diffusion.journal import Journal
from engine.diffusion.latent_format import LatentFormat, check_kin
from engine.diffusion.model import Model
from engine.diffusion.noise import Draws, starting_noise
from engine.diffusion.preview import Draw, preview
from engine.diffusion.samplers import SAMPLERS, Sampler
from engine.diffusion.schedules import sigmas_for

if TYPE_CHECKING:
    from engine.types import Latent

Report = Callable[[int, int, Draw], None]
"""(steps done, steps in all, draw) after each step; ``draw()`` makes the preview only if called. May raise to cancel."""


def silent(done: int, total: int, draw: Callable[[], bytes | None]) -> None:
    """Report nothing."""


class LatentNoise(Protocol):
    """The NOISE value."""

    @property
    def seed(self) -> int: ...

    def generate_noise(self, input_latent: Latent) -> Tensor: ...


@dataclass(frozen=True)
class RandomNoise:
    """The noise of a seed; ``batch_index`` in the latent picks samples of a larger batch."""

    seed: int

    def generate_noise(self, input_latent: Latent) -> Tensor:
        return starting_noise(input_latent["samples"].shape, self.seed, input_latent.get("batch_index"))


@dataclass(frozen=True)
class NoNoise:
    """Zeros: the latent already has its noise. The seed is for samplers that draw noise on the way."""

    seed: int = 0

    def generate_noise(self, input_latent: Latent) -> Tensor:
        return torch.zeros(input_latent["samples"].shape)


def ksampler(
    model: Model, positive: Conditioning, negative: Conditioning, latent: Latent, *,
    seed: int, steps: int, cfg: float, sampler_name: str, scheduler: str, denoise: float = 1.0,
    add_noise: bool = True, start_step: int | None = None, last_step: int | None = None, leftover_noise: bool = True,
    report: Report = silent, journal: Journal | None = None,
) -> Latent:
    """What KSampler and KSamplerAdvanced do. ``denoise`` below 1 walks only the end of a longer schedule.

    Only the steps from ``start_step`` to before ``last_step`` are made; without ``leftover_noise`` the last goes to sigma 0.
    """
    sampler = named_sampler(sampler_name)
    sigmas = sigmas_for(model.sampling, scheduler, steps, denoise, drop_penultimate=sampler.drops_penultimate)
    if last_step is not None and last_step < len(sigmas) - 1:
        sigmas = sigmas[: last_step + 1].clone()
        if not leftover_noise:
            sigmas[-1] = 0.0
    if start_step is not None:
        sigmas = sigmas[start_step:] if start_step < len(sigmas) - 1 else sigmas[:0]
    noise = RandomNoise(seed) if add_noise else NoNoise(seed)
    return sample(cfg_guider(model, positive, negative, cfg), noise, sampler, sigmas, latent, report=report, journal=journal)[0]


def named_sampler(name: str, **options: Any) -> Sampler:
    """The SAMPLER value: a sampler by its name, with options over its defaults."""
    if name not in SAMPLERS:
        raise ValueError(f"sampler {name!r} is not known; use one of {', '.join(SAMPLERS)}")
    sampler = SAMPLERS[name]
    return replace(sampler, options={**sampler.options, **options})


def schedule(model: Model, scheduler: str, steps: int, denoise: float = 1.0) -> Tensor:
    """The sigmas of a named scheduler for this model."""
    return sigmas_for(model.sampling, scheduler, steps, denoise)


@torch.no_grad()
def sample(
    guider: Guider, noise: LatentNoise, sampler: Sampler, sigmas: Tensor, latent: Latent, *,
    report: Report = silent, journal: Journal | None = None, bare: bool = False,
) -> tuple[Latent, Latent]:
    """Walk ``sigmas``; the latent where the walk ends, and the clean one the model saw last.

    With a ``journal`` a run that was cut off continues where it was and ends in the same bits. ``bare`` leaves out what the
    model has ``around``.
    """
    model = guider.model
    if model.around and not bare:
        run: Callable[..., tuple[Latent, Latent]] = partial(sample, report=report, journal=journal, bare=True)
        for around in model.around:
            run = partial(around, run)
        return run(guider, noise, sampler, sigmas, latent)
    latent_format, sampling = model.family.latent, model.sampling
    samples = fitted(latent["samples"], latent_format)
    check_kin(latent.get("vae"), latent_format.vae, "the model is")
    if len(sigmas) < 2:
        return {**latent, "samples": samples}, {**latent, "samples": samples}
    with ExitStack() as stack:
        network = guider.open(stack)
        device = next(network.parameters()).device
        eps = noise.generate_noise({**latent, "samples": samples}).to(device, torch.float32)
        clean = samples.to(device, torch.float32)
        clean = latent_format.inside(clean) if clean.any() else clean
        inpaint = _inpaint(latent.get("noise_mask"), clean, eps, sigmas, noise.seed, sampler)
        denoise = guider.start(network, clean, inpaint, journal)
        last = clean

        def on_step(i: int, x: Tensor, denoised: Tensor) -> None:
            nonlocal last
            last = denoised
            _check_numbers(denoised, i, len(sigmas) - 1)
            report(i + 1, len(sigmas) - 1, lambda decode=None: preview(latent_format, denoised, decode=decode))

        x = sampling.noise_scaling(sigmas[0], eps, clean, sampling.starts_at_max(sigmas))
        walk = sampler.walk(sampling, Draws(x, sigmas, noise.seed))
        try:
            x = walk(denoise, x, sigmas, on_step=on_step)
        finally:
            if journal is not None:
                journal.flush()
        x = sampling.inverse_noise_scaling(sigmas[-1], x)
    return _outside(latent, x, latent_format), _outside(latent, last, latent_format)


def _check_numbers(denoised: Tensor, i: int, steps: int) -> None:
    """Raise ArithmeticError as soon as the model gives what is no number: all later steps would only spread it."""
    if not torch.isfinite(denoised).all():
        raise ArithmeticError(
            f"at step {i + 1} of {steps} the model gave numbers that are none (NaN or infinite). Either weights are broken, the "
            "model's or a LoRA's: leave the LoRAs out one by one, then fetch the model file again. Or a strength or cfg is far "
            "too high, or float16 too narrow for this model: ModelComputeDtype with fp32 tells."
        )


def with_noise(model: Model, noise: LatentNoise, sigmas: Tensor, latent: Latent) -> Latent:
    """The latent with the noise that lies between the first and the last of ``sigmas``; without sigmas as it was."""
    if len(sigmas) == 0:
        return latent
    latent_format = model.family.latent
    samples = fitted(latent["samples"], latent_format)
    check_kin(latent.get("vae"), latent_format.vae, "the model is")
    eps = noise.generate_noise({**latent, "samples": samples})
    sigma = (sigmas[0] - sigmas[-1]).abs() if len(sigmas) > 1 else sigmas[0]
    clean = latent_format.inside(samples) if samples.any() else samples
    return _outside(latent, model.sampling.noise_scaling(sigma, eps, clean), latent_format)


def _outside(latent: Latent, x: Tensor, latent_format: LatentFormat) -> Latent:
    ended: Latent = {**latent, "samples": latent_format.outside(x).cpu()}
    return {**ended, "vae": latent_format.vae} if latent_format.vae else ended


def fitted(samples: Tensor, latent_format: LatentFormat) -> Tensor:
    """An empty latent in the shape the family wants: its channels, and one frame where it has time. A drawn one must fit."""
    if samples.shape[1] != latent_format.channels:
        if samples.any():
            raise ValueError(
                f"the latent has {samples.shape[1]} channels, but the model works on {latent_format.channels} "
                f"({latent_format.name}). Encode the picture with this model's own VAE."
            )
        samples = repeat_to(samples.movedim(1, 0), latent_format.channels).movedim(0, 1)
    return samples.unsqueeze(2) if latent_format.dims == 3 and samples.ndim == 4 else samples


def _inpaint(
    mask: Tensor | None, clean: Tensor, eps: Tensor, sigmas: Tensor, seed: int, sampler: Sampler
) -> Inpaint | None:
    if mask is None:
        return None
    if sampler.mask_noise == "other":
        eps = starting_noise(eps.shape, seed + 1).to(eps.device)
    return Inpaint(fit_mask(mask, clean), clean, eps, sigmas)


def fit_mask(mask: Tensor, x: Tensor) -> Tensor:
    """A noise mask (H, W), (B, H, W) or (B, 1, H, W) of any size as one shaped like ``x``, smoothly resized."""
    dims = x.ndim - 2
    if dims == 2:
        mask = mask.reshape(-1, 1, *mask.shape[-2:])
    elif mask.ndim < 5:
        mask = mask.reshape(1, 1, -1, *mask.shape[-2:])
    mask = F.interpolate(mask.to(x.device, torch.float32), size=x.shape[2:], mode="bilinear" if dims == 2 else "trilinear")
    mask = mask.repeat(1, -(-x.shape[1] // mask.shape[1]), *[1] * dims)[:, : x.shape[1]]
    return repeat_to(mask, x.shape[0])
