"""How much a network heeds each token of its text: a bias on the scores of attention, the log of a weight."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.diffusion.edits.places import hooked


def token_bias(mask: Tensor, tokens: int) -> Tensor:
    """(1, tokens): an "attention_mask" as places of the picture see it: as the text's first token does.

    ``mask`` is (..., T) and added to scores, or of whole numbers or booleans, 0 for a token not to be seen. Tokens beyond T
    are seen as they are.
    """
    row = mask.reshape(-1, mask.shape[-1])[:1, :tokens]
    if not row.is_floating_point():
        row = torch.zeros(row.shape, device=row.device).masked_fill(row == 0, -torch.inf)
    return F.pad(row.float(), (0, tokens - row.shape[1]))


@contextmanager
def biased(network: nn.Module, bias: Tensor | None) -> Iterator[None]:
    """``bias`` (B, T) on the scores of every attention to the text, for the calls made meanwhile; None is nothing."""
    with ExitStack() as stack:
        if bias is not None:
            added = bias[:, None]

            def add(layer: nn.Module, args: tuple[Any, ...], arguments: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
                return args, {**arguments, "attention_mask": added.to(args[0])}

            for name, module in network.named_modules():
                if name.endswith(".attn2"):
                    hooked(stack, module.register_forward_pre_hook(add, with_kwargs=True))
        yield
