"""Stable Diffusion x4 upscaler: sees a small picture, made noisy at will, and draws it four times as large.

https://github.com/Stability-AI/stablediffusion (MIT), configs/stable-diffusion/x4-upscaling.yaml and
ldm/modules/diffusionmodules/upscaling.py. A latent cell is a pixel of the small picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from engine.diffusion.families import beside, unet
from engine.diffusion.families.family import Defaults, Inputs, Prediction
from engine.diffusion.families.sd2 import SD2
from engine.diffusion.families.unet import HEADS, UNetConfig
from engine.diffusion.latent_format import LatentFormat
from engine.diffusion.levels import betas
from engine.diffusion.parts import KeyMap, Tensors

LATENT = LatentFormat(name="sd_x4", scale=(0.08333,), spatial=4, vae="the Stable Diffusion x4 upscaler")
MODULES = {"label_emb": "class_embedding"}
COLOURS = 3
BETAS = (0.0001, 0.02)
"""Of the latent's noise and of the small picture's."""

NOISIEST = 350
"""Of the thousand levels the small picture was made noisy at in training, the last: what a share of 1 stands for."""


@dataclass(frozen=True)
class X4Upscaler(SD2):
    """Bound to one file's UNet. Where ``text_only``, a level's attention reads the text twice and never the picture itself."""

    v: bool = True
    levels: int = 1000  # of the small picture's noise that it can be told of
    text_only: tuple[bool, ...] = ()  # one a level

    name: ClassVar[str] = "sd_x4"
    title: ClassVar[str] = "Stable Diffusion x4 upscaler"

    @classmethod
    def recognise(cls, tensors: Tensors, loose: Tensors, metadata: Mapping[str, str]) -> Self | None:
        config, label = unet.read_config(tensors), tensors.get(f"{unet.LEVEL}.weight")
        if config is None or not config.linear or label is None or config.in_channels != config.out_channels + COLOURS:
            return None
        return cls(config, levels=label.shape[0], text_only=_text_only(tensors, config))

    def build(self) -> nn.Module:
        return unet.build(
            self.config, num_class_embeds=self.levels, only_cross_attention=self.text_only, attention_head_dim=HEADS
        )

    def keymap(self, names: Iterable[str]) -> KeyMap:
        return unet.rename(names, unet.modules(self.config) | MODULES)

    @property
    def prediction(self) -> Prediction:
        return Prediction("v", *BETAS)

    @property
    def latent(self) -> LatentFormat:
        return LATENT

    @property
    def defaults(self) -> Defaults:
        return Defaults(steps=25, cfg=9.0)

    def flags(self) -> dict[str, Tensor]:
        return {}

    def condition(self, tensor: Tensor, options: Mapping[str, Any], x: Tensor, *, negative: bool = False) -> Inputs:
        """The prompt, and ``concat_image`` (b, 3, h, w) in -1..1 with ``noise_augmentation``, a share of its noisiest."""
        picture = options.get("concat_image")
        level = 0 if picture is None else round(NOISIEST * float(options.get("noise_augmentation", 0.0)))
        small = torch.zeros_like(x[:, :COLOURS]) if picture is None else beside.fit(picture[:, :COLOURS], x)
        return {
            **super().condition(tensor, options, x, negative=negative),
            "concat": noisy(small, level, int(options.get("seed", 0)) - 10),
            "labels": torch.full((x.shape[0],), level, device=x.device),
        }


def noisy(picture: Tensor, level: int, seed: int) -> Tensor:
    """(B, 3, h, w) at that level of the forward process. Ho et al. 2020, https://arxiv.org/abs/2006.11239, equation 4."""
    kept = float((1 - betas("scaled_linear", *BETAS))[: level + 1].prod())
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(seed % (1 << 63)))
    return math.sqrt(kept) * picture + math.sqrt(1 - kept) * noise.to(picture)


def _text_only(tensors: Tensors, config: UNetConfig) -> tuple[bool, ...]:
    """Of each level, whether the keys of its first attention come from the text: they have its width, the queries another."""
    found, block = [], 1
    for depths in config.down:
        first = f"input_blocks.{block}.1.transformer_blocks.0.attn1"
        queries, keys = (tensors.get(f"{first}.to_{side}.weight") for side in "qk")
        found.append(queries is not None and keys is not None and queries.shape[1:] != keys.shape[1:])
        block += len(depths) + 1
    return tuple(found)
