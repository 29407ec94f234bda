"""A picture read beside the text: the attention of an IP-Adapter, added to that of every layer that reads text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.diffusion.edits.places import Call, EditError, attentions, heads, hooked, projected_out, watched
from engine.diffusion.families.family import repeat_to
from engine.diffusion.parts import Tensors

Blocks = Literal["all", "style", "layout", "style and layout"]

STYLE, LAYOUT = "up_blocks.0.attentions.1.", "down_blocks.2.attentions.1."
"""SDXL's blocks for the one and the other. Wang et al. 2024 (InstantStyle), https://arxiv.org/abs/2404.02733."""

WHERE: dict[str, tuple[str, ...]] = {"all": ("",), "style": (STYLE,), "layout": (LAYOUT,), "style and layout": (STYLE, LAYOUT)}


@dataclass(frozen=True, eq=False)
class ImagePrompt:
    """z + weight Attention(q, K picture, V picture), before the projection out. Ye et al. 2023, equation 5.

    ``tokens`` (b, T, D) are for the rows of a prompt, ``without`` (1, T, D) for those of a negative one. ``mask`` (b, H, W)
    says how much at each place of the picture.
    """

    attention: Tensors = field(repr=False)
    tokens: Tensor = field(repr=False)
    without: Tensor = field(repr=False)
    weight: float = 1.0
    first_timestep: float = 1e9
    last_timestep: float = -1.0
    mask: Tensor | None = None
    blocks: Blocks = "all"

    @contextmanager
    def __call__(self, network: nn.Module) -> Iterator[None]:
        with ExitStack() as stack:
            call = watched(stack, network)
            layers = list(attentions(network, "attn2"))
            chosen = [(number, layer) for number, (name, layer) in enumerate(layers) if name.startswith(WHERE[self.blocks])]
            if self.blocks != "all" and (not chosen or any(name.startswith("down_blocks.0.") for name, _ in layers)):
                raise EditError(f"blocks={self.blocks!r} is for SDXL, whose blocks for it are known; use 'all' on this model.")
            for number, layer in chosen:
                hooked(stack, layer.register_forward_hook(self._reader(call, layer, 2 * number + 1)))
            yield

    def _reader(self, call: Call, layer: Any, number: int) -> Callable[..., Tensor]:
        """The hook of one layer, with its weights cast once."""
        weights = [self.attention.get(f"{number}.to_{part}_ip.weight") for part in "kv"]
        if any(weight is None or weight.shape[0] != layer.to_q.out_features for weight in weights):
            raise EditError("this IP-Adapter is for another base model: its layers do not fit. Choose one made for this family.")
        known: dict[tuple[Any, ...], tuple[Tensor, Tensor]] = {}

        def read(module: Any, args: tuple[Any, ...], output: Tensor) -> Tensor:
            if not self.last_timestep <= call.timestep <= self.first_timestep or self.weight == 0:
                return output
            x = args[0]
            places = (x.shape[0], call.places, x.dtype)
            if places not in known:
                tokens = self._rows(x.shape[0], call).to(x)
                known.clear()
                key, value = (heads(F.linear(tokens, weight.to(x)), module.heads) for weight in weights if weight is not None)
                known[places] = key, value
            key, value = known[places]
            seen = F.scaled_dot_product_attention(heads(module.to_q(x), module.heads), key, value).transpose(1, 2).flatten(2)
            seen = seen * self._strength(x, call)
            bias = projected_out(module, torch.zeros_like(seen[:1, :1]))
            return output + (projected_out(module, seen) - bias)

        return read

    def _rows(self, rows: int, call: Call) -> Tensor:
        """The tokens each row reads: pictures' in the rows of prompts, none's in those of a negative."""
        names = [name for name, _ in call.places] or ["positive"]
        each = rows // len(names)
        with_ = repeat_to(self.tokens, each)
        return torch.cat([self.without.expand(each, -1, -1) if name in ("negative", "empty") else with_ for name in names])

    def _strength(self, x: Tensor, call: Call) -> Tensor | float:
        grid = call.grid(x.shape[1])
        if self.mask is None or grid is None:
            return self.weight
        mask = self.mask.reshape(-1, 1, *self.mask.shape[-2:]).to(x)
        boxes = [box for _, box in call.places] or [None]
        each = x.shape[0] // len(boxes)
        return torch.cat([repeat_to(self._seen(mask, box, call, grid[1:]), each) for box in boxes]) * self.weight

    def _seen(self, mask: Tensor, box: tuple[int, ...] | None, call: Call, size: tuple[int, int]) -> Tensor:
        """(b, T, 1): the mask at the places of a layer, where only a box of the picture is drawn that of the box."""
        if box is not None:
            mask = F.interpolate(mask, size=call.whole[-2:], mode="bilinear", antialias=True)
            height, width, top, left = *box[-4:-2], *box[-2:]
            mask = mask[..., top : top + height, left : left + width]
        return F.interpolate(mask, size=size, mode="bilinear", antialias=True).flatten(2).transpose(1, 2)
