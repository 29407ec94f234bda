"""Work on a large picture tile by tile and put the results together without seams."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor


def starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles of ``tile`` begin so that they cover ``length`` and neighbours share at least ``overlap``; even spread."""
    if length <= tile:
        return [0]
    step = max(1, tile - overlap)
    count = -(-(length - tile) // step) + 1
    return [round(i * (length - tile) / (count - 1)) for i in range(count)]


def ramp(first: int, last: int, length: int, overlap: int) -> Tensor:
    """Weights (last - first,) of a tile's cells: 1, falling linearly over ``overlap`` towards sides that have a neighbour."""
    cells = torch.arange(last - first, dtype=torch.float32) + 1
    left = cells / (overlap + 1) if first > 0 else torch.ones_like(cells)
    right = cells.flip(0) / (overlap + 1) if last < length else torch.ones_like(cells)
    return torch.minimum(left, right).clamp(max=1)


def boxes(height: int, width: int, tile: int, overlap: int, up: int = 1) -> Iterator[tuple[slice, slice, Tensor]]:
    """Row slice, column slice and blending weights (h * up, w * up) of every tile: smooth in the enlarged result, too."""
    for top in starts(height, tile, overlap):
        for left in starts(width, tile, overlap):
            bottom, right = min(top + tile, height), min(left + tile, width)
            down = ramp(top * up, bottom * up, height * up, overlap * up)
            weights = down[:, None] * ramp(left * up, right * up, width * up, overlap * up)[None]
            yield slice(top, bottom), slice(left, right), weights


OnTile = Callable[[int, int], None]
"""(done, total) after each tile; may raise to cancel."""


def silent(done: int, total: int) -> None:
    """Report nothing."""


def tiled(
    function: Callable[[Tensor], Tensor],
    x: Tensor,
    tile: int,
    overlap: int,
    up: int = 1,
    down: int = 1,
    on_tile: OnTile = silent,
) -> Tensor:
    """``function`` (which enlarges by ``up`` or shrinks by ``down``) of ``x`` (B, C, H, W), ``tile`` cells of it at a time.

    Where tiles overlap their results are averaged with weights that fall to the tile's edge. ``tile`` and ``overlap``
    must be multiples of ``down``.
    """
    height, width = x.shape[-2] * up // down, x.shape[-1] * up // down
    total: Tensor | None = None
    norm = torch.zeros(height, width)
    places = list(boxes(x.shape[-2] // down, x.shape[-1] // down, tile // down, overlap // down, up))
    for i, (rows, columns, weights) in enumerate(places):
        piece = function(x[..., rows.start * down : rows.stop * down, columns.start * down : columns.stop * down]).float()
        if total is None:
            total = piece.new_zeros(*piece.shape[:-2], height, width)
        place = slice(rows.start * up, rows.stop * up), slice(columns.start * up, columns.stop * up)
        total[(..., *place)] += piece * weights.to(piece.device)
        norm[place] += weights
        on_tile(i + 1, len(places))
    assert total is not None
    return total / norm.to(total.device)
