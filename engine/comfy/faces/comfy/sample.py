"""Sampling as packs call it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.comfy.finder import missing
from engine.comfy.host import current_run
from engine.comfy.values import outward

if TYPE_CHECKING:
    from torch import Tensor

__getattr__ = missing(__name__)


def prepare_noise(latent_image: Tensor, seed: int, noise_inds: Any = None) -> Tensor:
    """The noise of a seed for a latent."""
    from engine.diffusion.noise import starting_noise

    return starting_noise(latent_image.shape, seed, None if noise_inds is None else [int(i) for i in noise_inds])


def fix_empty_latent_channels(model: Any, latent_image: Tensor, *_: Any) -> Tensor:
    """An empty latent in the model's shape."""
    from engine.diffusion.sampling import fitted

    return fitted(latent_image, model.engine.family.latent)


class GivenNoise:
    """Noise that is there already."""

    def __init__(self, noise: Any, seed: int | None) -> None:
        self.noise, self.seed = noise, seed or 0

    def generate_noise(self, input_latent: Any) -> Any:
        return self.noise


def run_sampler(guider: Any, noise: Any, sampler: Any, sigmas: Any, latent_image: Any, noise_mask: Any = None,
                callback: Any = None, seed: int | None = None) -> Any:  # fmt: skip
    """The engine's sampling loop; tells the callback, or the node at work where there is none."""
    from engine.diffusion import sampling

    run = current_run()
    latent: Any = {"samples": latent_image}
    if noise_mask is not None:
        latent["noise_mask"] = noise_mask

    def report(done: int, total: int, draw: Any) -> None:
        run.check()
        if callback is None:
            run.progress(done, total)
            if run.wants_preview() and (picture := draw()):
                run.preview(picture)

    used = outward(sampler)
    if callback is not None:
        used = heard(used, callback, len(sigmas) - 1)
    result = sampling.sample(outward(guider), GivenNoise(noise, seed), used, sigmas, latent, report=report)
    return result[0]["samples"]


def heard(sampler: Any, callback: Any, total: int) -> Any:
    """The sampler with a callback beside the engine's own."""
    from dataclasses import replace

    inner = sampler.function

    def function(denoise: Any, x: Any, sigmas: Any, /, *, noise: Any, on_step: Any, **options: Any) -> Any:
        def both(i: int, x: Any, denoised: Any) -> None:
            on_step(i, x, denoised)
            callback(i, denoised, x, total)

        return inner(denoise, x, sigmas, noise=noise, on_step=both, **options)

    return replace(sampler, function=function)


def sample(model: Any, noise: Any, steps: int, cfg: float, sampler_name: str, scheduler: str, positive: Any, negative: Any,
           latent_image: Any, denoise: float = 1.0, disable_noise: bool = False, start_step: int | None = None,
           last_step: int | None = None, force_full_denoise: bool = False, noise_mask: Any = None, sigmas: Any = None,
           callback: Any = None, disable_pbar: bool = False, seed: int | None = None) -> Any:  # fmt: skip
    from engine.comfy.faces.comfy.samplers import KSampler

    sampler = KSampler(model, steps, None, sampler_name, scheduler, denoise, model.model_options)
    return sampler.sample(noise, positive, negative, cfg, latent_image, start_step, last_step, force_full_denoise, noise_mask,
                          sigmas, callback, disable_pbar, seed)  # fmt: skip


def sample_custom(model: Any, noise: Any, cfg: float, sampler: Any, sigmas: Any, positive: Any, negative: Any, latent_image: Any,
                  noise_mask: Any = None, callback: Any = None, disable_pbar: bool = False,
                  seed: int | None = None) -> Any:  # fmt: skip
    from engine.comfy.faces.comfy import samplers

    return samplers.sample(model, noise, positive, negative, cfg, None, sampler, sigmas, None, latent_image, noise_mask, callback,
                           disable_pbar, seed)  # fmt: skip
