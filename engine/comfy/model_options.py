"""What packs hang on a model, as the engine's guidance: ComfyUI's dicts go in, rules, changes and edits come out.

Everything made here is marked as ours, so that a model that comes back from native nodes can be taken apart again.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.diffusion.model import Guidance, Model

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.diffusion.families.family import Family, Inputs, Residuals
    from engine.diffusion.rules import Formula, Parts

KEY = "comfy"


@dataclass(frozen=True, eq=False)
class Rule:
    """``sampler_cfg_function``: gets and gives noise, where the engine has clean latents."""

    function: Callable[..., Any]
    owner: Any
    before: Formula | None

    def __call__(self, parts: Parts) -> Tensor:
        x, scale = parts.x, parts.cfg
        cond, uncond = parts.positive, parts.negative
        result: Tensor = x - self.function({
            "cond": x - cond, "uncond": x - uncond, "cond_scale": scale, "timestep": sigmas(parts), "input": x,
            "sigma": sigmas(parts), "cond_denoised": cond, "uncond_denoised": uncond, "model": self.owner.model,
            "model_options": self.owner.model_options, "input_cond": None, "input_uncond": None,
        })  # fmt: skip
        return result


@dataclass(frozen=True, eq=False)
class Before:
    """``sampler_pre_cfg_function``: changes both predictions."""

    function: Callable[..., Any]
    owner: Any

    def __call__(self, parts: Parts) -> Parts:
        cond, uncond = self.function({
            "conds": [None, None], "conds_out": [parts.positive, parts.negative], "cond_scale": parts.cfg,
            "timestep": sigmas(parts), "input": parts.x, "sigma": sigmas(parts), "model": self.owner.model,
            "model_options": self.owner.model_options,
        })[:2]  # fmt: skip
        return parts.having(positive=cond, **({"negative": uncond} if "negative" in parts.denoised else {}))


@dataclass(frozen=True, eq=False)
class After:
    """``sampler_post_cfg_function``: changes the result."""

    function: Callable[..., Any]
    owner: Any

    def __call__(self, parts: Parts, result: Tensor) -> Tensor:
        changed: Tensor = self.function({
            "denoised": result, "cond": None, "uncond": None, "cond_scale": parts.cfg, "model": self.owner.model,
            "uncond_denoised": parts.negative, "cond_denoised": parts.positive, "sigma": sigmas(parts),
            "model_options": self.owner.model_options, "input": parts.x,
        })  # fmt: skip
        return changed


@dataclass(frozen=True, eq=False)
class Edit:
    """Attention patches and the like, on the network for the length of a run."""

    owner: Any

    def __call__(self, network: nn.Module) -> AbstractContextManager[object]:
        from engine.comfy.attention import patched

        return patched(network, self.owner.model_options["transformer_options"])


@dataclass(frozen=True, eq=False)
class Wrapped:
    """A family whose network calls go through ``model_function_wrapper``."""

    family: Family
    function: Callable[..., Any]
    owner: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.family, name)

    def forward(
        self, network: nn.Module, x: Tensor, timestep: Tensor, inputs: Inputs, residuals: Residuals | None = None
    ) -> Tensor:
        """The wrapper sees noisy latents, sigmas and clean results; what the network sees and says is worked out from them."""
        sampling = self.owner.engine.sampling
        sigma = sampling.sigma(timestep.detach().cpu()).to(x)
        one = sigma.new_ones(())
        noisy = x / (sampling.scale_input(x.new_ones(x.shape), sigma) * one)

        def apply_model(input: Tensor, sigmas: Tensor, **conds: Any) -> Tensor:
            given = {name: conds.get(WORDS.get(name, name), value) for name, value in inputs.items()}
            scaled = sampling.scale_input(input, sigmas)
            said = self.family.forward(network, scaled, sampling.timestep(sigmas.cpu()).to(x), given, residuals)
            result: Tensor = sampling.denoised(input, said.float(), sigmas)
            return result

        conds = {WORDS.get(name, name): value for name, value in inputs.items()}
        conds["transformer_options"] = self.owner.model_options["transformer_options"]
        called = {"input": noisy, "timestep": sigma, "c": conds, "cond_or_uncond": [0] * len(x)}
        denoised = self.function(apply_model, called)
        nothing = sampling.denoised(noisy, noisy.new_zeros(noisy.shape), sigma)
        slope = sampling.denoised(noisy, noisy.new_ones(noisy.shape), sigma) - nothing
        said: Tensor = (denoised - nothing) / slope
        return said


WORDS = {"context": "c_crossattn", "concat": "c_concat", "pooled": "y"}
"""What ComfyUI calls a network's inputs."""


def sigmas(parts: Parts) -> Tensor:
    """Sigma once for each sample."""
    return parts.sigma.to(parts.x).expand(parts.x.shape[0])


def applied(model: Model, owner: Any) -> Model:
    """The model with what ``owner`` hangs on it; ``owner.model_options`` goes along, to be found again."""
    options = owner.model_options
    guidance = model.guidance
    if function := options.get("sampler_cfg_function"):
        guidance = replace(guidance, rule=Rule(function, owner, guidance.rule))
    before = tuple(Before(function, owner) for function in options.get("sampler_pre_cfg_function", ()))
    after = tuple(After(function, owner) for function in options.get("sampler_post_cfg_function", ()))
    needs = guidance.needs_negative or bool(options.get("disable_cfg1_optimization"))
    guidance = replace(guidance, before=(*guidance.before, *before), after=(*guidance.after, *after), needs_negative=needs)
    model = replace(model, guidance=guidance, options={**model.options, KEY: owner})
    transformer = options["transformer_options"]
    if transformer.get("patches") or transformer.get("patches_replace"):
        model = model.with_edit(Edit(owner))
    if wrapper := options.get("model_function_wrapper"):
        wrapped: Any = Wrapped(model.family, wrapper, owner)
        model = replace(model, family=wrapped)
    return model


def stripped(model: Model) -> tuple[Model, Any]:
    """The model without what ``applied`` added, and the owner of that, if any."""
    owner = model.options.get(KEY)
    if owner is None:
        return model, None
    guidance = model.guidance
    rule = guidance.rule.before if isinstance(guidance.rule, Rule) else guidance.rule
    before = tuple(one for one in guidance.before if not isinstance(one, Before))
    after = tuple(one for one in guidance.after if not isinstance(one, After))
    family: Any = model.family
    bare = replace(
        model, family=family.family if isinstance(family, Wrapped) else family,
        guidance=Guidance(rule, before, after, guidance.needs_negative),
        edits=tuple(edit for edit in model.edits if not isinstance(edit, Edit)),
        options={name: value for name, value in model.options.items() if name != KEY},
    )  # fmt: skip
    return bare, owner


def takes_one(function: Callable[..., Any]) -> bool:
    """Whether a guidance function takes one dict, not (cond, uncond, scale) as it once did."""
    try:
        return len(inspect.signature(function).parameters) != 3
    except (TypeError, ValueError):
        return True
