"""Configurations by model family, for packs that ask which one they have."""

from __future__ import annotations

from typing import Any, ClassVar

from engine.comfy.faces.comfy.supported_models_base import BASE
from engine.comfy.finder import missing

__getattr__ = missing(__name__)


def unet(
    context: int, channels: int = 320, linear: bool = False, vector: int | None = None, temporal: bool = False,
    depth: list[int] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """What tells a UNet from others; the numbers are those of the models' published configurations."""
    told = {
        "context_dim": context, "model_channels": channels, "use_linear_in_transformer": linear, "adm_in_channels": vector,
        "use_temporal_attention": temporal,
    }  # fmt: skip
    return told if depth is None else {**told, "transformer_depth": depth}


class SD15(BASE):
    """Stable Diffusion 1."""

    unet_config: ClassVar[dict[str, Any]] = unet(768)


class SD20(BASE):
    """Stable Diffusion 2."""

    unet_config: ClassVar[dict[str, Any]] = unet(1024, linear=True)


class SD21UnclipL(SD20):
    """Stable Diffusion 2.1, unCLIP."""

    unet_config: ClassVar[dict[str, Any]] = unet(1024, linear=True, vector=1536)


class SDXL(BASE):
    """Stable Diffusion XL."""

    unet_config: ClassVar[dict[str, Any]] = unet(2048, linear=True, vector=2816, depth=[0, 0, 2, 2, 10, 10])


class SDXLRefiner(BASE):
    """Its refiner."""

    unet_config: ClassVar[dict[str, Any]] = unet(1280, 384, linear=True, vector=2560)


class SSD1B(SDXL):
    """A smaller SDXL."""

    unet_config: ClassVar[dict[str, Any]] = unet(2048, linear=True, vector=2816, depth=[0, 0, 2, 2, 4, 4])


class Segmind_Vega(SDXL):
    """A smaller one still."""

    unet_config: ClassVar[dict[str, Any]] = unet(2048, linear=True, vector=2816, depth=[0, 0, 1, 1, 2, 2])


class SVD_img2vid(BASE):
    """Stable Video Diffusion."""

    unet_config: ClassVar[dict[str, Any]] = unet(1024, linear=True, vector=768, temporal=True)


class SD3(BASE):
    """Stable Diffusion 3."""


class Flux(BASE):
    """FLUX."""


class FluxSchnell(Flux):
    """FLUX schnell."""


class WAN21_T2V(BASE):
    """Wan, text to video."""


class WAN21_I2V(WAN21_T2V):
    """Wan, image to video."""


class HunyuanVideo(BASE):
    """HunyuanVideo."""


class LTXV(BASE):
    """LTX Video."""


BY_FAMILY: dict[str, Any] = {
    "sd1": SD15, "sd2": SD20, "sdxl": SDXL, "sdxl_refiner": SDXLRefiner, "svd": SVD_img2vid, "sd3": SD3, "flux": Flux,
    "wan": WAN21_T2V, "hunyuan_video": HunyuanVideo, "ltxv": LTXV,
}  # fmt: skip
models = list(dict.fromkeys([*BY_FAMILY.values(), SD21UnclipL, SSD1B, Segmind_Vega]))
