"""Stable Zero123: an object seen from another side; Stable Diffusion 1 that sees a picture and how the camera moves.

https://github.com/cvlab-columbia/zero123; Liu et al. 2023, https://arxiv.org/abs/2303.11328.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from engine.diffusion.families import unet
from engine.diffusion.families.family import Defaults, Inputs
from engine.diffusion.families.sd1 import SD1
from engine.diffusion.parts import KeyMap, Tensors

PROJECTION = "cc_projection."


@dataclass(frozen=True)
class Zero123(SD1):
    """Bound to one file's UNet and to the matrix that turns (picture, camera) into its context."""

    weight: Tensor | None = field(default=None, compare=False)  # (context, context + 4)
    bias: Tensor | None = field(default=None, compare=False)

    name: ClassVar[str] = "zero123"
    title: ClassVar[str] = "Stable Zero123"

    @classmethod
    def recognise(cls, tensors: Tensors, loose: Tensors, metadata: Mapping[str, str]) -> Self | None:
        config = unet.read_config(tensors)
        weight, bias = loose.get(PROJECTION + "weight"), loose.get(PROJECTION + "bias")
        if config is None or config.in_channels != 2 * config.out_channels or weight is None or bias is None:
            return None
        return cls(config, weight=weight, bias=bias)

    @property
    def defaults(self) -> Defaults:
        return Defaults(steps=20, cfg=4.0, width=256, height=256)

    @property
    def text(self) -> str:
        return "none"

    def keymap(self, names: Iterable[str]) -> KeyMap:
        return unet.rename(names, unet.modules(self.config))

    def flags(self) -> dict[str, Tensor]:
        assert self.weight is not None
        assert self.bias is not None
        return {PROJECTION + "weight": self.weight, PROJECTION + "bias": self.bias}

    def condition(self, tensor: Tensor, options: Mapping[str, Any], x: Tensor, *, negative: bool = False) -> Inputs:
        """``tensor`` (b, 1, context + 4) is the picture's embedding with the camera's four numbers after it."""
        assert self.weight is not None
        assert self.bias is not None
        if tensor.shape[-1] == self.weight.shape[1]:
            tensor = torch.nn.functional.linear(tensor.float().cpu(), self.weight.float(), self.bias.float())
        return super().condition(tensor, options, x, negative=negative)
