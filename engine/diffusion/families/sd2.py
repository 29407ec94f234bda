"""Stable Diffusion 2.x: OpenCLIP's H, linear projections, and half of its checkpoints predict velocity.

https://github.com/Stability-AI/stablediffusion, configs/stable-diffusion/v2-inference.yaml and v2-inference-v.yaml.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from torch import nn

from engine.diffusion.families import unet
from engine.diffusion.families.family import Defaults
from engine.diffusion.families.sd1 import SD1
from engine.diffusion.families.unet import UNetConfig
from engine.diffusion.parts import Tensors

TELLTALE = "output_blocks.11.1.transformer_blocks.0.norm1.bias"
SPREAD = 0.09
"""Nothing in a file says what it predicts, but this bias came out wider where velocity was trained."""


@dataclass(frozen=True)
class SD2(SD1):
    """Bound to one file's UNet. Attention runs in float32: in half precision its scores overflow."""

    name: ClassVar[str] = "sd2"
    title: ClassVar[str] = "Stable Diffusion 2"

    @classmethod
    def recognise(cls, tensors: Tensors, loose: Tensors, metadata: Mapping[str, str]) -> Self | None:
        config = unet.read_config(tensors)
        if config is None or not config.linear or config.vector is not None or f"{unet.LEVEL}.weight" in tensors:
            return None
        v = cls._velocity(tensors, loose, metadata, config)
        return cls(config, v=v, zero_terminal_snr="ztsnr" in loose)

    @staticmethod
    def _velocity(tensors: Tensors, loose: Tensors, metadata: Mapping[str, str], config: UNetConfig) -> bool:
        said = metadata.get("modelspec.prediction_type")
        inpaint = config.in_channels > config.out_channels  # only ever trained to predict noise
        bias = tensors.get(TELLTALE)
        wide = bias is not None and not bias.is_meta and not inpaint and float(bias.float().std()) > SPREAD
        return said == "v" or "v_pred" in loose or (said is None and wide)

    def build(self) -> nn.Module:
        return unet.build(self.config, upcast_attention=True)

    @property
    def defaults(self) -> Defaults:
        return Defaults(steps=25, width=768, height=768) if self.v else Defaults(steps=25)

    @property
    def text(self) -> str:
        return "sd2"
