"""Models made of two: a merge is an adapter whose changes are the other model's weights; nothing is copied until it is placed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from engine.diffusion.clip import Clip
from engine.diffusion.model import Model
from engine.diffusion.parts import Part, Row
from engine.diffusion.patches import Adapter, Delta, Patch, patched, touching


@dataclass(frozen=True)
class Mix:
    """own * W + other * (the other model's weight)."""

    own: float
    other: float


Recipe = Callable[[Row], Mix]
"""The mix for each weight of the first model, by its names."""


def weighted(ratio: float) -> Mix:
    """So much of the first model, the rest of the second."""
    return Mix(ratio, 1.0 - ratio)


def by_block(ratios: Mapping[str, float], default: float) -> Recipe:
    """A ratio a block: the longest of these beginnings of a weight's original name decides."""

    def recipe(row: Row) -> Mix:
        fitting = [start for start in ratios if row.source.startswith(start)]
        return weighted(ratios[max(fitting, key=len)] if fitting else default)

    return recipe


@dataclass(frozen=True, eq=False)
class Blend:
    """The weight mixed with the other part's of the same name, its own patches worked in."""

    part: Part
    row: Row
    patches: tuple[Patch, ...]
    mix: Mix

    def apply(self, weight: Tensor, strength: float) -> Tensor:
        stored = self.row.view(self.part.stored[self.row.source]).to(weight.device)
        other = patched(stored, self.patches, self.row.target).reshape(weight.shape)
        mixed = weight * self.mix.own + other * self.mix.other
        return mixed if strength == 1.0 else weight.lerp(mixed, strength)


def merged_part(part: Part, other: Part, patches: tuple[Patch, ...], recipe: Recipe) -> Patch | None:
    """The patch that makes ``part`` the mix; None if the mix is ``part`` itself."""
    there = {row.target: row for row in other.keymap}
    deltas: dict[str, tuple[Delta, ...]] = {}
    for row in part.keymap:
        mix = recipe(row)
        if mix == Mix(1.0, 0.0) or row.target not in there:
            continue
        twin = there[row.target]
        ours, theirs = (r.view(p.stored[r.source]).shape for r, p in ((row, part), (twin, other)))
        if ours != theirs:
            raise ValueError(
                f"these models cannot be merged: {row.source} is {tuple(ours)} in one and {tuple(theirs)} in the other."
                " Both must be of one family."
            )
        own = tuple(patch for patch in patches if patch.adapter.role == other.role)
        deltas[row.target] = (Blend(other, twin, touching(own, row.target), mix),)
    return Patch(Adapter(part.role, deltas)) if deltas else None


def merge_models(first: Model, second: Model, recipe: Recipe) -> Model:
    """The first model with its weights mixed with the second's."""
    if first.family.name != second.family.name:
        raise ValueError(
            f"a {first.family.title} model cannot be merged with a {second.family.title} one. Both must be of one family."
        )
    patch = merged_part(first.part, second.part, second.patches, recipe)
    return first if patch is None else replace(first, patches=(*first.patches, patch))


def merge_clips(first: Clip, second: Clip, recipe: Recipe) -> Clip:
    """The first text encoders with their weights mixed with the second's, tower by tower."""
    others = {part.role: part for part in second.parts}
    pairs = [(part, others[part.role]) for part in first.parts if part.role in others]
    patches = [merged_part(part, other, second.patches, recipe) for part, other in pairs]
    return first.with_patches((*first.patches, *(patch for patch in patches if patch is not None)))
