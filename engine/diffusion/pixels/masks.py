"""Masks: (B, H, W) float32 in 0..1, 1 where something is to happen."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def batched(mask: Tensor) -> Tensor:
    """The mask as (B, H, W), whatever leading dimensions it came with."""
    return mask.reshape(-1, mask.shape[-2], mask.shape[-1])


def resize_mask(mask: Tensor, width: int, height: int, mode: str = "bilinear") -> Tensor:
    """A mask (B, H, W) at (height, width)."""
    return F.interpolate(batched(mask).unsqueeze(1), size=(height, width), mode=mode).squeeze(1)


def grow(mask: Tensor, pixels: int, tapered_corners: bool) -> Tensor:
    """Grey dilation (``pixels`` > 0) or erosion (< 0), one pixel at a time with a 3x3 square, or a cross if ``tapered_corners``.

    Outside the picture counts as the nearest pixel, so erosion does not eat in from the border.
    """
    x = batched(mask).float().unsqueeze(1)
    sign = 1.0 if pixels > 0 else -1.0
    x = x * sign
    for _ in range(abs(pixels)):
        padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
        rows = padded[:, :, 1:-1]
        if tapered_corners:
            across = F.max_pool2d(rows, (1, 3), stride=1)
            down = F.max_pool2d(padded[:, :, :, 1:-1], (3, 1), stride=1)
            x = torch.maximum(across, down)
        else:
            x = F.max_pool2d(padded, 3, stride=1)
    return (x * sign).squeeze(1)


def feather(mask: Tensor, left: int, top: int, right: int, bottom: int) -> Tensor:
    """Fade each border to nothing over so many pixels, linearly; corners get the product of both ramps."""
    out = batched(mask).clone()
    height, width = out.shape[-2:]
    for size, length, along, from_end in (
        (left, width, 2, False),
        (right, width, 2, True),
        (top, height, 1, False),
        (bottom, height, 1, True),
    ):
        n = min(size, length)
        if n == 0:
            continue
        ramp = (torch.arange(n, dtype=out.dtype, device=out.device) + 1) / n
        ramp = ramp.view(-1, 1) if along == 1 else ramp
        if from_end:
            out.narrow(along, length - n, n).mul_(ramp.flip(0))
        else:
            out.narrow(along, 0, n).mul_(ramp)
    return out


COMBINE_OPERATIONS = ("multiply", "add", "subtract", "and", "or", "xor")


def combine(destination: Tensor, source: Tensor, x: int, y: int, operation: str) -> Tensor:
    """``source`` laid over ``destination`` at (x, y); what sticks out is cut off, the result clamped to 0..1."""
    out = batched(destination).clone()
    over = batched(source)
    width, height = min(x + over.shape[-1], out.shape[-1]) - x, min(y + over.shape[-2], out.shape[-2]) - y
    if width <= 0 or height <= 0:
        return out
    under = out[:, y : y + height, x : x + width]
    over = over[:, :height, :width]
    results = {
        "multiply": lambda: under * over,
        "add": lambda: under + over,
        "subtract": lambda: under - over,
        "and": lambda: (under.round().bool() & over.round().bool()).float(),
        "or": lambda: (under.round().bool() | over.round().bool()).float(),
        "xor": lambda: (under.round().bool() ^ over.round().bool()).float(),
    }
    out[:, y : y + height, x : x + width] = results[operation]()
    return out.clamp(0.0, 1.0)


def from_colour(image: Tensor, colour: int) -> Tensor:
    """1 where the 8-bit pixel equals ``colour`` (0xRRGGBB); ``image`` is (B, H, W, C)."""
    rgb = (image[..., :3].clamp(0, 1) * 255.0).round().to(torch.int64)
    packed = (rgb[..., 0] << 16) + (rgb[..., 1] << 8) + rgb[..., 2]
    return (packed == colour).float()


def as_image(mask: Tensor) -> Tensor:
    """The mask as a grey picture (B, H, W, 3)."""
    return batched(mask).unsqueeze(-1).expand(-1, -1, -1, 3)


CHANNELS = ("red", "green", "blue", "alpha")


def from_channel(image: Tensor, channel: str) -> Tensor:
    """One channel of (B, H, W, C) as a mask."""
    i = CHANNELS.index(channel)
    if i >= image.shape[-1]:
        has = ", ".join(CHANNELS[: image.shape[-1]])
        raise ValueError(f"the picture has no {channel} channel; choose one of {has}")
    return image[..., i]
