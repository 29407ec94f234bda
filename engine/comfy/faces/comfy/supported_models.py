"""Configurations by model family, for packs that ask which one they have."""

from __future__ import annotations

from typing import Any

from engine.comfy.faces.comfy.supported_models_base import BASE
from engine.comfy.finder import missing

__getattr__ = missing(__name__)


class SD15(BASE):
    """Stable Diffusion 1."""


class SD20(BASE):
    """Stable Diffusion 2."""


class SD21UnclipL(SD20):
    """Stable Diffusion 2.1, unCLIP."""


class SDXL(BASE):
    """Stable Diffusion XL."""


class SDXLRefiner(BASE):
    """Its refiner."""


class SSD1B(SDXL):
    """A smaller SDXL."""


class Segmind_Vega(SDXL):
    """A smaller one still."""


class SVD_img2vid(BASE):
    """Stable Video Diffusion."""


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
models = list(dict.fromkeys(BY_FAMILY.values()))
