"""A LoRA out of the difference of two models: what ModelMergeSubtract gives, made small."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from engine.diffusion.clip import Clip
from engine.diffusion.model import Model
from engine.diffusion.parts import Part
from engine.diffusion.patches import Patch, patched, touching

Report = Callable[[int, int], None]


def silent(done: int, total: int) -> None:
    """Report nothing."""


def extract(
    difference: Model | None,
    text: Clip | None,
    rank: int,
    *,
    full: bool = False,
    bias: bool = True,
    report: Report = silent,
) -> dict[str, Tensor]:
    """The LoRA (float16) of all the patches of ``difference`` and ``text`` make: their weights are the change.

    Names are kohya's: for SDXL those of the original network. Matrices and kernels become the best product of ``rank``, or are
    kept whole if ``full``; biases and norms are kept whole if ``bias``.
    """
    places: list[tuple[str, Part, tuple[Patch, ...], bool]] = []
    if difference is not None:
        places.append(("lora_unet", difference.part, difference.patches, difference.family.name.startswith("sdxl")))
    if text is not None:
        alone = len(text.parts) == 1
        names = [f"lora_te{'' if alone else i + 1}" for i in range(len(text.parts))]
        places += [(name, part, text.patches, False) for name, part in zip(names, text.parts, strict=True)]
    changes = [change for place in places for change in _changes(*place)]
    if not changes:
        raise ValueError("there is no difference to extract: connect what ModelMergeSubtract or CLIPMergeSubtract gives")
    found: dict[str, Tensor] = {}
    for i, (name, target, change) in enumerate(changes):
        found |= dict(_entries(name, target, change(), rank, full, bias))
        report(i + 1, len(changes))
    return found


def _changes(
    prefix: str, part: Part, patches: tuple[Patch, ...], original: bool
) -> Iterator[tuple[str, str, Callable[[], Tensor]]]:
    """The module's name in the LoRA, the weight's in the network, and what computes the patched weight."""
    own = [patch for patch in patches if patch.adapter.role == part.role]
    weights = part.weights()
    for row in part.keymap:
        mine = touching(own, row.target)
        if mine:
            module = (row.source if original else row.target).rpartition(".")[0].replace(".", "_")
            weight = weights[row.target]
            yield f"{prefix}_{module}", row.target, lambda w=weight, p=mine, t=row.target: patched(w, p, t)  # type: ignore[misc]


def _entries(name: str, target: str, change: Tensor, rank: int, full: bool, bias: bool) -> Iterator[tuple[str, Tensor]]:
    """What stands in the file for one weight's change."""
    if target.endswith(".bias"):
        if bias:
            yield f"{name}.diff_b", change.half()
    elif full or change.ndim < 2:
        if bias or change.ndim >= 2:
            yield f"{name}.diff", change.half()
    else:
        up, down = low_rank(change.flatten(1), rank)
        ranks = down.shape[0]
        yield f"{name}.lora_up.weight", up.reshape(-1, ranks, *[1] * (change.ndim - 2)).half().contiguous()
        yield f"{name}.lora_down.weight", down.reshape(ranks, *change.shape[1:]).half().contiguous()
        yield f"{name}.alpha", torch.tensor(float(ranks))


def low_rank(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """(O, r) and (r, I) whose product is nearest to ``matrix`` (O, I).

    By a randomized decomposition with a seed of its own (Halko et al. 2009, https://arxiv.org/abs/0909.4061): a full one of a
    large matrix takes seconds, and no more of it is wanted than a few directions.
    """
    rank = min(rank, *matrix.shape)
    if min(matrix.shape) <= 4 * rank:
        u, s, vh = torch.linalg.svd(matrix, full_matrices=False)
        v = vh.T
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            u, s, v = torch.svd_lowrank(matrix, q=rank + 8, niter=4)
    root = s[:rank].sqrt()
    return u[:, :rank] * root, root[:, None] * v[:, :rank].T
