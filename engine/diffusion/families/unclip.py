"""Stable Diffusion 2.1 unCLIP: a picture's CLIP embedding, made noisy at will, beside the prompt.

https://github.com/Stability-AI/stablediffusion, doc/UNCLIP.MD; Ramesh et al. 2022, https://arxiv.org/abs/2204.06125.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from engine.diffusion.families import beside, unet
from engine.diffusion.families.family import Inputs, repeat_to
from engine.diffusion.families.sd2 import SD2
from engine.diffusion.parts import KeyMap, Tensors

MODULES = {"label_emb.0.0": "class_embedding.linear_1", "label_emb.0.2": "class_embedding.linear_2"}
LEVELS = 1000
MERGED = 0.05
"""How noisy several pictures' embeddings are made once they are added up, as a share of the levels."""


@dataclass(frozen=True)
class UnCLIP(SD2):
    """Bound to one file's UNet and the spread of CLIP embeddings it was trained with."""

    mean: Tensor | None = field(default=None, compare=False)  # (1, C)
    spread: Tensor | None = field(default=None, compare=False)

    name: ClassVar[str] = "unclip"
    title: ClassVar[str] = "Stable Diffusion 2.1 unCLIP"

    @classmethod
    def recognise(cls, tensors: Tensors, loose: Tensors, metadata: Mapping[str, str]) -> Self | None:
        config = unet.read_config(tensors)
        if config is None or not config.linear or config.vector is None or not any(config.down[0]):
            return None
        v = cls._velocity(tensors, loose, metadata, config)
        mean, spread = (loose.get(f"noise_augmentor.data_{name}") for name in ("mean", "std"))
        return cls(config, v=v, zero_terminal_snr="ztsnr" in loose, mean=mean, spread=spread)

    def build(self) -> nn.Module:
        return unet.build(
            self.config,
            upcast_attention=True,
            class_embed_type="projection",
            projection_class_embeddings_input_dim=self.config.vector,
        )

    def keymap(self, names: Iterable[str]) -> KeyMap:
        return unet.rename(names, unet.modules(self.config) | MODULES)

    def flags(self) -> dict[str, Tensor]:
        known = {"mean": self.mean, "std": self.spread}
        return super().flags() | {f"noise_augmentor.data_{name}": value for name, value in known.items() if value is not None}

    def condition(self, tensor: Tensor, options: Mapping[str, Any], x: Tensor, *, negative: bool = False) -> Inputs:
        """The prompt, and the pictures of ``unclip_conditioning``: entries with an embedding, a strength and its noise."""
        assert self.config.vector is not None
        inputs = super().condition(tensor, options, x, negative=negative)
        seen = self._pictures(options.get("unclip_conditioning", ()), int(options.get("seed", 0)) - 10)
        labels = torch.zeros(1, self.config.vector) if seen is None else seen
        return {**inputs, "labels": repeat_to(labels.to(x.device), x.shape[0])}

    def _pictures(self, entries: Any, seed: int) -> Tensor | None:
        """The entries' embeddings with their noise level, added up by strength; made noisy again if there are several."""
        assert self.config.vector is not None
        found = []
        for entry in entries:
            level = round((LEVELS - 1) * float(entry["noise_augmentation"]))
            for embedding in entry["clip_vision_output"].image_embeds:
                found.append(float(entry["strength"]) * self.noisy(embedding[None].float().cpu(), level, seed))
        if len(found) < 2:
            return found[0] if found else None
        together = torch.cat(found).sum(dim=0, keepdim=True)
        return self.noisy(together[:, : self.config.vector // 2], round((LEVELS - 1) * MERGED), seed)

    def noisy(self, embedding: Tensor, level: int, seed: int) -> Tensor:
        """(1, C) -> (1, 2 C): the embedding at that noise level of a cosine schedule, and the level's own embedding."""
        width = embedding.shape[1]
        if 2 * width != self.config.vector:
            wanted = "ViT-L" if self.config.vector == 1536 else "ViT-H"
            raise ValueError(
                f"the picture's embedding has {width} numbers, but this unCLIP model wants {(self.config.vector or 0) // 2}: "
                f"use the CLIP Vision of its own checkpoint ({wanted})"
            )
        mean = torch.zeros(1, width) if self.mean is None else self.mean.float().reshape(1, -1)
        spread = torch.ones(1, width) if self.spread is None else self.spread.float().reshape(1, -1)
        noise = torch.randn(embedding.shape, generator=torch.Generator().manual_seed(seed % (1 << 63)))
        kept = cosine_kept(level)
        mixed = kept**0.5 * (embedding - mean) / spread + (1 - kept) ** 0.5 * noise
        return torch.cat([mixed * spread + mean, beside.sinusoids(torch.tensor([float(level)]), width)], dim=1)


def cosine_kept(level: int) -> float:
    """The share of the signal's variance left at a level of the cosine schedule (Nichol & Dhariwal 2021, arXiv 2102.09672)."""
    bars = [math.cos((i / LEVELS + 0.008) / 1.008 * math.pi / 2) ** 2 for i in range(level + 2)]
    return math.prod(1 - min(1 - later / earlier, 0.999) for earlier, later in pairwise(bars))
