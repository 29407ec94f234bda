"""What packs hang on a model, as the engine's guidance: ComfyUI's dicts go in, rules, changes and edits come out.

Everything made here is marked as ours, so that a model that comes back from native nodes can be taken apart again.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.comfy.running import RUNNING, Around, Running, joining, wrappers
from engine.comfy.wrapped import Wrapped
from engine.diffusion.model import Model

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.diffusion.rules import Formula, Parts

KEY, KEY_MASK = "comfy", "comfy mask"


@dataclass(frozen=True, eq=False)
class Rule:
    """``sampler_cfg_function``: gets and gives noise, where the engine has clean latents."""

    function: Callable[..., Any]
    owner: Any
    before: Formula | None

    def __call__(self, parts: Parts) -> Tensor:
        x, cond, uncond = parts.x, parts.positive, parts.negative
        with joining(parts) as running:
            result: Tensor = x - self.function({
                "cond": x - cond, "uncond": x - uncond, "cond_denoised": cond, "uncond_denoised": uncond, "input": x,
                "input_cond": conds(running, "positive"), "input_uncond": conds(running, "negative"), **told(self.owner, parts),
            })  # fmt: skip
        return result


@dataclass(frozen=True, eq=False)
class Before:
    """``sampler_pre_cfg_function``: changes both predictions."""

    function: Callable[..., Any]
    owner: Any

    def __call__(self, parts: Parts) -> Parts:
        with joining(parts) as running:
            cond, uncond = self.function({
                "conds": [conds(running, "positive"), conds(running, "negative")], "input": parts.x,
                "conds_out": [parts.positive, parts.negative], **told(self.owner, parts),
            })[:2]  # fmt: skip
        return parts.having(positive=cond, **({"negative": uncond} if "negative" in parts.denoised else {}))


@dataclass(frozen=True, eq=False)
class After:
    """``sampler_post_cfg_function``: changes the result."""

    function: Callable[..., Any]
    owner: Any

    def __call__(self, parts: Parts, result: Tensor) -> Tensor:
        with joining(parts) as running:
            changed: Tensor = self.function({
                "denoised": result, "cond": conds(running, "positive"), "uncond": conds(running, "negative"), "input": parts.x,
                "uncond_denoised": parts.negative, "cond_denoised": parts.positive, **told(self.owner, parts),
            })  # fmt: skip
        return changed


@dataclass(frozen=True, eq=False)
class Edit:
    """Attention patches and the like, on the network for the length of a run: the owner's, or those in ``options``."""

    owner: Any
    options: Mapping[str, Any] | None = None

    def __call__(self, network: nn.Module) -> AbstractContextManager[object]:
        from engine.comfy.attention import patched

        running = RUNNING.get()
        options = self.options if self.options is not None else self.owner.model_options["transformer_options"]
        return patched(network, options, self.owner.engine.sampling, running.sigmas if running is not None else None)


def told(owner: Any, parts: Parts) -> dict[str, Any]:
    """What every guidance function is told; sigma once for each sample."""
    sigma = parts.sigma.to(parts.x).expand(parts.x.shape[0])
    return {
        "cond_scale": parts.cfg, "sigma": sigma, "timestep": sigma, "model": owner.model, "model_options": owner.model_options,
    }  # fmt: skip


def conds(running: Running | None, name: str) -> Any:
    return running.conds(name) if running is not None else None


def same_patches(some: Mapping[str, Any], others: Mapping[str, Any]) -> bool:
    """Whether both put the same on a network."""
    return all((some.get(kind) or {}) == (others.get(kind) or {}) for kind in ("patches", "patches_replace"))


@dataclass(frozen=True, eq=False)
class Mask:
    """``denoise_mask_function(sigma, mask, extra_options=)``: the inpainting mask of a step."""

    function: Callable[..., Any]
    owner: Any

    def __call__(self, sampling: Any, sigma: Tensor, mask: Tensor, sigmas: Tensor) -> Tensor:
        level = sigma.to(mask).expand(len(mask))
        result: Tensor = self.function(level, mask, extra_options={"model": self.owner.model, "sigmas": sigmas})
        return result


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
    model = replace(
        model, guidance=guidance, options={**model.options, KEY: owner, KEY_MASK: model.denoise_mask},
        around=(*model.around, Around(owner)),
    )  # fmt: skip
    if mask := options.get("denoise_mask_function"):
        model = model.with_denoise_mask(Mask(mask, owner))
    transformer = options["transformer_options"]
    if transformer.get("patches") or transformer.get("patches_replace"):
        model = model.with_edit(Edit(owner))
    wrapper = options.get("model_function_wrapper")
    if wrapper or wrappers(owner, "apply_model") or wrappers(owner, "diffusion_model"):
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
        guidance=replace(guidance, rule=rule, before=before, after=after),
        edits=tuple(edit for edit in model.edits if not isinstance(edit, Edit)),
        around=tuple(one for one in model.around if not isinstance(one, Around)),
        denoise_mask=model.options.get(KEY_MASK),
        options={name: value for name, value in model.options.items() if name not in (KEY, KEY_MASK)},
    )  # fmt: skip
    return bare, owner


def takes_one(function: Callable[..., Any]) -> bool:
    """Whether a guidance function takes one dict, not (cond, uncond, scale) as it once did."""
    try:
        return len(inspect.signature(function).parameters) != 3
    except (TypeError, ValueError):
        return True
