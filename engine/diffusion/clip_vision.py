"""The image encoder as it travels along edges: pictures to what denoisers take in place of, or beside, words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.diffusion.parts import Part, Place, PlaceOnCpu, working_dtype
from engine.diffusion.vision.network import ClipImage

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, eq=False)
class ClipVisionOutput:
    """Features of pictures, by the names ComfyUI's nodes read."""

    last_hidden_state: Tensor  # (B, T, D)
    penultimate_hidden_states: Tensor  # (B, T, D)
    image_embeds: Tensor  # (B, P)

    def __getitem__(self, name: str) -> Tensor:
        value: Tensor = getattr(self, name)
        return value


@dataclass(frozen=True, eq=False)
class ClipVision:
    """An image tower."""

    part: Part
    place: Place = field(default_factory=PlaceOnCpu)

    def encode(self, images: Tensor, crop: Literal["center", "none"] = "center") -> ClipVisionOutput:
        """Features, float32, of pictures (B, H, W, 3) in 0..1; without ``crop`` they are squeezed to a square."""
        network = self.place(self.part)
        assert isinstance(network, ClipImage)
        pixels = prepared(images, network.config.size, crop == "center")
        with torch.no_grad():
            first = next(network.parameters())
            seen = network(pixels.to(device=first.device, dtype=working_dtype(network)))
        return ClipVisionOutput(*(part.float().cpu() for part in seen))

    def blank(self) -> ClipVisionOutput:
        """Features of a picture of nothing: zeros after the normalisation, as image prompts were trained without."""
        network = self.place(self.part)
        assert isinstance(network, ClipImage)
        first = next(network.parameters())
        pixels = torch.zeros(1, 3, network.config.size, network.config.size, device=first.device, dtype=working_dtype(network))
        with torch.no_grad():
            return ClipVisionOutput(*(part.float().cpu() for part in network(pixels)))


def prepared(images: Tensor, size: int, crop: bool = True) -> Tensor:
    """Pictures (B, H, W, C) in 0..1 as CLIP was shown them: (B, 3, size, size), normalised.

    Cropping takes the middle of the picture after its shorter side is ``size``. Values are rounded to 8 bits between, as those
    of a picture file are.
    """
    pixels = images[..., :3].movedim(-1, 1).float()
    height, width = pixels.shape[-2:]
    if crop:
        scale = size / min(height, width)
        height, width = round(scale * height), round(scale * width)
    else:
        height = width = size
    if pixels.shape[-2:] != (height, width):
        pixels = F.interpolate(pixels, size=(height, width), mode="bicubic", antialias=True)
    top, left = (height - size) // 2, (width - size) // 2
    pixels = pixels[..., top : top + size, left : left + size]
    pixels = pixels.mul(255).clamp(0, 255).round() / 255
    mean, std = (torch.tensor(values, device=pixels.device).view(1, 3, 1, 1) for values in (MEAN, STD))
    return (pixels - mean) / std
