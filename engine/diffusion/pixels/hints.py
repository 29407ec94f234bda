"""Pictures as ControlNets for tiles, colours and inpainting were shown them, (B, H, W, 3) in 0..1 unless said otherwise."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.diffusion.families.family import repeat_to
from engine.diffusion.pixels.lines import grey
from engine.diffusion.pixels.resize import resize


def tile(images: Tensor, times: int = 4) -> Tensor:
    """The picture without what is finer than ``times`` pixels: averaged over squares and enlarged again, smoothly."""
    height, width = images.shape[1:3]
    x = images[..., :3].movedim(-1, 1)
    small = F.interpolate(x, size=(max(1, -(-height // times)), max(1, -(-width // times))), mode="area")
    return resize(small, width, height, "bicubic").clamp(0, 1).movedim(1, -1).contiguous()


def palette(images: Tensor, cell: int = 64) -> Tensor:
    """Squares of ``cell`` pixels in their mean colour."""
    height, width = images.shape[1:3]
    x = images[..., :3].movedim(-1, 1)
    down, across = -(-height // cell), -(-width // cell)
    padded = F.pad(x, (0, across * cell - width, 0, down * cell - height))
    covered = F.pad(torch.ones_like(x[:, :1]), (0, across * cell - width, 0, down * cell - height))
    mean = F.avg_pool2d(padded, cell) / F.avg_pool2d(covered, cell)
    squares = mean.repeat_interleave(cell, 2).repeat_interleave(cell, 3)
    return squares[..., :height, :width].movedim(1, -1).contiguous()


def colourless(images: Tensor, by: Literal["brightness", "intensity"] = "brightness", gamma: float = 1.0) -> Tensor:
    """What a recolouring ControlNet gets: ``brightness`` as the eye sees it (BT.601) or ``intensity``, half of the brightest
    and the darkest colour (HSL's lightness), to the power of ``gamma``."""
    x = images[..., :3]
    value = grey(x).movedim(1, -1) if by == "brightness" else (x.amax(-1, keepdim=True) + x.amin(-1, keepdim=True)) / 2
    return value.clamp(0, 1).pow(gamma).expand(-1, -1, -1, 3).contiguous()


def with_hole(images: Tensor, mask: Tensor, black: bool = False) -> Tensor:
    """The picture with -1, as inpainting ControlNets were trained, or with black where ``mask`` (b, H, W) is over a half."""
    x = images[..., :3].movedim(-1, 1)
    hole = F.interpolate(mask.reshape(-1, 1, *mask.shape[-2:]).to(x), size=x.shape[-2:], mode="bilinear") > 0.5
    number = max(len(hole), len(x))
    return torch.where(repeat_to(hole, number), 0.0 if black else -1.0, repeat_to(x, number)).movedim(1, -1).contiguous()
