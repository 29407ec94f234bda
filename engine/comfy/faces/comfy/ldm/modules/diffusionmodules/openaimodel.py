"""The UNet as packs ask for it: ours come from diffusers, and are what ``isinstance`` says they are."""

from __future__ import annotations

from typing import Any

from torch import nn

from engine.comfy.finder import missing

__getattr__ = missing(__name__)


class _Any(type):
    """Instances are the networks with the layout of a UNet."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, nn.Module) and hasattr(instance, "down_blocks") and hasattr(instance, "up_blocks")


class UNetModel(metaclass=_Any):
    """There to be asked for; nothing calls what is put into it."""


class TimestepBlock(nn.Module):
    """A base class for blocks that are told the timestep."""


class TimestepEmbedSequential(nn.Sequential, TimestepBlock):
    """Layers in a row; those that want the timestep embedding or the text get it."""

    def forward(self, input: Any, emb: Any = None, context: Any = None) -> Any:
        for layer in self:
            input = layer(input, emb) if isinstance(layer, TimestepBlock) else layer(input)
        return input
