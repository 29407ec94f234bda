"""What a UNet is shown beside its latent: a hole and a picture, numbers as sines and cosines."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from engine.diffusion.families.family import repeat_to
from engine.diffusion.latent_format import LatentFormat

GREY = (0.8223, -0.6876, 0.6364, 0.1380)
"""Mid grey as Stable Diffusion 1's VAE makes it, scaled for a denoiser: what ComfyUI shows inpainting networks without a mask."""


def inpainting(options: Mapping[str, Any], x: Tensor, latent: LatentFormat) -> Tensor:
    """What an inpainting network sees beside the latent: (B, 1 + C, h, w), the mask (1: draw here) and the kept picture.

    ``options`` holds ``concat_mask`` and ``concat_latent_image`` (a VAE latent), or what the sampler knows: ``denoise_mask``
    and ``latent_image`` (as the denoiser sees it). Without a mask the whole picture is to be drawn, on grey.
    """
    mask = options.get("concat_mask", options.get("denoise_mask"))
    image = options.get("concat_latent_image")
    image = options.get("latent_image") if image is None else latent.inside(image)
    if mask is None:
        grey = torch.tensor(GREY, device=x.device, dtype=x.dtype).view(1, -1, 1, 1)
        return torch.cat([torch.ones_like(x[:, :1]), grey.expand_as(x)], dim=1)
    image = torch.zeros_like(x) if image is None else fit(image, x)
    return torch.cat([fit(mask.reshape(-1, 1, *mask.shape[-2:]), x).round(), image], dim=1)


def guidance_embedding(guidance: float, width: int) -> Tensor:
    """Sines and cosines (1, width) of the guidance a network was distilled with. Luo et al. 2023, https://arxiv.org/abs/2310.04378."""
    half = width // 2
    frequencies = torch.exp(torch.arange(half) * (-math.log(10_000.0) / (half - 1)))
    angles = 1000.0 * guidance * frequencies
    return torch.cat([angles.sin(), angles.cos()])[None]


def sinusoids(values: Tensor, width: int) -> Tensor:
    """Cosines, then sines (B, width) of numbers (B,), as UNets are told timesteps."""
    half = width // 2
    angles = values[:, None].float() * torch.exp(torch.arange(half) * (-math.log(10_000.0) / half))
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def fit(picture: Tensor, x: Tensor) -> Tensor:
    """``picture`` (b, c, h, w) resized to the height, width, batch, device and dtype of ``x``."""
    picture = picture.to(x)
    if picture.shape[-2:] != x.shape[-2:]:
        picture = torch.nn.functional.interpolate(picture, size=x.shape[-2:], mode="bilinear")
    return repeat_to(picture, x.shape[0])
