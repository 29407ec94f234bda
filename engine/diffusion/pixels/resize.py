"""Resizing of (B, C, H, W) tensors by the methods users know by name."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image as PILImage
from torch import Tensor

Bytes = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def resize(x: Tensor, width: int, height: int, method: str, crop: str = "disabled") -> Tensor:
    """``x`` (B, C, H, W) or (B, C, T, H, W) at (height, width).

    ``method``: nearest-exact, bilinear, area, bicubic (torch's interpolation without antialiasing, half-pixel centres),
    lanczos (PIL on 8-bit values, 1-4 channels) or bislerp (for latents: directions on the sphere, lengths linearly).
    ``crop`` "center" first cuts the sides that exceed the new aspect ratio.
    """
    if x.ndim == 5:
        frames = x.movedim(2, 1).flatten(0, 1)
        resized = resize(frames, width, height, method, crop)
        return resized.view(x.shape[0], x.shape[2], *resized.shape[1:]).movedim(1, 2)
    if crop == "center":
        x = _crop_to_aspect(x, width, height)
    if method == "bislerp":
        return bislerp(x, width, height)
    if method == "lanczos":
        return lanczos(x, width, height)
    return F.interpolate(x, size=(height, width), mode=method)


def _crop_to_aspect(x: Tensor, width: int, height: int) -> Tensor:
    old_height, old_width = x.shape[-2:]
    left = top = 0
    if old_width / old_height > width / height:
        left = round((old_width - old_width * (width / height) / (old_width / old_height)) / 2)
    else:
        top = round((old_height - old_height * (old_width / old_height) / (width / height)) / 2)
    return x[..., top : old_height - top, left : old_width - left]


def lanczos(x: Tensor, width: int, height: int) -> Tensor:
    """PIL's Lanczos filter on 8-bit values; ``x`` is (B, C, H, W) in 0..1 with 1 to 4 channels."""
    modes = {1: "L", 3: "RGB", 4: "RGBA"}
    channels = x.shape[1]
    if channels not in modes:
        raise ValueError(f"lanczos resizes pictures of 1, 3 or 4 channels, but got {channels}; for latents use bislerp")
    resized = []
    for pixels in to_bytes(x.movedim(1, -1)):
        picture = PILImage.fromarray(pixels.squeeze(-1) if channels == 1 else pixels, modes[channels])
        array = np.asarray(picture.resize((width, height), PILImage.Resampling.LANCZOS), dtype=np.float32) / 255.0
        resized.append(torch.from_numpy(array.reshape(height, width, channels)))
    return torch.stack(resized).movedim(-1, 1).to(x.device, x.dtype)


def to_bytes(images: Tensor) -> Bytes:
    """(..., C) floats in 0..1 as 8-bit numbers; truncates like ComfyUI's SaveImage, so files are byte-equal."""
    array: Bytes = np.clip(255.0 * images.cpu().float().numpy(), 0, 255).astype(np.uint8)
    return array


def _neighbours(old: int, new: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """For each new position: the two old ones around it and the weight of the second."""
    position = torch.arange(old, dtype=torch.float32, device=device).view(1, 1, 1, -1)
    lower = F.interpolate(position, size=(1, new), mode="bilinear")
    above = position + 1
    above[..., -1] -= 1
    upper = F.interpolate(above, size=(1, new), mode="bilinear")
    return lower.flatten().long(), upper.flatten().long(), (lower - lower.floor()).flatten()


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """From ``a`` to ``b``, both (N, C), by ``t`` (N, 1): directions along the great circle, lengths linearly.

    Shoemake 1985, "Animating rotation with quaternion curves". Parallel vectors give ``a``, opposite ones the straight line.
    """
    norm_a, norm_b = a.norm(dim=-1, keepdim=True), b.norm(dim=-1, keepdim=True)
    unit_a, unit_b = torch.nan_to_num(a / norm_a), torch.nan_to_num(b / norm_b)
    dot = (unit_a * unit_b).sum(-1, keepdim=True)
    omega = torch.acos(dot.clamp(-1, 1))
    mixed = (torch.sin((1 - t) * omega) * unit_a + torch.sin(t * omega) * unit_b) / torch.sin(omega)
    mixed = mixed * (norm_a * (1 - t) + norm_b * t)
    mixed = torch.where(dot > 1 - 1e-5, a, mixed)
    return torch.where(dot < 1e-5 - 1, a * (1 - t) + b * t, mixed)


def _slerp_width(x: Tensor, width: int) -> Tensor:
    lower, upper, t = _neighbours(x.shape[-1], width, x.device)
    a, b = x[..., lower].movedim(1, -1), x[..., upper].movedim(1, -1)
    ratio = t.view(1, 1, -1, 1).expand(*a.shape[:-1], 1)
    return slerp(a, b, ratio).movedim(-1, 1)


def bislerp(x: Tensor, width: int, height: int) -> Tensor:
    """Bilinear resizing with spherical instead of straight interpolation of the channel vectors; (B, C, H, W)."""
    wide = _slerp_width(x.float(), width)
    return _slerp_width(wide.transpose(-1, -2), height).transpose(-1, -2).to(x.dtype)


def fit_total_pixels(width: int, height: int, megapixels: float) -> tuple[int, int]:
    """(width, height) of the same aspect with ``megapixels`` * 1024 * 1024 pixels."""
    scale = math.sqrt(megapixels * 1024 * 1024 / (width * height))
    return round(width * scale), round(height * scale)
