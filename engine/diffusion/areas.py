"""Where, when and how strongly each conditioning entry applies to a latent of a given shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.diffusion.conditioning import Conditioning, Options, entries
from engine.diffusion.families.family import Inputs, repeat_to

if TYPE_CHECKING:
    from engine.diffusion.control import Control
    from engine.diffusion.hooks import Hooks
    from engine.diffusion.model import Edit, Model

FEATHER = 8
"""Cells over which the weight of an area rises from its edge, where that is not the picture's edge."""

Box = tuple[int, ...]
"""Sizes along the latent's spatial dimensions, then offsets."""


@dataclass(frozen=True, eq=False)
class Entry:
    """One conditioning entry made ready for a run: its network inputs, and where and when they apply."""

    inputs: Inputs
    strength: float = 1.0
    box: Box | None = None
    mask: Tensor | None = None  # (B, ...) over the whole latent, its strength multiplied in
    first_sigma: float = float("inf")
    last_sigma: float = 0.0
    control: Control | None = None
    control_to_uncond: bool = False
    hooks: Hooks | None = None
    edits: tuple[Edit, ...] = ()  # on the network for this entry's calls alone
    default: bool = False

    def applies(self, sigma: float) -> bool:
        return self.last_sigma <= sigma <= self.first_sigma


def resolve(model: Model, conditionings: Mapping[str, Conditioning], x: Tensor, known: Options) -> dict[str, list[Entry]]:
    """The entries of every named conditioning for a latent like ``x`` (B, C, ...); ``known`` are options of every entry.

    An entry with an area is given an opposite in the other conditionings: the network runs on that area for both.
    """
    resolved = {
        name: [_entry(model, tensor, {**known, **options}, x, name) for tensor, options in entries(conditioning)]
        for name, conditioning in conditionings.items()
    }
    for name in resolved:
        for entry in list(resolved[name]):
            for other in resolved:
                if other != name:
                    resolved[other] += _opposite(entry, resolved[other])
    for name in resolved:
        if name != "positive" and "positive" in resolved:
            resolved[name] = _share_controls(resolved["positive"], resolved[name])
            resolved[name] = _share_edits(resolved["positive"], resolved[name])
    return resolved


def _entry(model: Model, tensor: Tensor, options: Options, x: Tensor, name: str) -> Entry:
    sizes = tuple(x.shape[2:])
    box = _box(options.get("area"), sizes)
    mask = _mask(options.get("mask"), sizes, x)
    if mask is not None and options.get("set_area_to_bounds", False):
        box = _bounds(mask)
    if mask is not None:
        mask = mask * float(options.get("mask_strength", 1.0))
    start, end = _shares(options)
    gligen = options.get("gligen")
    return Entry(
        inputs=model.family.condition(tensor, options, x, negative=name == "negative"),
        strength=float(options.get("strength", 1.0)),
        box=box,
        mask=mask,
        first_sigma=float("inf") if start is None else model.sampling.percent_to_sigma(float(start)),
        last_sigma=0.0 if end is None else model.sampling.percent_to_sigma(float(end)),
        control=options.get("control"),
        control_to_uncond=bool(options.get("control_apply_to_uncond", False)),
        hooks=options.get("hooks") or None,
        edits=() if gligen is None else (gligen[1].grounding(gligen[2], sizes, model),),
        default=bool(options.get("default", False)),
    )


def _shares(options: Options) -> tuple[float | None, float | None]:
    """The shares of the schedule between which an entry applies: its own, within those its text was encoded for."""
    starts = [options[name] for name in ("start_percent", "clip_start_percent") if options.get(name) is not None]
    ends = [options[name] for name in ("end_percent", "clip_end_percent") if options.get(name) is not None]
    return max(starts, default=None), min(ends, default=None)


def _box(area: Sequence[Any] | None, sizes: tuple[int, ...]) -> Box | None:
    """Cells from cells or shares; an area without time covers all of it."""
    if area is None:
        return None
    dims = len(sizes)
    if area[0] == "percentage":
        shares = list(area[1:])
        half = len(shares) // 2
        shares = [1.0] * (dims - half) + shares[:half] + [0.0] * (dims - half) + shares[half:]
        lengths = [max(1, round(shares[d] * sizes[d])) for d in range(dims)]
        offsets = [round(shares[dims + d] * sizes[d]) for d in range(dims)]
    else:
        half = len(area) // 2
        lengths = [*sizes[: dims - half], *(int(n) for n in area[:half])]
        offsets = [0] * (dims - half) + [int(n) for n in area[half:]]
    lengths = [min(length, size - offset) for length, size, offset in zip(lengths, sizes, offsets, strict=True)]
    if min(lengths) <= 0:
        raise ValueError(f"a conditioning's area starts at {offsets}, outside the latent of {sizes} cells. Move it inside.")
    return (*lengths, *offsets)


def _mask(mask: Tensor | None, sizes: tuple[int, ...], x: Tensor) -> Tensor | None:
    if mask is None:
        return None
    mask = mask.to(x.device, torch.float32)
    mask = mask.unsqueeze(0) if mask.ndim == len(sizes) else mask
    if mask.shape[1:] != sizes:
        if mask.ndim < 4:
            mask = F.interpolate(mask.unsqueeze(1), size=sizes[-2:], mode="bilinear").squeeze(1)
            mask = mask.unsqueeze(1).expand(-1, *sizes) if len(sizes) == 3 else mask
        else:
            mask = F.interpolate(mask.unsqueeze(1), size=sizes, mode="trilinear").squeeze(1)
    return mask


def _bounds(mask: Tensor) -> Box:
    """The smallest box of at least 8 cells each way that holds everything above zero."""
    covered = mask.abs().amax(0) > 0
    if not covered.any():
        return (8,) * covered.ndim + (0,) * covered.ndim
    lengths, offsets = [], []
    for d, size in enumerate(covered.shape):
        hit = covered.movedim(d, 0).flatten(1).any(1).nonzero().flatten()
        first, last = int(hit[0]), int(hit[-1])
        offsets.append(first)
        lengths.append(min(max(8, last - first + 1), size - first))
    return (*lengths, *offsets)


def _opposite(entry: Entry, others: Sequence[Entry]) -> list[Entry]:
    """For an area: a copy with the inputs of the smallest entry around it, unless one has that very area."""
    if entry.box is None:
        return []
    around = [other for other in others if other.box is None or _inside(entry.box, other.box)]
    if not around:
        return []
    boxed = [other for other in around if other.box is not None]
    smallest = min(boxed, key=lambda other: _cells(other.box)) if boxed else around[0]
    return [] if smallest.box == entry.box else [replace(entry, inputs=smallest.inputs)]


def _cells(box: Box | None) -> int:
    cells = 1
    for length in (box or ())[: len(box or ()) // 2]:
        cells *= length
    return cells


def _inside(box: Box, around: Box) -> bool:
    half = len(box) // 2
    return all(
        around[half + d] <= box[half + d] and box[d] + box[half + d] <= around[d] + around[half + d] for d in range(half)
    )


def _share_controls(positive: Sequence[Entry], others: list[Entry]) -> list[Entry]:
    """Controls of whole-picture entries that apply to both sides, dealt to the other side's in turn if it has none."""
    both = [entry.control for entry in positive if entry.control_to_uncond and entry.box is None]
    controls = [control for control in both if control is not None]
    whole = [i for i, entry in enumerate(others) if entry.box is None]
    if not controls or not whole or any(others[i].control is not None for i in whole):
        return others
    shared = list(others)
    for k, control in enumerate(controls):
        i = whole[k % len(whole)]
        if k < len(whole):
            shared[i] = replace(others[i], control=control)
        else:
            shared.append(replace(others[i], control=control))
    return shared


def _share_edits(positive: Sequence[Entry], others: Sequence[Entry]) -> list[Entry]:
    """What is grounded in the positive is so in the others, as in training; they keep what they have of their own."""
    edits = next((entry.edits for entry in positive if entry.edits and entry.box is None), ())
    if not edits or any(entry.edits for entry in others):
        return list(others)
    return [replace(entry, edits=edits) if entry.box is None else entry for entry in others]


def crop(tensor: Tensor, box: Box | None) -> Tensor:
    """The box of a tensor whose last dimensions are the latent's."""
    if box is None:
        return tensor
    half = len(box) // 2
    for d in range(half):
        tensor = tensor.narrow(tensor.ndim - half + d, box[half + d], box[d])
    return tensor


def weight(entry: Entry, x: Tensor) -> Tensor:
    """How much the entry's prediction counts at each place of its box, shaped like ``x`` cropped to it.

    Its mask times its strength; for a box without a mask, rising from 1/8 at edges inside the picture.
    """
    cropped = crop(x, entry.box)
    if entry.mask is not None:
        return repeat_to(crop(entry.mask, entry.box), x.shape[0]).unsqueeze(1).expand_as(cropped) * entry.strength
    weights = torch.full_like(cropped, entry.strength)
    if entry.box is None:
        return weights
    half = len(entry.box) // 2
    for d in range(half):
        length, offset, size = entry.box[d], entry.box[half + d], x.shape[2 + d]
        width = min(FEATHER, length // 4)
        ramp = torch.ones(length, device=x.device)
        rise = torch.arange(1, width + 1, device=x.device) / width if width else ramp[:0]
        if offset != 0:
            ramp[:width] *= rise
        if offset + length < size:
            ramp[length - width :] *= rise.flip(0)
        weights = weights * ramp.reshape(-1, *[1] * (half - d - 1))
    return weights


def rest(others: Sequence[tuple[Box | None, Tensor]], x: Tensor) -> Tensor:
    """What the weights of other entries, in their boxes, leave to a default one: 1 minus their sum, not below 0."""
    left = torch.ones_like(x)
    for box, weights in others:
        crop(left, box).sub_(weights)
    return left.clamp_(min=0)
