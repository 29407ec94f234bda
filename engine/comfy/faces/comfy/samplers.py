"""Samplers, schedulers and guiders by ComfyUI's names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self, get_args

from engine.comfy.finder import missing
from engine.types import SamplerName, SchedulerName

if TYPE_CHECKING:
    from torch import Tensor

__getattr__ = missing(__name__)
KSAMPLER_NAMES: list[str] = [name for name in get_args(SamplerName) if name not in ("ddim", "uni_pc", "uni_pc_bh2")]
SAMPLER_NAMES: list[str] = list(get_args(SamplerName))
SCHEDULER_NAMES: list[str] = list(get_args(SchedulerName))


class SchedulerHandler(NamedTuple):
    """``handler(model_sampling, steps)``, or with ``use_ms`` off ``handler(n=, sigma_min=, sigma_max=)``."""

    handler: Callable[..., Any]
    use_ms: bool = True


class _Handlers(dict[str, SchedulerHandler]):
    """Schedulers by name; one that a pack puts in is there for every node."""

    def __setitem__(self, name: str, handler: SchedulerHandler) -> None:
        super().__setitem__(name, handler)
        if name not in SCHEDULER_NAMES:
            SCHEDULER_NAMES.append(name)


def _native(name: str) -> SchedulerHandler:
    def handler(model_sampling: Any, steps: int) -> Any:
        from engine.diffusion.schedules import SCHEDULERS

        return SCHEDULERS[name](model_sampling.parametrization(), steps)

    return SchedulerHandler(handler)


SCHEDULER_HANDLERS = _Handlers({name: _native(name) for name in get_args(SchedulerName)})


class Sampler:
    """The base of sampler objects."""

    def max_denoise(self, model_wrap: Any, sigmas: Any) -> bool:
        highest = float(model_wrap.inner_model.model_sampling.sigma_max)
        return float(sigmas[0]) >= highest * (1 - 1e-5)


class KSAMPLER(Sampler):
    """A function in k-diffusion's form as a SAMPLER: ``(model, x, sigmas, extra_args=, callback=, disable=, **options)``."""

    def __init__(
        self, sampler_function: Callable[..., Any] | None, extra_options: Any = None, inpaint_options: Any = None
    ) -> None:
        self.sampler_function = sampler_function
        self.extra_options = dict(extra_options or {})
        self.inpaint_options = dict(inpaint_options or {})
        self.engine: Any = None

    @classmethod
    def of_engine(cls, engine: Any) -> Self:
        made = cls(None)
        made.engine = engine
        made.sampler_function = _as_k_diffusion(engine)
        made.extra_options = dict(engine.options)
        return made

    def to_engine(self) -> Any:
        from dataclasses import replace

        from engine.diffusion.samplers import Sampler as EngineSampler

        if self.engine is not None:
            return replace(self.engine, options=dict(self.extra_options))
        mask_noise: Any = "other" if self.inpaint_options.get("random") else "same"
        assert self.sampler_function is not None
        return EngineSampler(_from_k_diffusion(self.sampler_function), options=self.extra_options, mask_noise=mask_noise)


def _from_k_diffusion(function: Callable[..., Any]) -> Any:
    def sampler(denoise: Any, x: Tensor, sigmas: Tensor, /, *, noise: Any, on_step: Any = None, **options: Any) -> Tensor:
        def model(x: Tensor, sigma: Tensor, **_: Any) -> Any:
            return denoise(x, sigma.flatten()[0].cpu())

        def callback(told: dict[str, Any]) -> None:
            if on_step is not None:
                on_step(told["i"], told["x"], told["denoised"])

        model_options: dict[str, Any] = {"transformer_options": {}}
        extra = {"model_options": model_options, "seed": getattr(noise, "seed", 0), "denoise_mask": None}
        result: Tensor = function(
            _Wrap(model, denoise), x, sigmas.to(x), extra_args=extra, callback=callback, disable=True, **options
        )
        return result

    return sampler


class _Wrap:
    """What a sampler function calls: the guided model, with the way to its noise levels."""

    def __init__(self, model: Callable[..., Any], denoise: Any) -> None:
        self._model, self._denoise = model, denoise

    def __call__(self, x: Any, sigma: Any, **kwargs: Any) -> Any:
        return self._model(x, sigma, **kwargs)

    @property
    def inner_model(self) -> Any:
        return self

    @property
    def model_patcher(self) -> Any:
        from engine.comfy.faces.comfy.model_patcher import ModelPatcher

        return ModelPatcher.of_engine(self._denoise.guider.model)

    @property
    def model_sampling(self) -> Any:
        from engine.comfy.faces.comfy.model_sampling import ModelSampling

        return ModelSampling.of_engine(self._denoise.guider.model.sampling)


def _as_k_diffusion(engine: Any) -> Callable[..., Any]:
    def function(model: Any, x: Tensor, sigmas: Tensor, extra_args: Any = None, callback: Any = None, disable: Any = None,
                 **options: Any) -> Any:  # fmt: skip
        from engine.diffusion.noise import fresh

        given = {name: value for name, value in (extra_args or {}).items() if name != "seed"}
        denoise = _Denoise(lambda x, sigma: model(x, sigma.to(x).expand(len(x)), **given))

        def on_step(i: int, x: Any, denoised: Any) -> None:
            if callback is not None:
                callback({"i": i, "x": x, "denoised": denoised, "sigma": sigmas[i], "sigma_hat": sigmas[i]})

        noise = options.pop("noise_sampler", None) or fresh(x, (extra_args or {}).get("seed") or 0)
        known = {**engine.options, **options}
        return engine.function(denoise, x, sigmas.cpu(), noise=noise, on_step=on_step, **known)

    return function


@dataclass
class _Denoise:
    """A plain function as the engine's samplers call it."""

    function: Callable[..., Any]
    flow: bool = False

    def __call__(self, x: Any, sigma: Any) -> Any:
        return self.function(x, sigma)

    def split(self, x: Any, sigma: Any) -> tuple[Any, Any]:
        result = self.function(x, sigma)
        return result, result


def ksampler(sampler_name: str, extra_options: Any = None, inpaint_options: Any = None) -> KSAMPLER:
    return sampler_object(sampler_name, extra_options)


def sampler_object(name: str, extra_options: Any = None) -> KSAMPLER:
    """The SAMPLER of a name."""
    from engine.diffusion.sampling import named_sampler

    return KSAMPLER.of_engine(named_sampler(name, **(extra_options or {})))


def calculate_sigmas(model_sampling: Any, scheduler_name: str, steps: int) -> Tensor:
    """The levels of a scheduler for a model."""
    handler = SCHEDULER_HANDLERS.get(scheduler_name)
    if handler is None:
        raise ValueError(f"scheduler {scheduler_name!r} is not known; use one of {', '.join(SCHEDULER_NAMES)}")
    if handler.use_ms:
        sigmas: Tensor = handler.handler(model_sampling, steps)
        return sigmas
    made: Tensor = handler.handler(n=steps, sigma_min=float(model_sampling.sigma_min), sigma_max=float(model_sampling.sigma_max))
    return made


class CFGGuider:
    """A guider; a pack's own subclass decides in ``predict_noise`` how predictions are joined."""

    def __init__(self, model_patcher: Any) -> None:
        self.model_patcher = model_patcher
        self.model_options = model_patcher.model_options
        self.original_conds: dict[str, Any] = {}
        self.cfg = 1.0
        self.engine: Any = None

    @classmethod
    def of_engine(cls, engine: Any) -> Self:
        from engine.comfy.faces.comfy.model_patcher import ModelPatcher

        made = cls(ModelPatcher.of_engine(engine.model))
        made.original_conds = dict(engine.conditionings)
        made.cfg, made.engine = engine.rule.cfg, engine
        return made

    def to_engine(self) -> Any:
        from engine.diffusion.guidance import Guider
        from engine.diffusion.rules import Cfg, Plain

        model = self.model_patcher.to_engine()
        if self.engine is not None:
            return Guider(model, self.original_conds, self.engine.rule)
        if type(self).predict_noise is not CFGGuider.predict_noise:
            from engine.comfy.guiders import Predicted

            return Guider(model, self.original_conds, Predicted(self))
        return Guider(model, self.original_conds, Cfg(self.cfg) if "negative" in self.original_conds else Plain())

    def set_conds(self, positive: Any, negative: Any) -> None:
        self.inner_set_conds({"positive": positive, "negative": negative})

    def inner_set_conds(self, conds: dict[str, Any]) -> None:
        self.original_conds = dict(conds)
        self.engine = None

    def set_cfg(self, cfg: float) -> None:
        self.cfg, self.engine = cfg, None

    def predict_noise(self, x: Any, timestep: Any, model_options: Any = None, seed: Any = None) -> Any:
        """Overridden by packs; called with the noisy latent and sigma, it gives the clean one."""
        return sampling_function(self.inner_model, x, timestep, self.conds.get("negative"), self.conds.get("positive"), self.cfg)

    @property
    def conds(self) -> dict[str, Any]:
        return self.original_conds

    @property
    def inner_model(self) -> Any:
        return self.model_patcher.model

    def sample(self, noise: Any, latent_image: Any, sampler: Any, sigmas: Any, denoise_mask: Any = None, callback: Any = None,
               disable_pbar: bool = False, seed: int | None = None) -> Any:  # fmt: skip
        """The latent at the end of ``sigmas``."""
        from engine.comfy.faces.comfy.sample import run_sampler

        return run_sampler(self, noise, sampler, sigmas, latent_image, denoise_mask, callback, seed)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.predict_noise(*args, **kwargs)


def calc_cond_batch(model: Any, conds: list[Any], x_in: Any, timestep: Any, model_options: Any = None) -> list[Any]:
    """The clean latent each conditioning makes of ``x_in`` at sigma ``timestep``."""
    from engine.comfy.guiders import evaluate

    return evaluate(model, conds, x_in, timestep, model_options)


def sampling_function(model: Any, x: Any, timestep: Any, uncond: Any, cond: Any, cond_scale: float, model_options: Any = None,
                      seed: Any = None) -> Any:  # fmt: skip
    """Classifier-free guidance."""
    if cond_scale == 1.0 or uncond is None:
        return calc_cond_batch(model, [cond], x, timestep)[0]
    positive, negative = calc_cond_batch(model, [cond, uncond], x, timestep)
    return cfg_function(model, positive, negative, cond_scale, x, timestep)


def cfg_function(model: Any, cond_pred: Any, uncond_pred: Any, cond_scale: float, x: Any, timestep: Any,
                 model_options: Any = None, cond: Any = None, uncond: Any = None) -> Any:  # fmt: skip
    return uncond_pred + (cond_pred - uncond_pred) * cond_scale


def sample(model: Any, noise: Any, positive: Any, negative: Any, cfg: float, device: Any, sampler: Any, sigmas: Any,
           model_options: Any = None, latent_image: Any = None, denoise_mask: Any = None, callback: Any = None,
           disable_pbar: bool = False, seed: int | None = None) -> Any:  # fmt: skip
    guider = CFGGuider(model)
    guider.set_conds(positive, negative)
    guider.set_cfg(cfg)
    return guider.sample(noise, latent_image, sampler, sigmas, denoise_mask, callback, disable_pbar, seed)


class KSampler:
    """A sampler by names, with its schedule."""

    SAMPLERS = SAMPLER_NAMES
    SCHEDULERS = SCHEDULER_NAMES
    DISCARD_PENULTIMATE_SIGMA_SAMPLERS = frozenset({"dpm_2", "dpm_2_ancestral", "uni_pc", "uni_pc_bh2"})

    def __init__(self, model: Any, steps: int, device: Any = None, sampler: str | None = None, scheduler: str | None = None,
                 denoise: float | None = None, model_options: Any = None) -> None:  # fmt: skip
        self.model, self.device = model, device
        self.sampler = sampler if sampler in SAMPLER_NAMES else SAMPLER_NAMES[0]
        self.scheduler = scheduler if scheduler in SCHEDULER_NAMES else SCHEDULER_NAMES[0]
        self.model_options = model_options or {}
        self.set_steps(steps, denoise)

    def calculate_sigmas(self, steps: int) -> Any:
        import torch

        drop = self.sampler in self.DISCARD_PENULTIMATE_SIGMA_SAMPLERS
        sigmas = calculate_sigmas(self.model.get_model_object("model_sampling"), str(self.scheduler), steps + drop)
        return torch.cat([sigmas[:-2], sigmas[-1:]]) if drop else sigmas

    def set_steps(self, steps: int, denoise: float | None = None) -> None:
        self.steps, self.denoise = steps, denoise
        if denoise is None or denoise > 0.9999:
            self.sigmas = self.calculate_sigmas(steps)
        elif denoise <= 0.0:
            self.sigmas = self.calculate_sigmas(steps)[:0]
        else:
            self.sigmas = self.calculate_sigmas(int(steps / denoise))[-(steps + 1) :]

    def sample(self, noise: Any, positive: Any, negative: Any, cfg: float, latent_image: Any = None,
               start_step: int | None = None, last_step: int | None = None, force_full_denoise: bool = False,
               denoise_mask: Any = None, sigmas: Any = None, callback: Any = None, disable_pbar: bool = False,
               seed: int | None = None) -> Any:  # fmt: skip
        sigmas = self.sigmas if sigmas is None else sigmas
        if last_step is not None and last_step < len(sigmas) - 1:
            sigmas = sigmas[: last_step + 1].clone()
            if force_full_denoise:
                sigmas[-1] = 0
        if start_step is not None:
            sigmas = sigmas[start_step:] if start_step < len(sigmas) - 1 else sigmas[:0]
        return sample(self.model, noise, positive, negative, cfg, self.device, sampler_object(str(self.sampler)), sigmas,
                      self.model_options, latent_image, denoise_mask, callback, disable_pbar, seed)  # fmt: skip
