"""Changes to weights, as values: a weight and a strength go in, a new weight comes out; nothing is changed in place.

A patched network is another module that shares every weight no patch touches (see ``residency``), so removing a patch
leaves the weights bit-equal: they were never written to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 1 << 20
"""Numbers of a weight that are worked on together."""


class Delta(Protocol):
    """One change of one weight."""

    def apply(self, weight: Tensor, strength: float) -> Tensor:
        """A new weight; ``weight`` is float32 in the network's shape and stays as it is."""
        ...


@dataclass(frozen=True, eq=False)
class Adapter:
    """The changes one file (or one merge) makes to the part of that role, by the network's weight names. Equal only to itself."""

    role: str  # "denoiser", "clip_l" ...: text towers have equal weight names
    deltas: Mapping[str, tuple[Delta, ...]]


@dataclass(frozen=True)
class Patch:
    """An adapter at a strength: what a patched model carries. 0 is no change at all; negative and above 1 are fine."""

    adapter: Adapter
    strength: float = 1.0


def touching(patches: Sequence[Patch], target: str) -> tuple[Patch, ...]:
    """The patches that change the weight ``target``."""
    return tuple(patch for patch in patches if patch.strength != 0.0 and target in patch.adapter.deltas)


def patched(weight: Tensor, patches: Sequence[Patch], target: str, dtype: torch.dtype = torch.float32) -> Tensor:
    """``weight`` with every patch applied, in order, in float32; a run of plain low-rank ones is a single product.

    With ``dtype`` bfloat16, what the result is for, nothing but plain low-rank patches are added in that type: one rounding more
    for the weight, in two thirds of the time.
    """
    if dtype == torch.bfloat16:
        deltas = [(delta, patch.strength) for patch in patches for delta in patch.adapter.deltas[target]]
        if all(isinstance(delta, LowRank) and delta.plain for delta, _ in deltas):
            cast = weight.to(dtype)
            return _add_low_rank(cast, deltas, ours=cast is not weight)  # type: ignore[arg-type]
    result = weight.to(torch.float32)
    ours = result is not weight  # a copy in float32 just made, a third faster to add to than to make another
    pending: list[tuple[LowRank, float]] = []
    for patch in patches:
        for delta in patch.adapter.deltas[target]:
            if isinstance(delta, LowRank) and delta.plain:
                pending.append((delta, patch.strength))
                continue
            result = delta.apply(_add_low_rank(result, pending, ours=ours), patch.strength)
            pending, ours = [], False
    return _add_low_rank(result, pending, ours=ours)


def rounded(weight: Tensor, patches: Sequence[Patch], target: str, compute: torch.dtype, dtype: torch.dtype) -> Tensor:
    """``patched``, computed in ``compute`` and rounded once to ``dtype``.

    What plain low-rank patches change is float32 for a few rows at a time only, in the cache. Whole, it is twice the result, and
    glibc finds no use for the hole it leaves: each aligned block is a little larger than the last of its size.
    """
    deltas = [(delta, patch.strength) for patch in patches for delta in patch.adapter.deltas[target]]
    if compute != torch.float32 or not all(isinstance(delta, LowRank) and delta.plain for delta, _ in deltas):
        return patched(weight, patches, target, compute).to(dtype)
    flat = weight.flatten(1)
    up, down = _factors(deltas, weight.device, torch.float32)  # type: ignore[arg-type]
    result, rows = torch.empty(flat.shape, dtype=dtype, device=weight.device), max(1, BLOCK // flat.shape[1])
    for first in range(0, flat.shape[0], rows):
        some = slice(first, first + rows)
        result[some] = flat[some].to(torch.float32, copy=True).addmm_(up[some], down)
    return result.reshape(weight.shape)


def _add_low_rank(weight: Tensor, deltas: Sequence[tuple[LowRank, float]], *, ours: bool) -> Tensor:
    """``weight`` with these added, in its own place if nobody else has it."""
    if not deltas:
        return weight
    flat, (up, down) = weight.flatten(1), _factors(deltas, weight.device, weight.dtype)
    return (flat.addmm_(up, down) if ours else torch.addmm(flat, up, down)).reshape(weight.shape)


def _factors(deltas: Sequence[tuple[LowRank, float]], device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Two matrices whose product is all these changes together."""
    up = _joined([delta.up for delta, _ in deltas], dim=1).to(device, torch.float32)
    down = _joined([delta.down for delta, _ in deltas], dim=0).to(device, dtype)
    scales = [strength * delta.scale for delta, strength in deltas for _ in range(delta.down.shape[0])]
    return (up * torch.tensor(scales, device=device)).to(dtype), down


def _joined(factors: Sequence[Tensor], dim: int) -> Tensor:
    """Matrices of all these, side by side or below each other; in their own type if they have but one."""
    flat = [factor.flatten(1) for factor in factors]
    return torch.cat(flat if len({one.dtype for one in flat}) == 1 else [one.to(torch.float32) for one in flat], dim)


@dataclass(frozen=True, eq=False)
class LowRank:
    """LoRA and LoCon: dW = up down alpha / rank, with ``mid`` the core of a Tucker-decomposed convolution; DoRA by ``dora``."""

    up: Tensor
    down: Tensor
    alpha: float | None = None
    mid: Tensor | None = None
    dora: Tensor | None = None

    @property
    def plain(self) -> bool:
        """Nothing but a product of two matrices."""
        return self.mid is None and self.dora is None

    @property
    def scale(self) -> float:
        return 1.0 if self.alpha is None else self.alpha / self.down.shape[0]

    def apply(self, weight: Tensor, strength: float) -> Tensor:
        up, down = (_float(t, weight).flatten(1) for t in (self.up, self.down))
        if self.mid is not None:
            mid = _float(self.mid, weight)
            down = torch.einsum("ri,rskl->sikl", _float(self.down, weight).flatten(1), mid.transpose(0, 1)).flatten(1)
        return _added(weight, (up @ down).reshape(weight.shape), strength, self.scale, self.dora)


@dataclass(frozen=True, eq=False)
class Hadamard:
    """LoHa: dW = (w1_a w1_b) * (w2_a w2_b) alpha / rank, each product with an optional Tucker core."""

    w1_a: Tensor
    w1_b: Tensor
    w2_a: Tensor
    w2_b: Tensor
    alpha: float | None = None
    t1: Tensor | None = None
    t2: Tensor | None = None
    dora: Tensor | None = None

    def apply(self, weight: Tensor, strength: float) -> Tensor:
        first = _tucker(self.t1, self.w1_a, self.w1_b, weight)
        second = _tucker(self.t2, self.w2_a, self.w2_b, weight)
        scale = 1.0 if self.alpha is None else self.alpha / self.w1_b.shape[0]
        return _added(weight, (first * second).reshape(weight.shape), strength, scale, self.dora)


@dataclass(frozen=True, eq=False)
class Kronecker:
    """LoKr: dW = kron(w1, w2), each whole or a product; scaled by alpha / rank if either is one."""

    w1: Tensor | tuple[Tensor, Tensor]
    w2: Tensor | tuple[Tensor, Tensor]
    t2: Tensor | None = None
    alpha: float | None = None
    dora: Tensor | None = None

    def apply(self, weight: Tensor, strength: float) -> Tensor:
        rank = None
        if isinstance(self.w1, tuple):
            rank = self.w1[1].shape[0]
            first = _float(self.w1[0], weight) @ _float(self.w1[1], weight)
        else:
            first = _float(self.w1, weight)
        if isinstance(self.w2, tuple):
            rank = self.w2[1].shape[0]
            second = _tucker(self.t2, *self.w2, weight)
        else:
            second = _float(self.w2, weight)
        first = first.reshape(*first.shape, *[1] * (second.ndim - first.ndim))
        scale = self.alpha / rank if self.alpha is not None and rank is not None else 1.0
        return _added(weight, torch.kron(first, second.contiguous()).reshape(weight.shape), strength, scale, self.dora)


@dataclass(frozen=True, eq=False)
class Glora:
    """GLoRA: dW = (W a2 a1 + b2 b1) alpha / rank; LyCORIS stores each pair in the other order."""

    a1: Tensor
    a2: Tensor
    b1: Tensor
    b2: Tensor
    alpha: float | None = None
    dora: Tensor | None = None
    bm: Tensor | None = None  # the core of b, of a Tucker-decomposed convolution

    @property
    def factors(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """a1 (r, I), a2 (I, r), b1 (r, I ...) and b2 (O, r), whichever way they are stored.

        Both ways fit where a layer is square; the rank is the smaller number then.
        """
        a1, a2, b1, b2 = (t.flatten(1).shape for t in (self.a1, self.a2, self.b1, self.b2))
        straight = b2[1] == b1[0] == a1[0] == a2[1]
        swapped = b1[1] == b2[0] == a2[0] == a1[1]
        if straight and not (swapped and a1[0] > a1[1]):
            return self.a1, self.a2, self.b1, self.b2
        return self.a2, self.a1, self.b2, self.b1

    def apply(self, weight: Tensor, strength: float) -> Tensor:
        a1, a2, b1, b2 = (_float(t, weight).flatten(1) for t in self.factors)
        rank = a1.shape[0]
        if weight.ndim > 2 and a2.shape[0] == weight.shape[1]:
            change = torch.einsum("oi...,ir,rj->oj...", weight, a2, a1)
        else:
            change = (weight.flatten(1) @ a2 @ a1).reshape(weight.shape)
        if self.bm is not None:
            added = torch.einsum("or,rs...,si->oi...", b2, _float(self.bm, weight), b1)
        else:
            added = (b2 @ b1).reshape(weight.shape)
        change = change + added
        return _added(weight, change, strength, 1.0 if self.alpha is None else self.alpha / rank, self.dora)


@dataclass(frozen=True, eq=False)
class Difference:
    """dW itself; a larger one (more input channels) widens the weight with zeros first."""

    value: Tensor

    def apply(self, weight: Tensor, strength: float) -> Tensor:
        value = _float(self.value, weight)
        if value.ndim == weight.ndim:
            missing = [new - old for new, old in zip(value.shape, weight.shape, strict=True)]
            if max(missing) > 0 and min(missing) >= 0:
                weight = F.pad(weight, [n for more in reversed(missing) for n in (0, more)])
        return weight + strength * value.reshape(weight.shape)


@dataclass(frozen=True, eq=False)
class Replace:
    """The weight is this one whatever it was; the strength does not matter."""

    value: Tensor

    def apply(self, weight: Tensor, strength: float) -> Tensor:
        return _float(self.value, weight).reshape(weight.shape)


@dataclass(frozen=True, eq=False)
class Scale:
    """IA3: rows (or with ``on_input`` columns) multiplied by 1 + strength * value."""

    value: Tensor
    on_input: bool = False

    def apply(self, weight: Tensor, strength: float) -> Tensor:
        factor = _float(self.value, weight).flatten()
        shape = (1, -1, *[1] * (weight.ndim - 2)) if self.on_input else (-1, *[1] * (weight.ndim - 1))
        return weight * (1.0 + strength * factor.reshape(shape))


@dataclass(frozen=True, eq=False)
class Merged:
    """base * W + (1 - base) ... of another model: (1 - strength) W + strength * value."""

    value: Tensor

    def apply(self, weight: Tensor, strength: float) -> Tensor:
        return torch.lerp(weight, _float(self.value, weight).reshape(weight.shape), strength)


@dataclass(frozen=True, eq=False)
class Towards:
    """Another model's weight as a change: dW = value - original, ``original`` being the weight before any patch."""

    value: Tensor
    original: Tensor

    def apply(self, weight: Tensor, strength: float) -> Tensor:
        change = _float(self.value, weight) - _float(self.original, weight)
        return torch.add(weight, change.reshape(weight.shape), alpha=strength)


@dataclass(frozen=True, eq=False)
class Rows:
    """A delta made for a fused weight (q, k and v in one), of which the network's own weight is rows ``first`` to ``end``."""

    delta: LowRank
    first: int
    end: int

    def apply(self, weight: Tensor, strength: float) -> Tensor:
        cut = LowRank(self.delta.up[self.first : self.end], self.delta.down, self.delta.alpha, self.delta.mid)
        return cut.apply(weight, strength)


def _float(tensor: Tensor, like: Tensor) -> Tensor:
    return tensor.to(like.device, torch.float32)


def _tucker(core: Tensor | None, a: Tensor, b: Tensor, like: Tensor) -> Tensor:
    a, b = _float(a, like), _float(b, like)
    if core is None:
        return a @ b
    return torch.einsum("ijkl,jr,ip->prkl", _float(core, like), b, a)


def _added(weight: Tensor, change: Tensor, strength: float, scale: float, dora: Tensor | None) -> Tensor:
    """W + strength scale dW; or, for DoRA, the way from W to the weight whose directions are W + dW and lengths ``dora``.

    As in ComfyUI, lengths over the output axis are those of W, lengths over the input axis those of W + dW.
    """
    if dora is None:
        return torch.add(weight, change, alpha=strength * scale)
    moved = weight + scale * change
    lengths = _float(dora, weight)
    rest = [1] * (weight.ndim - 1)
    if lengths.shape[0] == weight.shape[0]:
        norm = weight.flatten(1).norm(dim=1).reshape(-1, *rest)
        lengths = lengths.reshape(-1, *rest)
    else:
        norm = moved.transpose(0, 1).flatten(1).norm(dim=1).reshape(1, -1, *rest[1:])
        lengths = lengths.reshape(1, -1, *rest[1:])
    moved = moved * (lengths / (norm + torch.finfo(weight.dtype).eps))
    return torch.lerp(weight, moved, strength) if strength != 1.0 else moved
