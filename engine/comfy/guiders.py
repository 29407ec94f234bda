"""Guiders of packs: their own way of joining predictions, and predictions for their code to join."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from engine.diffusion.rules import Parts

WORK: ContextVar[tuple[Any, Any] | None] = ContextVar("WORK", default=None)
"""The guider at work and the predictions of its step, while it joins them."""


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
        token = WORK.set((self.guider, parts))
        try:
            sigma = parts.sigma.to(parts.x).expand(len(parts.x))
            result: Tensor = self.guider.predict_noise(parts.x, sigma, self.guider.model_options, None)
            return result
        finally:
            WORK.reset(token)


def evaluate(model: Any, conds: list[Any], x: Tensor, sigma: Tensor) -> list[Any]:
    """The clean latent of each conditioning: from the step at work where it has it, else by the network."""
    import torch

    work = WORK.get()
    if work is not None and work[1].x is x:
        names = {id(given): name for name, given in work[0].original_conds.items()}
        known = [work[1].denoised.get(names.get(id(cond), "")) for cond in conds]
        if all(one is not None for one in known):
            return known
    from engine.diffusion.guidance import Guided, Guider
    from engine.diffusion.rules import Plain

    engine = model.engine
    found = []
    for cond in conds:
        if cond is None:
            found.append(torch.zeros_like(x))
            continue
        guided = Guided.start(Guider(engine, {"positive": cond}, Plain()), engine.network(), x, None, None)
        found.append(guided.evaluate(x, sigma.flatten()[0].cpu(), ("positive",))["positive"])
    return found
