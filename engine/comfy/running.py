"""A run of a sampler on a model that packs hung something on: their wrappers around it, and whom it is made for.

``OUTER_SAMPLE``, ``PREDICT_NOISE`` and ``CALC_COND_BATCH`` are called here, those of the sampler in ``sampled``, those of the
network in ``wrapped``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from engine.comfy.guiders import Predicted
from engine.comfy.values import inward, outward

if TYPE_CHECKING:
    from torch import Tensor

    from engine.diffusion.rules import Parts

RUNNING: ContextVar[Running | None] = ContextVar("RUNNING", default=None)
"""The run that is being made."""


@dataclass
class Running:
    """``guider`` is the face of the guider at work, ``parts`` the predictions of its step while they are being joined."""

    guider: Any
    sigmas: Any
    parts: Parts | None = None
    entries: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def conds(self, name: str) -> list[dict[str, Any]] | None:
        """A conditioning as it is during a run: dicts, the embedding under ``cross_attn``; the same list each time."""
        if name not in self.entries and name in self.guider.original_conds:
            from engine.comfy.faces.comfy.sampler_helpers import convert_cond

            self.entries[name] = convert_cond(self.guider.original_conds[name])
        return self.entries.get(name)

    def name_of(self, cond: Any) -> str | None:
        """Which conditioning of the guider this list is."""
        known = [*self.guider.original_conds.items(), *self.entries.items()]
        return next((name for name, one in known if one is cond), None)


@contextmanager
def joining(parts: Parts) -> Iterator[Running | None]:
    """While a pack joins the predictions of a step, it may ask for others at this step."""
    running = RUNNING.get()
    if running is None:
        yield None
        return
    before, running.parts = running.parts, parts
    try:
        yield running
    finally:
        running.parts = before


def wrappers(owner: Any, kind: str) -> list[Any]:
    """A kind of wrappers on a model, wherever they were put."""
    from engine.comfy.faces.comfy.patcher_extension import get_all_wrappers

    return [*owner.get_all_wrappers(kind), *get_all_wrappers(kind, owner.model_options, is_model_options=True)]


def executor(function: Any, owner: Any, inner: Sequence[Any]) -> Any:
    from engine.comfy.faces.comfy.patcher_extension import WrapperExecutor

    return WrapperExecutor.new_class_executor(function, owner, list(inner))


@dataclass(frozen=True, eq=False)
class Around:
    """What ``engine.diffusion.sampling.sample`` goes through for a model with ``owner``'s things on it."""

    owner: Any

    def __call__(self, walk: Any, guider: Any, noise: Any, sampler: Any, sigmas: Tensor, latent: Mapping[str, Any]) -> Any:
        rule = guider.rule
        face = rule.guider if isinstance(rule, Predicted) else inward(guider)
        token = RUNNING.set(Running(face, sigmas))
        try:
            for callback in self.owner.get_all_callbacks("on_pre_run"):
                callback(face.model_patcher)
            outer = wrappers(self.owner, "outer_sample")
            if not outer:
                return self.walked(walk, guider, face, noise, sampler, sigmas, latent)
            return self.wrapped(outer, face, walk, noise, sampler, sigmas, latent)
        finally:
            RUNNING.reset(token)
            for callback in self.owner.get_all_callbacks("on_cleanup"):
                callback(face.model_patcher)

    def walked(
        self, walk: Any, guider: Any, face: Any, noise: Any, sampler: Any, sigmas: Tensor, latent: Mapping[str, Any]
    ) -> Any:
        """The run itself, once ``PREPARE_SAMPLING`` wrappers have had their say, by a sampler in ``SAMPLER_SAMPLE`` wrappers."""
        from engine.comfy.sampled import Sampled, prepared
        from engine.diffusion.sampling import fitted

        samples = fitted(latent["samples"], face.model_patcher.engine.family.latent)
        if prepared(self.owner, face, samples.shape):
            guider = face.to_engine()
        listening = Listening(guider, face)
        if inner := wrappers(self.owner, "sampler_sample"):
            sampler = Sampled(sampler, inner, listening, noise, {**latent, "samples": samples})
        return walk(listening, noise, sampler, sigmas, latent)

    def wrapped(
        self, outer: list[Any], face: Any, walk: Any, noise: Any, sampler: Any, sigmas: Tensor, latent: Mapping[str, Any]
    ) -> Any:
        """The run inside of ``OUTER_SAMPLE`` wrappers, which may change whatever they pass on."""
        from engine.comfy.faces.comfy.sample import GivenNoise, heard
        from engine.diffusion.sampling import fitted

        last: list[Any] = []

        def run(noise: Any, latent_image: Any, sampler: Any, sigmas: Any, denoise_mask: Any = None, callback: Any = None,
                disable_pbar: bool = False, seed: int | None = None) -> Any:  # fmt: skip
            given = {name: value for name, value in latent.items() if name != "noise_mask"}
            if denoise_mask is not None:
                given["noise_mask"] = denoise_mask
            used = outward(sampler) if callback is None else heard(outward(sampler), callback, len(sigmas) - 1)
            given["samples"] = latent_image
            last[:] = self.walked(walk, face.to_engine(), face, GivenNoise(noise, seed), used, sigmas, given)
            return last[0]["samples"]

        samples = fitted(latent["samples"], face.model_patcher.engine.family.latent)
        start = noise.generate_noise({**latent, "samples": samples})
        made = executor(run, face, outer).execute(
            start, samples, inward(sampler), sigmas, latent.get("noise_mask"), None, False, noise.seed
        )
        result = {**latent, "samples": made}
        return result, last[1] if last else result


class Listening:
    """A guider whose predictions go through wrappers; all else is the guider's own."""

    def __init__(self, guider: Any, face: Any) -> None:
        self.guider, self.face = guider, face
        self.clean: Tensor | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.guider, name)

    def start(self, network: Any, x: Tensor, inpaint: Any, journal: Any) -> Any:
        self.clean = x
        denoise = self.guider.start(network, x, inpaint, journal)
        owner = self.face.model_patcher
        batch, predict = wrappers(owner, "calc_cond_batch"), wrappers(owner, "predict_noise")
        if batch and hasattr(denoise, "evaluate"):
            denoise.evaluate = Batched(denoise.evaluate, self.face, batch)
        return Heard(denoise, self.face, predict) if predict else denoise


@dataclass
class Batched:
    """Evaluating several conditionings, with ``CALC_COND_BATCH`` wrappers around it."""

    evaluate: Any
    face: Any
    wrappers: list[Any]

    def __call__(self, x: Tensor, sigma: Tensor, names: Sequence[str]) -> Mapping[str, Tensor]:
        running = RUNNING.get()
        assert running is not None

        def run(model: Any, conds: Any, x_in: Any, timestep: Any, model_options: Any = None) -> list[Any]:
            found = self.evaluate(x_in, timestep.flatten()[0].cpu(), names)
            return [found[name] for name in names]

        conds = [running.conds(name) for name in names]
        options = self.face.model_options
        made = executor(run, None, self.wrappers).execute(self.face.inner_model, conds, x, sigma.to(x).expand(len(x)), options)
        return dict(zip(names, made, strict=True))


@dataclass
class Heard:
    """A ``Denoise`` with ``PREDICT_NOISE`` wrappers around it."""

    inner: Any
    face: Any
    wrappers: list[Any]

    @cached_property
    def flow(self) -> bool:
        return bool(self.inner.flow)

    @property
    def guider(self) -> Any:
        return self.inner.guider

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.split(x, sigma, False)[0]

    def split(self, x: Tensor, sigma: Tensor, both: bool = True) -> tuple[Tensor, Tensor]:
        unguided: list[Any] = []

        def run(x: Any, timestep: Any, model_options: Any = None, seed: int | None = None) -> Any:
            level = timestep.flatten()[0].cpu()
            result, negative = self.inner.split(x, level) if both else (self.inner(x, level), None)
            unguided[:] = [negative]
            return result

        result = executor(run, self.face, self.wrappers).execute(x, sigma.to(x).expand(len(x)), self.face.model_options, None)
        return result, unguided[0] if unguided else result
