"""Which text towers a family listens to, where they lie in a checkpoint, and how each is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.diffusion.parts import Part, Tensors, under
from engine.diffusion.text import towers
from engine.diffusion.text.bpe import END
from engine.diffusion.text.tower import Tower


@dataclass(frozen=True)
class Slot:
    """One tower of a stack. Some were trained with the end token as padding, some with token 0."""

    name: str
    prefixes: tuple[str, ...]  # in checkpoints, the likeliest first
    pad: int = END
    layer: int = -1
    normalise: bool = True
    layers: int | None = None  # of the whole tower: diffusers leaves out those that are never listened to

    def tower(self, part: Part) -> Tower:
        missing = 0 if self.layers is None else self.layers - towers.depth(part.keymap)
        layer = self.layer + missing if 0 < missing < -self.layer else self.layer
        return Tower(self.name, part, self.pad, layer, self.normalise)


L1 = ("cond_stage_model.transformer.", "text_encoders.clip_l.transformer.", "te.")
L2 = ("conditioner.embedders.0.transformer.", "text_encoders.clip_l.transformer.")
G = ("conditioner.embedders.1.model.", "text_encoders.clip_g.transformer.")
G1 = ("conditioner.embedders.0.model.", "text_encoders.clip_g.transformer.")
H = ("cond_stage_model.model.", "conditioner.embedders.0.model.", "text_encoders.clip_h.transformer.")

STACKS: Mapping[str, tuple[Slot, ...]] = {
    "none": (),  # it listens to pictures
    "sd1": (Slot("l", L1),),
    "sd2": (Slot("h", H, pad=0, layer=-2, layers=24),),
    "sdxl": (Slot("l", L2, layer=-2, normalise=False), Slot("g", G, pad=0, layer=-2, normalise=False)),
    "sdxl_refiner": (Slot("g", G1, pad=0, layer=-2, normalise=False),),
}
"""Features of the towers are joined along channels; the pooled output is the last tower's."""


def find(stack: str, tensors: Tensors) -> dict[str, Part]:
    """The stack's towers in a checkpoint, by the prefix they lie under; empty if any is missing."""
    parts: dict[str, Part] = {}
    for slot in STACKS[stack]:
        for prefix in slot.prefixes:
            part = towers.part(under(tensors, prefix), slot.name)
            if part is not None:
                parts[prefix] = part
                break
    return parts if len(parts) == len(STACKS[stack]) else {}


def assemble(stack: str, parts: Sequence[Part]) -> tuple[Tower, ...]:
    """The stack's towers with these parts, in the stack's order whatever theirs."""
    by_role = {part.role: part for part in parts}
    return tuple(slot.tower(by_role[f"clip_{slot.name}"]) for slot in STACKS[stack])
