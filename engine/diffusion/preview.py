"""A rough picture of a latent while it is being sampled, small enough to send at every step."""

from __future__ import annotations

import io

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.diffusion.latent_format import LatentFormat


def preview(latent_format: LatentFormat, x: Tensor, longest: int = 512, kind: str = "JPEG") -> bytes | None:
    """The first picture of the denoiser's latent ``x`` as JPEG or PNG, at most ``longest`` pixels; None without colours.

    Of a video it is the middle frame. Colours are a linear map of the channels, so it costs nothing beside a step.
    """
    if not latent_format.rgb:
        return None
    if x.ndim == 5:
        x = x[:, :, x.shape[2] // 2]
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
