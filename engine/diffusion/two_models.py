"""Guidance between two models: one reads the prompt, the other the negative.

With a smaller or less trained model for the negative this is autoguidance. Karras et al. 2024, https://arxiv.org/abs/2406.02507.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from torch import Tensor, nn

from engine.diffusion.conditioning import Conditioning, zero_out
from engine.diffusion.denoise import Denoise
from engine.diffusion.guidance import Guided, Guider, Inpaint, cfg_guider
from engine.diffusion.journal import Journal
from engine.diffusion.model import Model
from engine.diffusion.rules import Cfg


def two_model_guider(
    model: Model, other: Model | None, positive: Conditioning, negative: Conditioning | None, cfg: float
) -> Guider:
    """Classifier-free guidance with the negative prediction of ``other``; without a negative, of the prompt zeroed out."""
    negative = zero_out(positive) if negative is None else negative
    if other is None or other is model:
        return cfg_guider(model, positive, negative, cfg)
    if other.family.latent != model.family.latent:
        raise ValueError(
            f"the two models work on different latents: {model.family.title} and {other.family.title}. "
            "Choose two whose VAEs are of one kind."
        )
    return TwoModelGuider(model, {"positive": positive, "negative": negative}, Cfg(cfg), cfg_guider(other, [], negative, cfg))


@dataclass(frozen=True, eq=False)
class TwoModelGuider(Guider):
    """The guider of the first model, to whoever asks for one; ``other`` is that of the negative."""

    other: Guider

    def open(self, stack: ExitStack) -> nn.Module:
        """The first model's network, for its device; edits come and go with the calls."""
        return self.model.network()

    def start(self, network: nn.Module, x: Tensor, inpaint: Inpaint | None, journal: Journal | None) -> Denoise:
        first = Guider(self.model, {"positive": self.conditionings["positive"]}, self.rule)
        second = Guider(self.other.model, {"negative": self.conditionings["negative"]}, self.rule)
        guided = TwoModels.start(first, network, x, inpaint, journal)
        assert isinstance(guided, TwoModels)
        guided.other = Guided.start(second, network, x, inpaint, journal)
        guided.entries["negative"] = guided.other.entries["negative"]
        guided.guider = self
        return guided


@dataclass
class TwoModels(Guided):
    """The ``Denoise`` of such a run. The networks are asked for at every call: there may be room for one alone."""

    other: Guided | None = field(default=None)

    def evaluate(self, x: Tensor, sigma: Tensor, names: Sequence[str]) -> Mapping[str, Tensor]:
        found: dict[str, Tensor] = {}
        own = tuple(name for name in names if name != "negative")
        if own:
            self.network = self.guider.model.network()
            with self.guider.edited(self.network):
                found |= super().evaluate(x, sigma, own)
        if "negative" in names and self.other is not None:
            self.other.network = self.other.guider.model.network()
            self.other.journal, self.other.evaluations = self.journal, self.evaluations
            with self.other.guider.edited(self.other.network):
                found |= self.other.evaluate(x, sigma, ("negative",))
            self.evaluations = self.other.evaluations
        return found
