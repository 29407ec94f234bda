"""A rough picture of a latent while it is being sampled, small enough to send at every step."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.diffusion.latent_format import LatentFormat

Decode = Callable[[LatentFormat, Tensor], Tensor | None]
"""A picture (1, H, W, 3) in 0..1 of the denoiser's latent (1, C, h, w), or None for a format it does not know."""


class Draw(Protocol):
    """A picture as a file in memory, made when it is asked for."""

    def __call__(self, decode: Decode | None = None) -> bytes | None: ...


def preview(
    latent_format: LatentFormat, x: Tensor, longest: int = 512, kind: str = "JPEG", decode: Decode | None = None
) -> bytes | None:
    """The first picture of the denoiser's latent ``x`` as JPEG or PNG, at most ``longest`` pixels; None without colours.

    Of a video it is the middle frame. Without ``decode`` colours are a linear map of the channels, which costs next to nothing.
    """
    if x.ndim == 5:
        x = x[:, :, x.shape[2] // 2]
    drawn = decode(latent_format, x[:1].detach()) if decode is not None else None
    if drawn is not None:
        scale = min(1.0, longest / max(drawn.shape[1:3]))
        drawn = drawn.movedim(-1, 1)
        drawn = F.interpolate(drawn, scale_factor=scale, mode="bilinear", antialias=True) if scale < 1 else drawn
        return encode(drawn[0].movedim(0, -1), kind)
    if not latent_format.rgb:
        return None
    picture = latent_format.preview(x[:1].detach().float().cpu()).movedim(-1, 1)
    scale = min(latent_format.spatial, longest / max(picture.shape[-2:]))
    picture = F.interpolate(picture, scale_factor=scale, mode="bilinear") if scale > 1 else picture
    return encode(picture[0].movedim(0, -1), kind)


def encode(picture: Tensor, kind: str) -> bytes:
    """(H, W, 3) floats in 0..1 as a file in memory."""
    from PIL import Image

    pixels = picture.mul(255).round().clamp(0, 255).to(torch.uint8).numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **({"quality": 80} if kind == "JPEG" else {}))
    return buffer.getvalue()
