"""PhotoMaker: a person's face in place of a word of the prompt, for SDXL.

Li et al. 2023, https://arxiv.org/abs/2312.04461; https://github.com/TencentARC/PhotoMaker (Apache-2.0), photomaker/model.py.
The file also holds a LoRA (``lora_weights``), which is for Load LoRA.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.diffusion import networks, prefixes
from engine.diffusion.checkpoints import check_complete
from engine.diffusion.clip import Clip, Conditioning
from engine.diffusion.clip_vision import prepared
from engine.diffusion.containers import CheckpointError, read_tensors
from engine.diffusion.parts import Part, Place, PlaceOnCpu, Tensors, straight, under, working_dtype
from engine.diffusion.vision import towers
from engine.diffusion.vision.network import ClipImage, VisionConfig

WORD = "photomaker"
"""Stands after the word the face is to join: "a man photomaker"."""


class Mixer(nn.Module):
    """A normalised two-layer network, with its input added again if widths allow and ``residual`` says so."""

    def __init__(self, width: int, out: int, *, residual: bool) -> None:
        super().__init__()
        self.layernorm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, out)
        self.fc2 = nn.Linear(out, out)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.fc2(F.gelu(self.fc1(self.layernorm(x))))
        return x + mixed if self.residual else mixed


class Fuse(nn.Module):
    """A word's features and a face's to those of the person."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp1 = Mixer(2 * width, width, residual=False)
        self.mlp2 = Mixer(width, width, residual=True)
        self.layer_norm = nn.LayerNorm(width)

    def forward(self, word: Tensor, face: Tensor) -> Tensor:
        mixed = word + self.mlp1(torch.cat([word, face], dim=-1))
        fused: Tensor = self.layer_norm(self.mlp2(mixed))
        return fused


class FaceEncoder(ClipImage):
    """CLIP's image tower with a second projection, one for each of SDXL's text encoders."""

    def __init__(self, config: VisionConfig, second: int) -> None:
        super().__init__(config)
        assert config.projection is not None
        self.visual_projection_2 = nn.Linear(config.width, second, bias=False)
        self.fuse_module = Fuse(config.projection + second)

    def face(self, pixels: Tensor) -> Tensor:
        """(B, P) of normalised pixels (B, 3, size, size)."""
        assert self.visual_projection is not None
        x = self.vision_model.pre_layrnorm(self.vision_model.embeddings(pixels))
        for layer in self.vision_model.encoder.layers:
            x = layer(x)
        pooled = self.vision_model.post_layernorm(x[:, 0])
        return torch.cat([self.visual_projection(pooled), self.visual_projection_2(pooled)], dim=-1)


@dataclass(frozen=True, eq=False)
class PhotoMaker:
    """The encoder of a PhotoMaker file."""

    part: Part
    place: Place = field(default_factory=PlaceOnCpu)

    def encode(self, clip: Clip, image: Tensor, text: str) -> Conditioning:
        """The prompt with the face of the first picture (B, H, W, 3) in the word before ``photomaker``, if that is in it."""
        words = text.split(" ")
        if WORD not in words:
            return clip.encode(text)
        place = words.index(WORD)
        encoded = clip.encode(" ".join(words[:place] + words[place + 1 :]))
        network: Any = self.place(self.part)
        dtype, device = working_dtype(network), next(network.parameters()).device
        width = network.fuse_module.layer_norm.weight.shape[0]
        out = []
        for features, options in encoded:
            if features.shape[-1] != width:
                raise ValueError(
                    f"PhotoMaker is for SDXL: its words have {width} numbers, those of this text encoder {features.shape[-1]}. "
                    "Connect the CLIP of an SDXL model."
                )
            with torch.no_grad():
                face = network.face(prepared(image[:1], network.config.size).to(device, dtype))
                fused = network.fuse_module(features[:, place].to(device, dtype), face)
            changed = features.clone()
            changed[:, place] = fused.to(features)
            out.append([changed, options])
        return out


BY_NUMBERS = "reads faces by a recogniser's numbers, and that network is not here"


def load(path: Path, place: Place | None = None) -> PhotoMaker:
    """The encoder in a PhotoMaker file, version 1."""
    tensors = read_tensors(path).tensors
    inner = under(tensors, "id_encoder.") or tensors
    if any(name.startswith("qformer_perceiver.") for name in inner):
        raise CheckpointError(path, f"this is version 2, which {BY_NUMBERS}. Choose version 1: photomaker-v1.bin")
    part = part_of(inner)
    if part is None:
        raise CheckpointError(path, f"no PhotoMaker encoder in it{prefixes.elsewhere(tensors, 'version 1: photomaker-v1.bin')}")
    check_complete(path, part)
    return PhotoMaker(part, place or PlaceOnCpu())


def part_of(tensors: Tensors) -> Part | None:
    """The encoder among these, by transformers' names; None if there is none."""
    own = ("vision_model.", "visual_projection.")
    tower = towers.part({name: tensor for name, tensor in tensors.items() if name.startswith(own)})
    second = tensors.get("visual_projection_2.weight")
    if tower is None or second is None or "fuse_module.mlp1.fc1.weight" not in tensors:
        return None
    network: Any = tower.build()
    names = [name for name in tensors if name.startswith(("vision_model.", "visual_projection", "fuse_module."))]
    rows = straight(name for name in names if not name.endswith("position_ids"))
    return Part("photomaker", partial(_build, network.config, second.shape[0]), rows, tensors)


def _build(config: VisionConfig, second: int) -> nn.Module:
    with networks.on_meta():
        return FaceEncoder(config, second)
