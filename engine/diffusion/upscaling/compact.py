"""Real-ESRGAN's small network (SRVGGNetCompact): convolutions at the small size, pixels unfolded at the end.

https://github.com/xinntao/Real-ESRGAN, ``realesrgan/archs/srvgg_arch.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from engine.diffusion.parts import Tensors


@dataclass(frozen=True)
class CompactConfig:
    """The shape of the network."""

    channels: int
    width: int
    layers: int  # convolutions between the first and the last
    scale: int


class Compact(nn.Module):
    """(B, C, H, W) in 0..1 -> the same ``scale`` times as large: the picture enlarged plainly, plus what the network adds."""

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        self.scale = config.scale
        body: list[nn.Module] = [nn.Conv2d(config.channels, config.width, 3, 1, 1), nn.PReLU(config.width)]
        for _ in range(config.layers):
            body += [nn.Conv2d(config.width, config.width, 3, 1, 1), nn.PReLU(config.width)]
        self.body = nn.Sequential(*body, nn.Conv2d(config.width, config.channels * config.scale**2, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        added = F.pixel_shuffle(self.body(x), self.scale)
        return added + F.interpolate(x, scale_factor=self.scale, mode="nearest")


def read_config(tensors: Tensors) -> CompactConfig | None:
    """The configuration these names and shapes imply; None if they are no such network's."""
    first, slope = tensors.get("body.0.weight"), tensors.get("body.1.weight")
    if first is None or slope is None or first.ndim != 4 or slope.ndim != 1:
        return None
    last = max(int(name.split(".")[1]) for name in tensors if name.startswith("body."))
    width, channels = first.shape[:2]
    scale = round((tensors[f"body.{last}.weight"].shape[0] / channels) ** 0.5)
    return CompactConfig(channels, width, last // 2 - 1, scale)
