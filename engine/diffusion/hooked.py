"""The networks of one run that carry hooks, each at the strengths of the moment."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from torch import nn

from engine.diffusion.hooks import Hooks, Strengths, hook_patches
from engine.diffusion.patches import Patch

if TYPE_CHECKING:
    from engine.diffusion.guidance import Guided


class Hooked:
    """Beside a run's own network: the same with hooks. One with passing strengths is forgotten when they change."""

    def __init__(self, guided: Guided) -> None:
        self.guided = guided
        found = (entry.hooks for entries in guided.entries.values() for entry in entries)
        self.all: tuple[Hooks, ...] = tuple(dict.fromkeys(hooks for hooks in found if hooks is not None))
        self.factors: dict[Hooks, tuple[float, ...]] = {}
        self.networks: dict[Hooks, tuple[tuple[Patch, ...], nn.Module]] = {}

    def reach(self, sigma: float) -> None:
        """The run has come to ``sigma``; where it is with the keyframes is remembered with all else of the run."""
        memory = self.guided.memory
        if Strengths not in memory:
            memory[Strengths] = Strengths(self.guided.guider.model.sampling.percent_to_sigma, sigma)
        strengths: Strengths = memory[Strengths]
        self.factors = {hooks: strengths.at(hooks, sigma) for hooks in self.all}

    def network(self, hooks: Hooks, stack: ExitStack) -> nn.Module:
        """The network with ``hooks``, and with the run's edits on it until ``stack`` closes."""
        guided, model = self.guided, self.guided.guider.model
        added = hook_patches(hooks, self.factors[hooks], [model.part])
        if not added:
            return guided.network
        patches = (*(model.patches if guided.patches is None else guided.patches), *added)
        known = self.networks.pop(hooks, None)
        if known is None or known[0] != patches:
            known = None
            place: Any = model.place if not hooks.scheduled else getattr(model.place, "once", model.place)
            known = (patches, place(model.part, patches, dtype=model.dtype))
        self.networks[hooks] = known
        stack.enter_context(guided.guider.edited(known[1]))
        for edit in guided.passing:
            stack.enter_context(edit(known[1]))
        return known[1]
