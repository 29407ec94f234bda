"""The model families this engine knows, in the order they are asked whether a file is theirs."""

from __future__ import annotations

from collections.abc import Callable

from engine.diffusion.families import sd1, sdxl, svd, unet
from engine.diffusion.families.family import Family
from engine.diffusion.families.sd1 import SD1
from engine.diffusion.families.sd2 import SD2
from engine.diffusion.families.sdxl import SDXL, SDXLRefiner
from engine.diffusion.families.sv3d import SV3D
from engine.diffusion.families.svd import SVD
from engine.diffusion.families.unclip import UnCLIP
from engine.diffusion.families.x4_upscaler import X4Upscaler
from engine.diffusion.families.zero123 import Zero123
from engine.diffusion.latent_format import LatentFormat
from engine.diffusion.parts import Tensors

FAMILIES: tuple[type[Family], ...] = (Zero123, SD1, SD2, X4Upscaler, UnCLIP, SDXL, SDXLRefiner, SVD, SV3D)

LATENTS: tuple[LatentFormat, ...] = (sd1.LATENT, sdxl.LATENT)
"""What the families' denoisers see, the likeliest first."""

LAYOUTS: tuple[Callable[[Tensors], Tensors | None], ...] = (unet.in_original_names, svd.in_original_names)
"""Other layouts networks are published in: each gives the tensors the names the families know, or None."""


def in_known_names(tensors: Tensors) -> Tensors:
    """A denoiser's tensors by the names its family recognises, whatever layout they came in."""
    for layout in LAYOUTS:
        renamed = layout(tensors)
        if renamed is not None:
            return renamed
    return tensors
