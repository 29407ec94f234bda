"""The image tower of CLIP, a vision transformer (https://arxiv.org/abs/2103.00020), parameters named as in transformers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from engine.diffusion.text.network import Encoder


@dataclass(frozen=True)
class VisionConfig:
    """The shape of an image tower."""

    width: int
    layers: int
    hidden: int
    heads: int
    activation: Literal["quick_gelu", "gelu"]
    patch: int
    size: int  # pixels each way
    projection: int | None = None


class Seen(NamedTuple):
    """What a tower says of pictures; T is one more than the patches."""

    last: Tensor  # (B, T, D) after the last layer
    penultimate: Tensor  # (B, T, D) after the layer before
    pooled: Tensor  # (B, P) the class token, normalised and projected


class Embeddings(nn.Module):
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.class_embedding = nn.Parameter(torch.empty(config.width))
        self.patch_embedding = nn.Conv2d(3, config.width, config.patch, config.patch, bias=False)
        self.position_embedding = nn.Embedding((config.size // config.patch) ** 2 + 1, config.width)

    def forward(self, pixels: Tensor) -> Tensor:
        patches: Tensor = self.patch_embedding(pixels).flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(patches.shape[0], 1, -1)
        return torch.cat([first, patches], dim=1) + self.position_embedding.weight


class VisionModel(nn.Module):
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.pre_layrnorm = nn.LayerNorm(config.width)  # the spelling is transformers'
        self.encoder = Encoder(config.layers, config.width, config.hidden, config.heads, config.activation, causal=False)
        self.post_layernorm = nn.LayerNorm(config.width)


class ClipImage(nn.Module):
    """Normalised pixels (B, 3, size, size) in, features out."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.config = config
        self.vision_model = VisionModel(config)
        self.visual_projection = nn.Linear(config.width, config.projection, bias=False) if config.projection else None

    def forward(self, pixels: Tensor) -> Seen:
        x = self.vision_model.pre_layrnorm(self.vision_model.embeddings(pixels))
        before = x
        for layer in self.vision_model.encoder.layers:
            before, x = x, layer(x)
        pooled = self.vision_model.post_layernorm(x[:, 0])
        return Seen(x, before, pooled if self.visual_projection is None else self.visual_projection(pooled))
