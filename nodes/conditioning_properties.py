"""Strength, mask, hooks and range of prompts, one or a pair at a time."""

from __future__ import annotations

from typing import Literal, NamedTuple

from engine.node import node
from engine.types import Conditioning, Hooks, Mask, TimestepsRange
from nodes.sizes import FineShare, Strength10

CondArea = Literal["default", "mask bounds"]


class Ranges(NamedTuple):
    timesteps: TimestepsRange
    before: TimestepsRange
    after: TimestepsRange


class Pair(NamedTuple):
    positive: Conditioning
    negative: Conditioning


def changed(
    conditioning: Conditioning, strength: float, area: CondArea, mask: Mask | None, hooks: Hooks | None,
    timesteps: TimestepsRange | None,
) -> Conditioning:  # fmt: skip
    from engine.diffusion.hooks import with_properties

    return Conditioning(with_properties(conditioning, strength, area, mask, hooks, timesteps))


def both(first: Conditioning, second: Conditioning) -> Conditioning:
    from engine.diffusion.conditioning import combine

    return Conditioning(combine(first, second))


@node(
    "ConditioningTimestepsRange", category="advanced/hooks", title="Timesteps Range",
    outputs=("TIMESTEPS_RANGE", "BEFORE_RANGE", "AFTER_RANGE"), experimental=True,
)  # fmt: skip
def conditioning_timesteps_range(start_percent: FineShare = 0.0, end_percent: FineShare = 1.0) -> Ranges:
    """A range of shares of the noise schedule, what comes before it and what comes after."""
    return Ranges((start_percent, end_percent), (0.0, start_percent), (end_percent, 1.0))


@node("ConditioningSetProperties", category="advanced/hooks/cond single", title="Cond Set Props", experimental=True)
def conditioning_set_properties(
    cond_NEW: Conditioning,
    strength: Strength10 = 1.0,
    set_cond_area: CondArea = "default",
    mask: Mask | None = None,
    hooks: Hooks | None = None,
    timesteps: TimestepsRange | None = None,
) -> Conditioning:
    """Where (mask, at a strength), with what (hooks) and when (timesteps) a prompt applies."""
    return changed(cond_NEW, strength, set_cond_area, mask, hooks, timesteps)


@node(
    "ConditioningSetPropertiesAndCombine", category="advanced/hooks/cond single", title="Cond Set Props Combine",
    experimental=True,
)  # fmt: skip
def conditioning_set_properties_and_combine(
    cond: Conditioning,
    cond_NEW: Conditioning,
    strength: Strength10 = 1.0,
    set_cond_area: CondArea = "default",
    mask: Mask | None = None,
    hooks: Hooks | None = None,
    timesteps: TimestepsRange | None = None,
) -> Conditioning:
    """As Cond Set Props, beside another prompt."""
    return both(cond, changed(cond_NEW, strength, set_cond_area, mask, hooks, timesteps))


@node("PairConditioningSetProperties", category="advanced/hooks/cond pair", title="Cond Pair Set Props", experimental=True)
def pair_conditioning_set_properties(
    positive_NEW: Conditioning,
    negative_NEW: Conditioning,
    strength: Strength10 = 1.0,
    set_cond_area: CondArea = "default",
    mask: Mask | None = None,
    hooks: Hooks | None = None,
    timesteps: TimestepsRange | None = None,
) -> Pair:
    """As Cond Set Props, for positive and negative alike."""
    return Pair(*(changed(one, strength, set_cond_area, mask, hooks, timesteps) for one in (positive_NEW, negative_NEW)))


@node(
    "PairConditioningSetPropertiesAndCombine", category="advanced/hooks/cond pair", title="Cond Pair Set Props Combine",
    experimental=True,
)  # fmt: skip
def pair_conditioning_set_properties_and_combine(
    positive: Conditioning,
    negative: Conditioning,
    positive_NEW: Conditioning,
    negative_NEW: Conditioning,
    strength: Strength10 = 1.0,
    set_cond_area: CondArea = "default",
    mask: Mask | None = None,
    hooks: Hooks | None = None,
    timesteps: TimestepsRange | None = None,
) -> Pair:
    """As Cond Pair Set Props, beside another pair."""
    new = (changed(one, strength, set_cond_area, mask, hooks, timesteps) for one in (positive_NEW, negative_NEW))
    return Pair(*(both(old, one) for old, one in zip((positive, negative), new, strict=True)))


@node("ConditioningSetDefaultCombine", category="advanced/hooks/cond single", title="Cond Set Default Combine", experimental=True)
def conditioning_set_default_combine(cond: Conditioning, cond_DEFAULT: Conditioning, hooks: Hooks | None = None) -> Conditioning:
    """A prompt for what the masks of the others leave."""
    from engine.diffusion.hooks import with_default

    return Conditioning(with_default(cond, cond_DEFAULT, hooks))


@node(
    "PairConditioningSetDefaultCombine", category="advanced/hooks/cond pair", title="Cond Pair Set Default Combine",
    experimental=True,
)  # fmt: skip
def pair_conditioning_set_default_combine(
    positive: Conditioning,
    negative: Conditioning,
    positive_DEFAULT: Conditioning,
    negative_DEFAULT: Conditioning,
    hooks: Hooks | None = None,
) -> Pair:
    """A pair of prompts for what the masks of the others leave."""
    pairs = ((positive, positive_DEFAULT), (negative, negative_DEFAULT))
    return Pair(*(conditioning_set_default_combine(cond, default, hooks) for cond, default in pairs))


@node("PairConditioningCombine", category="advanced/hooks/cond pair", title="Cond Pair Combine", experimental=True)
def pair_conditioning_combine(
    positive_A: Conditioning, negative_A: Conditioning, positive_B: Conditioning, negative_B: Conditioning
) -> Pair:
    """Two pairs of prompts side by side."""
    return Pair(both(positive_A, positive_B), both(negative_A, negative_B))
