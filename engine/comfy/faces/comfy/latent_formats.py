"""Latent formats by ComfyUI's names."""

from __future__ import annotations

from typing import Any, Self

from engine.comfy.finder import missing
from engine.diffusion.latent_format import LatentFormat as EngineFormat

__getattr__ = missing(__name__)


class LatentFormat:
    """How a denoiser sees what its VAE makes."""

    scale_factor: Any = 1.0
    latent_channels = 4
    latent_dimensions = 2
    latent_rgb_factors: Any = None
    latent_rgb_factors_bias: Any = None
    taesd_decoder_name: str | None = None
    spacial_downscale_ratio = 8

    @classmethod
    def of_engine(cls, inner: EngineFormat) -> Self:
        made: Any = object.__new__(NAMES.get(inner.name, cls))
        made.latent_format = inner
        made.scale_factor = inner.scale[0] if len(inner.scale) == 1 else inner.scale
        made.latent_channels, made.latent_dimensions = inner.channels, inner.dims
        made.latent_rgb_factors = [list(row) for row in inner.rgb] or None
        made.latent_rgb_factors_bias = list(inner.rgb_bias)
        made.spacial_downscale_ratio = inner.spatial
        found: Self = made
        return found

    def process_in(self, latent: Any) -> Any:
        inner = getattr(self, "latent_format", None)
        return inner.inside(latent) if inner is not None else latent * self.scale_factor

    def process_out(self, latent: Any) -> Any:
        inner = getattr(self, "latent_format", None)
        return inner.outside(latent) if inner is not None else latent / self.scale_factor


class SD15(LatentFormat):
    scale_factor = 0.18215
    taesd_decoder_name = "taesd_decoder"


class SDXL(LatentFormat):
    scale_factor = 0.13025
    taesd_decoder_name = "taesdxl_decoder"


class SD3(LatentFormat):
    scale_factor = 1.5305
    latent_channels = 16


class Flux(LatentFormat):
    scale_factor = 0.3611
    latent_channels = 16


class SD_X4(LatentFormat):
    scale_factor = 0.08333


class Wan21(LatentFormat):
    latent_channels = 16
    latent_dimensions = 3


class LTXV(LatentFormat):
    latent_channels = 128
    latent_dimensions = 3


class HunyuanVideo(LatentFormat):
    scale_factor = 0.476986
    latent_channels = 16
    latent_dimensions = 3


class Mochi(LatentFormat):
    latent_channels = 12
    latent_dimensions = 3


NAMES: dict[str, Any] = {
    "sd1": SD15, "sdxl": SDXL, "sd_x4": SD_X4, "sd3": SD3, "flux": Flux, "wan": Wan21, "ltxv": LTXV,
    "hunyuan_video": HunyuanVideo, "mochi": Mochi,
}  # fmt: skip
