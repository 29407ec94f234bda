"""Real-ESRGAN's compact networks: a plain stack of convolutions at the small size, unfolded at the end.

"SRVGGNetCompact", Wang et al. 2021, https://arxiv.org/abs/2107.10833.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.diffusion.parts import Part, Tensors, straight
from engine.diffusion.upscalers.architecture import Found


class Compact(nn.Module):
    """(B, C, H, W) -> (B, C, scale H, scale W): what the stack says is added to the enlarged input."""

    def __init__(self, colours: int, features: int, convolutions: int, scale: int) -> None:
        super().__init__()
        self.scale = scale
        layers: list[nn.Module] = [nn.Conv2d(colours, features, 3, padding=1), nn.PReLU(features)]
        for _ in range(convolutions):
            layers += [nn.Conv2d(features, features, 3, padding=1), nn.PReLU(features)]
        self.body = nn.Sequential(*layers, nn.Conv2d(features, colours * scale * scale, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.body(x), self.scale) + F.interpolate(x, scale_factor=float(self.scale), mode="nearest")


def recognise(tensors: Tensors) -> Found | None:
    """The network of a file of this build, else None."""
    numbers = sorted({int(name.split(".")[1]) for name in tensors if name.startswith("body.") and name.count(".") == 2})
    if not numbers or numbers[-1] < 2 or "body.1.weight" not in tensors or tensors["body.1.weight"].ndim != 1:
        return None
    features, colours = tensors["body.0.weight"].shape[:2]
    scale = math.isqrt(tensors[f"body.{numbers[-1]}.weight"].shape[0] // colours)

    def build() -> nn.Module:
        with torch.device("meta"):
            return Compact(colours, features, (numbers[-1] - 2) // 2, scale)

    if build().state_dict().keys() != tensors.keys():
        return None
    return Found(Part("upscaler", build, straight(tensors), tensors), scale)
