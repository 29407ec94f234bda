"""Guiders of packs: their own way of joining predictions, and predictions for their code to join."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from engine.comfy.running import Running
    from engine.diffusion.rules import Parts


class Predicted:
    """The rule of a pack's guider: all its conditionings are evaluated, and ``predict_noise`` joins them."""

    def __init__(self, guider: Any) -> None:
        self.guider = guider

    @property
    def cfg(self) -> float:
        return float(self.guider.cfg)

    def names(self, sigma: float) -> tuple[str, ...]:
        return tuple(self.guider.original_conds)

    def __call__(self, parts: Parts) -> Tensor:
        from engine.comfy.running import joining

        with joining(parts):
            sigma = parts.sigma.to(parts.x).expand(len(parts.x))
            result: Tensor = self.guider.predict_noise(parts.x, sigma, self.guider.model_options, None)
            return result


def evaluate(model: Any, conds: list[Any], x: Tensor, sigma: Tensor, model_options: Mapping[str, Any] | None = None) -> list[Any]:
    """The clean latent of each conditioning: from the step at work where it has it, else by the network.

    Attention patches in ``model_options`` that the model does not have are on the network for this.
    """
    from engine.comfy.running import RUNNING

    running = RUNNING.get()
    options = (model_options or {}).get("transformer_options", {})
    return [_one(model, cond, x, sigma, options, running) for cond in conds]


def _one(model: Any, cond: Any, x: Tensor, sigma: Tensor, options: Mapping[str, Any], running: Running | None) -> Any:
    import torch

    from engine.comfy.model_options import Edit, same_patches

    if cond is None:
        return torch.zeros_like(x)
    owner = model._owner
    changed = bool(options) and not same_patches(options, owner.model_options["transformer_options"])
    edit = Edit(owner, options if changed else None)
    name = running.name_of(cond) if running is not None else None
    if running is not None and running.parts is not None and name is not None:
        parts = running.parts
        at_hand = x is parts.x or torch.equal(x, parts.x)
        if at_hand and not changed and name in parts.denoised:
            return parts.denoised[name]
        return parts.again(name, edit if changed else Edit(owner), None if at_hand else x)
    return _alone(model.engine, cond, x, sigma, edit if changed else None)


def _alone(engine: Any, cond: Any, x: Tensor, sigma: Tensor, edit: Any) -> Any:
    """Outside of a step."""
    from engine.diffusion.guidance import Guided, Guider
    from engine.diffusion.rules import Plain

    entries = [[one["cross_attn"], _options(one)] if isinstance(one, dict) else one for one in cond]
    network = engine.network()
    guider = Guider(engine if edit is None else engine.with_edit(edit), {"positive": entries}, Plain())
    with guider.edited(network):
        return Guided.start(guider, network, x, None, None).evaluate(x, sigma.flatten()[0].cpu(), ("positive",))["positive"]


def _options(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name not in ("cross_attn", "model_conds", "uuid")}
