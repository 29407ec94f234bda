"""Models made of several: a merge is an adapter whose changes read the other models' weights, so nothing is copied early.

The formulas work weight by weight, in float32: ``a`` is the first model's, then the others'.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from engine.diffusion.clip import Clip
from engine.diffusion.model import Model
from engine.diffusion.parts import Part, Row
from engine.diffusion.patches import Adapter, Delta, Patch, patched, touching

Formula = Callable[..., Tensor]
"""(a, b, ...) -> the merged weight."""

Recipe = Callable[[Row], Formula | None]
"""The formula for each weight of the first model, by its names; None leaves it as it is."""


def method(name: str, alpha: float, beta: float, seed: int) -> Formula | None:
    """A formula by its name: ``alpha`` 0 is a. ValueError for numbers it has no answer to."""
    if not (math.isfinite(alpha) and math.isfinite(beta)):
        raise ValueError(f"alpha and beta are to be numbers, not {alpha} and {beta}")
    if name == "DARE" and not 0 <= beta < 1:
        raise ValueError(f"DARE leaves a share of the differences out: beta is from 0 to below 1, not {beta}")
    if name == "TIES" and not 0 < beta <= 1:
        raise ValueError(f"TIES keeps a share of the differences: beta is above 0 and at most 1, not {beta}")
    match name:
        case "weighted":
            return weighted(1.0 - alpha)
        case "spherical":
            return spherical(1.0 - alpha)
        case "add difference":
            return add_difference(alpha)
        case "train difference":
            return train_difference(alpha)
        case "sum twice":
            return sum_twice(alpha, beta)
        case "cosine":
            return cosine(alpha)
        case "DARE":
            return dare(alpha, beta, seed)
        case "TIES":
            return ties(alpha, beta)
    raise ValueError(f"no method is called {name!r}")


def weighted(ratio: float) -> Formula | None:
    """So much of the first model, the rest of the second."""
    return None if ratio == 1.0 else lambda a, b: a * ratio + b * (1.0 - ratio)


def by_block(ratios: Mapping[str, float], default: float) -> Recipe:
    """A ratio a block: the longest of these beginnings of a weight's original name decides."""

    def recipe(row: Row) -> Formula | None:
        fitting = [start for start in ratios if row.source.startswith(start)]
        return weighted(ratios[max(fitting, key=len)] if fitting else default)

    return recipe


def spherical(ratio: float) -> Formula:
    """Along the great circle from b (0) to a (1): as ``weighted``, but lengths do not shrink between."""

    def formula(a: Tensor, b: Tensor) -> Tensor:
        lengths = a.norm(), b.norm()
        cosine = float((a * b).sum() / (lengths[0] * lengths[1]).clamp(min=1e-12))
        angle = math.acos(max(-1.0, min(1.0, cosine)))
        if angle < 1e-4 or angle > math.pi - 1e-4:
            return a * ratio + b * (1.0 - ratio)
        return (a * math.sin(ratio * angle) + b * math.sin((1.0 - ratio) * angle)) / math.sin(angle)

    return formula


def add_difference(alpha: float) -> Formula:
    """a + alpha (b - c): what b learned from c, added to a."""
    return lambda a, b, c: a + alpha * (b - c)


def train_difference(alpha: float) -> Formula:
    """As ``add_difference``, each number held back the more, the nearer a already is to b, as training on would."""

    def formula(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        learned, away = b - c, (b - a).abs()
        share = torch.nan_to_num(away / (learned.abs() + away))
        return a + 1.8 * alpha * learned * share

    return formula


def sum_twice(alpha: float, beta: float) -> Formula:
    """(1 - beta) ((1 - alpha) a + alpha b) + beta c."""
    return lambda a, b, c: a.lerp(b, alpha).lerp(c, beta)


def cosine(alpha: float) -> Formula:
    """Rows (outputs) keep a, the more alike a and b are there; ``alpha`` is taken off every row's share of a: at 1 all is b.

    Likeness is the cosine, from 0 at the least alike row of the weight to 1 at the most.
    """

    def formula(a: Tensor, b: Tensor) -> Tensor:
        alike = torch.nn.functional.cosine_similarity(a.reshape(len(a), -1), b.reshape(len(b), -1), dim=1)
        low, high = alike.min(), alike.max()
        share = torch.ones_like(alike) if high - low < 1e-6 else (alike - low) / (high - low)
        return torch.lerp(b, a, (share - alpha).clamp(0, 1).reshape(-1, *[1] * (a.ndim - 1)))

    return formula


def dare(alpha: float, drop: float, seed: int) -> Formula:
    """a + alpha (b - a) with a random share ``drop`` of the differences left out and the rest enlarged to make up.

    Yu et al. 2023, https://arxiv.org/abs/2311.03099. What is left out depends on the weight's shape and the seed alone.
    """

    def formula(a: Tensor, b: Tensor) -> Tensor:
        keep = torch.rand(a.shape, generator=torch.Generator().manual_seed(seed)).to(a.device) >= drop
        return a + alpha * (b - a) * keep / (1.0 - drop)

    return formula


def ties(alpha: float, density: float) -> Formula:
    """What a and b learned from c: only the largest share ``density``, only where most of it has one sign, averaged.

    Yadav et al. 2023, https://arxiv.org/abs/2306.01708.
    """

    def formula(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        learned = torch.stack([_largest(a - c, density), _largest(b - c, density)])
        sign = learned.sum(0).sign()
        agreeing = learned * (learned.sign() == sign)
        return c + alpha * agreeing.sum(0) / (agreeing != 0).sum(0).clamp(min=1)

    return formula


def _largest(x: Tensor, share: float) -> Tensor:
    """``x`` with all but the largest share of its numbers set to 0."""
    count = max(1, round(x.numel() * share))
    smallest = x.abs().flatten().kthvalue(x.numel() - count + 1).values
    return x * (x.abs() >= smallest)


@dataclass(frozen=True, eq=False)
class Other:
    """The same weight of another model, with the patches that model has."""

    part: Part
    row: Row
    patches: tuple[Patch, ...]

    def weight(self, like: Tensor) -> Tensor:
        """Its value, float32, on the device of ``like``; as many of its input channels."""
        stored = self.row.view(self.part.stored[self.row.source]).to(like.device)
        value = patched(stored, self.patches, self.row.target)
        return value if value.shape == like.shape else value[:, : like.shape[1]]


@dataclass(frozen=True, eq=False)
class Blend:
    """A weight made of it and others by a formula; only its first input ``channels``, where not all see as much as it does."""

    formula: Formula
    others: tuple[Other, ...]
    channels: int | None = None

    def apply(self, weight: Tensor, strength: float) -> Tensor:
        own = weight if self.channels is None else weight[:, : self.channels]
        mixed = self.formula(own, *(other.weight(own) for other in self.others))
        if self.channels is not None:
            mixed = torch.cat([mixed, weight[:, self.channels :]], dim=1)
        return mixed if strength == 1.0 else weight.lerp(mixed, strength)


def merged_part(part: Part, others: Sequence[tuple[Part, tuple[Patch, ...]]], recipe: Recipe) -> Patch | None:
    """The patch that makes ``part`` the merge with these parts, patched as they are; None if that is ``part`` itself."""
    tables = [{row.target: row for row in other.keymap} for other, _ in others]
    deltas: dict[str, tuple[Delta, ...]] = {}
    for row in part.keymap:
        formula = recipe(row)
        if formula is None or not _have(row.target, tables):
            continue
        twins, channels = [], None
        for (other, patches), table in zip(others, tables, strict=True):
            twin = table[row.target]
            seen = _seen(part, row, other, twin)
            channels = min(seen, channels or seen) if seen is not None else channels
            own = [patch for patch in patches if patch.adapter.role == other.role]
            twins.append(Other(other, twin, touching(own, row.target)))
        deltas[row.target] = (Blend(formula, tuple(twins), channels),)
    return Patch(Adapter(part.role, deltas)) if deltas else None


def _have(target: str, tables: Sequence[Mapping[str, Row]]) -> bool:
    """Whether all models have that weight. What stands beside the blocks (LCM's guidance embedding) may be in some alone."""
    there = all(target in table for table in tables)
    if not there and target.startswith(("down_blocks.", "mid_block.", "up_blocks.")):
        raise ValueError(f"these models cannot be merged: one has {target}, another has no such layer. Both must be of one make.")
    return there


def _seen(part: Part, row: Row, other: Part, twin: Row) -> int | None:
    """How many input channels the other sees, if fewer than the first (which may be an inpainting model); else None."""
    ours, theirs = (p.stored[r.source] for p, r in ((part, row), (other, twin)))
    a, b = row.view(ours).shape, twin.view(theirs).shape
    if a == b:
        return None
    if row.target == "conv_in.weight" and a[0] == b[0] and a[2:] == b[2:]:
        if a[1] > b[1]:
            return int(b[1])
        raise ValueError(
            f"these models cannot be merged in this order: the first sees {a[1]} channels, another {b[1]}."
            " Make the inpainting or editing model the first (A)."
        )
    raise ValueError(
        f"these models cannot be merged: {row.source} is {tuple(a)} in one and {tuple(b)} in the other."
        " Both must be of one family."
    )


def merge_models(recipe: Recipe, first: Model, *others: Model) -> Model:
    """The first model with its weights merged with the others'."""
    for other in others:
        if first.family.name != other.family.name:
            raise ValueError(
                f"a {first.family.title} model cannot be merged with a {other.family.title} one. Both must be of one family."
            )
    patch = merged_part(first.part, [(other.part, other.patches) for other in others], recipe)
    return first if patch is None else replace(first, patches=(*first.patches, patch))


def merge_clips(recipe: Recipe, first: Clip, *others: Clip) -> Clip:
    """The first text encoders with their weights merged with the others', tower by tower."""
    added = []
    for part in first.parts:
        twins = [(twin, other.patches) for other in others for twin in other.parts if twin.role == part.role]
        if len(twins) == len(others):
            added.append(merged_part(part, twins, recipe))
    return first.with_patches((*first.patches, *(patch for patch in added if patch is not None)))
