"""Attention patches of packs on a diffusers UNet: blocks are known to them by the original layout's numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.comfy.blocks import patch_blocks
from engine.diffusion.edits.places import Call, processed, watched

PLACE = re.compile(r"(down_blocks|mid_block|up_blocks)\.(?:(\d+)\.)?attentions\.(\d+)\.transformer_blocks\.(\d+)\.(attn[12])$")


@dataclass(frozen=True)
class Place:
    """Where an attention layer is: ("input", 4), the how-manieth of its transformer, and which of the two it is."""

    block: tuple[str, int]
    index: int
    layer: str


def places(network: nn.Module) -> dict[str, Place]:
    """Every attention layer by its name in the network."""
    down = len(getattr(network, "down_blocks", ())) and len(network.down_blocks[0].resnets)  # type: ignore[index, union-attr]
    found = {}
    for name, _ in network.named_modules():
        if at := PLACE.search(name):
            side, level, position, index, layer = at.groups()
            if side == "down_blocks":
                block = ("input", 1 + int(level) * (down + 1) + int(position))
            elif side == "up_blocks":
                block = ("output", int(level) * (down + 1) + int(position))
            else:
                block = ("middle", int(position))
            found[name] = Place(block, int(index), layer)
    return found


ATTENTION = ("attn1_patch", "attn2_patch", "attn1_output_patch", "attn2_output_patch")


@contextmanager
def patched(network: nn.Module, options: Mapping[str, Any], sampling: Any = None, sigmas: Any = None) -> Iterator[None]:
    """The network with its blocks and attention layers going through the patches in ``options``; afterwards it is as before.

    ``sampling`` tells the sigma of a timestep, ``sigmas`` are those of the run: patches are told both.
    """
    with ExitStack() as stack:
        told = Told(options, watched(stack, network), sampling, sigmas)
        patch_blocks(stack, network, options, told)
        if options.get("patches_replace") or any(options.get("patches", {}).get(name) for name in ATTENTION):
            layers = dict(network.named_modules())
            for name, place in places(network).items():
                stack.enter_context(processed(layers[name], lambda before, place=place: Processor(place, options, told)))  # type: ignore[misc]
        yield


@dataclass(frozen=True)
class Told:
    """What a patch is told of the call it is in."""

    options: Mapping[str, Any]
    call: Call
    sampling: Any
    sigmas: Any

    def __call__(self, rows: Tensor) -> dict[str, Any]:
        names = [name for name, _ in self.call.places]
        said = {
            **self.options, "cond_or_uncond": [int(name == "negative") for name in names] or [0],
            "original_shape": [len(rows), 4, self.call.height, self.call.width], "activations_shape": list(rows.shape),
        }  # fmt: skip
        if self.sampling is not None:
            timestep = torch.tensor(self.call.timestep)
            said["sigmas"] = self.sampling.sigma(timestep).to(rows.device, torch.float32).expand(len(rows))
        if self.sigmas is not None:
            said["sample_sigmas"] = self.sigmas
        return said


class Processor:
    """One attention layer, computed as packs expect to find it."""

    def __init__(self, place: Place, options: Mapping[str, Any], told: Told) -> None:
        self.place, self.options, self.told = place, options, told

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None, **_: Any,
    ) -> Tensor:  # fmt: skip
        extra = self.extra(attn, hidden_states)
        n: Any = hidden_states
        layer = self.place.layer
        context = n if encoder_hidden_states is None else encoder_hidden_states
        value = context
        for patch in self.patches(f"{layer}_patch"):
            n, context, value = patch(n, context, value, extra)
        q, k, v = attn.to_q(n), attn.to_k(context), attn.to_v(value)
        replacing = self.replacement()
        out = replacing(q, k, v, extra) if replacing else attend(q, k, v, attn.heads, attention_mask)
        out = attn.to_out[1](attn.to_out[0](out))
        for patch in self.patches(f"{layer}_output_patch"):
            out = patch(out, extra)
        result: Tensor = out
        return result

    def patches(self, name: str) -> list[Callable[..., Any]]:
        return list(self.options.get("patches", {}).get(name, ()))

    def replacement(self) -> Callable[..., Any] | None:
        known = self.options.get("patches_replace", {}).get(self.place.layer, {})
        found: Callable[..., Any] | None = known.get((*self.place.block, self.place.index)) or known.get(self.place.block)
        return found

    def extra(self, attn: Any, n: Tensor) -> dict[str, Any]:
        return {
            **self.told(n), "block": self.place.block, "block_index": self.place.index, "n_heads": attn.heads,
            "dim_head": attn.to_q.out_features // attn.heads,
        }  # fmt: skip


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int, mask: Tensor | None = None) -> Tensor:
    """Attention of (B, T, heads x D)."""
    q, k, v = (t.reshape(*t.shape[:2], heads, -1).transpose(1, 2) for t in (q, k, v))
    if mask is not None:
        mask = mask.to(q) if mask.dtype != torch.bool else mask
        mask = mask.reshape(*[1] * (4 - mask.ndim), *mask.shape) if mask.ndim < 3 else mask
        mask = mask.unsqueeze(1) if mask.ndim == 3 else mask
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)
