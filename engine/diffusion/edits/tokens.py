"""Self-attention over fewer places: in tiles (HyperTile), or with like places merged (ToMe)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from engine.diffusion.edits.places import Call, attentions, hooked, watched

if TYPE_CHECKING:
    from engine.diffusion.model import Edit

Way = Callable[[Tensor], Tensor]


def hypertile(tile_size: int = 256, swap_size: int = 2, max_depth: int = 0, scale_depth: bool = False) -> Edit:
    """Self-attention within tiles of at least ``tile_size`` pixels, on levels down to ``max_depth``.

    How many tiles there are is drawn among the ``swap_size`` largest counts, so that no seam stays where it is.
    tfernd/HyperTile, https://github.com/tfernd/HyperTile.
    """
    least = max(32, tile_size) // 8

    def ways(call: Call, tokens: Tensor) -> tuple[Way, Way] | None:
        grid = call.grid(tokens.shape[1])
        if grid is None or grid[0] > max_depth:
            return None
        level, height, width = grid
        smallest = least * (2**level if scale_depth else 1)
        random = call.generator(level, height, width)
        down, across = (_count(length, smallest, swap_size, random) for length in (height, width))
        if down * across == 1:
            return None
        tile = (height // down, width // across)
        return (lambda x: _cut(x, down, across, *tile)), (lambda x: _joined(x, down, across, *tile))

    return _around(ways)


def _count(length: int, least: int, options: int, random: torch.Generator) -> int:
    """Into how many equal parts of at least ``least`` to cut ``length``: one of the largest ``options`` counts."""
    parts = [length // size for size in range(min(least, length), length + 1) if length % size == 0][:options]
    return parts[int(torch.randint(len(parts), (1,), generator=random))]


def _cut(x: Tensor, down: int, across: int, height: int, width: int) -> Tensor:
    """(B, T, C) as (B * tiles, places of a tile, C)."""
    x = x.reshape(x.shape[0], down, height, across, width, -1)
    return x.transpose(2, 3).reshape(-1, height * width, x.shape[-1])


def _joined(x: Tensor, down: int, across: int, height: int, width: int) -> Tensor:
    x = x.reshape(-1, down, across, height, width, x.shape[-1])
    return x.transpose(2, 3).reshape(x.shape[0], -1, x.shape[-1])


def token_merging(ratio: float = 0.3, max_level: int = 0) -> Edit:
    """A share of the places merged with their likeliest neighbours before self-attention, and given its result after it.

    Of each 2 x 2 cell one place stays; of the others the ``ratio`` (of all places) most like one that stays are averaged
    into it. Bolya & Hoffman 2023, https://arxiv.org/abs/2303.17604.
    """

    def ways(call: Call, tokens: Tensor) -> tuple[Way, Way] | None:
        grid = call.grid(tokens.shape[1])
        if ratio <= 0 or grid is None or grid[0] > max_level or min(grid[1:]) < 2:
            return None
        return _matching(tokens, grid[1], grid[2], ratio, call.generator(*grid))

    return _around(ways)


def _matching(tokens: Tensor, height: int, width: int, ratio: float, random: torch.Generator) -> tuple[Way, Way]:
    """How to merge tokens (B, T, C) to (B, T - r, C), and how to go back."""
    number = tokens.shape[1]
    stays = _staying(height, width, random).to(tokens.device)
    order = torch.cat([stays.nonzero().flatten(), (~stays).nonzero().flatten()])
    kept, r = int(stays.sum()), min(int(number * ratio), number - int(stays.sum()))
    unit = torch.nn.functional.normalize(tokens[:, order].float(), dim=-1)
    best, target = (unit[:, kept:] @ unit[:, :kept].transpose(1, 2)).max(-1)
    ranked = best.argsort(-1, descending=True)
    merged, lone = ranked[:, :r], ranked[:, r:]
    target = target.gather(1, merged)

    def at(x: Tensor, index: Tensor) -> Tensor:
        return x.gather(1, index[..., None].expand(-1, -1, x.shape[-1]))

    def merge(x: Tensor) -> Tensor:
        whole, rest = x[:, order][:, :kept], x[:, order][:, kept:]
        index = target[..., None].expand(-1, -1, x.shape[-1])
        mean = whole.scatter_reduce(1, index, at(rest, merged), "mean", include_self=True)
        return torch.cat([mean, at(rest, lone)], dim=1)

    def unmerge(x: Tensor) -> Tensor:
        whole, alone = x[:, :kept], x[:, kept:]
        rest = torch.empty(x.shape[0], number - kept, x.shape[-1], dtype=x.dtype, device=x.device)
        rest.scatter_(1, lone[..., None].expand_as(alone), alone)
        back = at(whole, target)
        rest.scatter_(1, merged[..., None].expand_as(back), back)
        return torch.cat([whole, rest], dim=1)[:, order.argsort()]

    return merge, unmerge


def _staying(height: int, width: int, random: torch.Generator) -> Tensor:
    """(T,) bool: one random place of each 2 x 2 cell; a last odd row or column does not stay."""
    down, across = height // 2, width // 2
    pick = torch.randint(4, (down, across), generator=random)
    cells = torch.nn.functional.one_hot(pick, 4).bool().reshape(down, across, 2, 2).transpose(1, 2)
    stays = torch.zeros(height, width, dtype=torch.bool)
    stays[: 2 * down, : 2 * across] = cells.reshape(2 * down, 2 * across)
    return stays.flatten()


def _around(ways: Callable[[Call, Tensor], tuple[Way, Way] | None]) -> Edit:
    """An edit that changes what goes into every self-attention, and what comes out, by the two ways of that layer and moment."""

    @contextmanager
    def edit(network: nn.Module) -> Iterator[None]:
        with ExitStack() as stack:
            call = watched(stack, network)
            backs: dict[int, Way] = {}

            def before(layer: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
                pair = ways(call, args[0])
                if pair is None:
                    return None
                backs[id(layer)] = pair[1]
                return pair[0](args[0]), *args[1:]

            def after(layer: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
                back = backs.pop(id(layer), None)
                return output if back is None else back(output)

            for _, layer in attentions(network, "attn1"):
                hooked(stack, layer.register_forward_pre_hook(before), layer.register_forward_hook(after))
            yield

    return edit
