"""PhotoMaker: a person's picture in the place of a word of the prompt.

Li et al. 2023, https://arxiv.org/abs/2312.04461. The picture's embeddings are merged with the word's by two small networks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.diffusion import networks
from engine.diffusion.clip import Clip
from engine.diffusion.clip_vision import prepared
from engine.diffusion.containers import CheckpointError, read_tensors
from engine.diffusion.parts import Part, Place, straight, under, working_dtype
from engine.diffusion.residency import Residency
from engine.diffusion.vision.network import ClipImage, VisionConfig
from engine.diffusion.vision.towers import part as vision_part

WORD = "photomaker"
"""What stands in the prompt after the word the picture replaces."""


class Mlp(nn.Module):
    """Norm, two layers with GELU between; ``residual`` adds what came in."""

    def __init__(self, into: int, out: int, hidden: int, residual: bool) -> None:
        super().__init__()
        self.layernorm = nn.LayerNorm(into)
        self.fc1, self.fc2 = nn.Linear(into, hidden), nn.Linear(hidden, out)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.fc2(nn.functional.gelu(self.fc1(self.layernorm(x))))
        return result + x if self.residual else result


class Fuse(nn.Module):
    """A word's embedding (1, D) and a picture's (1, D) to one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp1, self.mlp2 = Mlp(2 * width, width, width, False), Mlp(width, width, width, True)
        self.layer_norm = nn.LayerNorm(width)

    def forward(self, word: Tensor, picture: Tensor) -> Tensor:
        merged: Tensor = self.layer_norm(self.mlp2(self.mlp1(torch.cat([word, picture], dim=-1)) + word))
        return merged


class IdEncoder(ClipImage):
    """CLIP's image tower with a second projection, and what merges their embeddings, side by side, into words."""

    def __init__(self, config: VisionConfig, second: int) -> None:
        super().__init__(config)
        self.visual_projection_2 = nn.Linear(config.width, second, bias=False)
        self.fuse_module = Fuse((config.projection or 0) + second)

    def identity(self, pixels: Tensor) -> Tensor:
        """(B, D) of normalised pixels."""
        last = self(pixels).last
        pooled = self.vision_model.post_layernorm(last[:, 0])
        assert self.visual_projection is not None
        return torch.cat([self.visual_projection(pooled), self.visual_projection_2(pooled)], dim=-1)


@dataclass(frozen=True, eq=False)
class PhotoMaker:
    """The PHOTOMAKER value."""

    part: Part
    place: Place
    width: int  # of a word

    def encode(self, images: Tensor, clip: Clip, text: str) -> list[list[Any]]:
        """The prompt with ``photomaker`` left out and the word before it merged with the first picture.

        Without ``photomaker`` in the text the prompt is read as it is.
        """
        words = text.split(" ")
        at = words.index(WORD) if WORD in words else -1
        conditioning = clip.encode(" ".join(word for i, word in enumerate(words) if i != at))
        if at <= 0:
            return conditioning
        (embedding, options), *_ = conditioning
        if embedding.shape[-1] != self.width:
            raise ValueError(
                f"PhotoMaker changes words of width {self.width}, but this text encoder's are {embedding.shape[-1]} wide. "
                "Use it with Stable Diffusion XL."
            )
        network = self.place(self.part)
        assert isinstance(network, IdEncoder)
        first = next(network.parameters())
        place = _tokens_before(clip, words[:at]) - 1
        with torch.no_grad():
            pixels = prepared(images[:1], network.config.size).to(first.device, working_dtype(network))
            word = embedding[:, place].to(pixels)
            merged = network.fuse_module(word, network.identity(pixels)).to(embedding)
        embedding = embedding.clone()
        embedding[:, place] = merged
        return [[embedding, options]]


def _tokens_before(clip: Clip, words: list[str]) -> int:
    """How many tokens these words and the start take: the place after them."""
    tower = clip.towers[0]
    row = clip.tokenize(" ".join(words))[tower.name][0]
    from engine.diffusion.text.bpe import END

    return next(i for i, token in enumerate(row) if not isinstance(token.id, Tensor) and token.id == END)


def load_photomaker(path: Path, place: Place | None = None) -> PhotoMaker:
    """The image encoder of a PhotoMaker file; its LoRA is loaded as any other."""
    tensors = read_tensors(path).tensors
    encoder = under(tensors, "id_encoder.") or dict(tensors)
    tower = vision_part(encoder)
    if tower is None or "visual_projection_2.weight" not in encoder or "fuse_module.layer_norm.weight" not in encoder:
        faces = any("qformer" in name for name in tensors)
        kind = "PhotoMaker V2, which reads faces by a recogniser's numbers" if faces else "no PhotoMaker"
        raise CheckpointError(path, f"this is {kind}; use photomaker-v1.bin")
    build_tower: Any = tower.build
    config: VisionConfig = build_tower.args[0]
    second = encoder["visual_projection_2.weight"].shape[0]
    keymap = straight(name for name in encoder if not name.endswith("position_ids"))
    part = Part("photomaker", partial(_build, config, second), keymap, encoder)
    return PhotoMaker(part, place or Residency(), encoder["fuse_module.layer_norm.weight"].shape[0])


def _build(config: VisionConfig, second: int) -> nn.Module:
    with networks.on_meta():
        return IdEncoder(config, second)
