"""``PREPARE_SAMPLING`` and ``SAMPLER_SAMPLE`` wrappers: what they see of a run, and what of their changes counts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from engine.comfy.running import RUNNING, executor, wrappers
from engine.diffusion.denoise import OnStep, ignore
from engine.diffusion.noise import Draws

if TYPE_CHECKING:
    from torch import Tensor

    from engine.diffusion.samplers import Walk


def prepared(owner: Any, face: Any, shape: Any) -> bool:
    """Call ``PREPARE_SAMPLING`` wrappers; whether there were any. The conditionings they give are those of the run.

    The model and the list of models that they give are not looked at: the engine places networks itself.
    """
    inner = wrappers(owner, "prepare_sampling")
    running = RUNNING.get()
    if not inner or running is None:
        return False

    def prepare(model: Any, noise_shape: Any, conds: Any, model_options: Any = None, *_: Any, **__: Any) -> Any:
        return model.model, conds, []

    conds = {name: running.conds(name) for name in face.original_conds}
    made = executor(prepare, None, inner).execute(face.model_patcher, shape, conds, face.model_options)[1]
    face.original_conds = {name: [entry(one) for one in cond] for name, cond in made.items()}
    running.entries.clear()
    return True


def entry(cond: Any) -> Any:
    """A conditioning's entry as it is outside of a run."""
    if not isinstance(cond, dict):
        return cond
    return [cond["cross_attn"], {name: one for name, one in cond.items() if name not in ("cross_attn", "model_conds", "uuid")}]


@dataclass(frozen=True, eq=False)
class Sampled:
    """A sampler with ``SAMPLER_SAMPLE`` wrappers around it: they may change noise, latent, levels and callback.

    ``listening`` is the guider that knows the clean latent, ``noise`` and ``latent`` are the run's.
    """

    sampler: Any
    inner: list[Any]
    listening: Any
    noise: Any
    latent: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sampler, name)

    def walk(self, sampling: Any, draws: Draws) -> Walk:
        return partial(self._wrapped, sampling, draws)

    def _wrapped(
        self, sampling: Any, draws: Draws, denoise: Any, x: Tensor, sigmas: Tensor, *, on_step: OnStep = ignore
    ) -> Tensor:
        from engine.comfy.values import inward

        face, total = self.listening.face, len(sigmas) - 1
        ours = Model(face, denoise)

        def run(model_wrap: Any, sigmas: Any, extra_args: Any, callback: Any, noise: Any, latent_image: Any = None,
                denoise_mask: Any = None, disable_pbar: bool = False) -> Any:  # fmt: skip
            def heard(i: int, x: Any, denoised: Any) -> None:
                if callback is not None:
                    callback(i, denoised, x, len(sigmas) - 1)

            used = denoise if model_wrap is ours else Called(model_wrap, extra_args, denoise)
            levels = sigmas.cpu()
            start = sampling.noise_scaling(levels[0], noise, latent_image, sampling.starts_at_max(levels))
            walk = self.sampler.walk(sampling, Draws(start, levels, draws.seed))
            return sampling.inverse_noise_scaling(levels[-1], walk(used, start, levels, on_step=heard))

        def callback(i: int, denoised: Any, x: Any, steps: int) -> None:
            on_step(min(i, total - 1), x, denoised)

        eps = self.noise.generate_noise(self.latent).to(x)
        extra = {"model_options": face.model_options, "seed": draws.seed}
        mask = self.latent.get("noise_mask")
        around = executor(run, inward(self.sampler), self.inner)
        made = around.execute(ours, sigmas, extra, callback, eps, self.listening.clean, mask, True)
        back: Tensor = sampling.noise_scaling(sigmas[-1], made.new_zeros(made.shape), made, False)
        return back


@dataclass(frozen=True, eq=False)
class Model:
    """The guider of a run as its sampler calls it."""

    face: Any
    denoise: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.face, name)

    def __call__(self, x: Tensor, sigma: Tensor, **_: Any) -> Tensor:
        clean: Tensor = self.denoise(x, sigma.flatten()[0].cpu())
        return clean


@dataclass(frozen=True, eq=False)
class Called:
    """What a wrapper put in the guider's place, as the engine's samplers call it."""

    function: Any
    extra: Any
    denoise: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.denoise, name)

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        clean: Tensor = self.function(x, sigma.to(x).expand(len(x)), **(self.extra or {}))
        return clean

    def split(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """The unguided half is the engine's: a wrapper has nothing to say of it."""
        return self(x, sigma), self.denoise.split(x, sigma)[1]
