"""What a latent looks like: its channels, its scale, how much smaller than the picture it is, how to preview it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class LatentFormat:
    """How a family's denoiser sees what its VAE makes.

    Between nodes a latent is the VAE's own output; a denoiser works on ``inside(z) = (z - shift) * scale``, which has
    about unit variance. ``shift`` and ``scale`` hold one number for all channels or one a channel.
    """

    name: str
    channels: int = 4
    scale: tuple[float, ...] = (1.0,)
    shift: tuple[float, ...] = (0.0,)
    spatial: int = 8  # picture pixels to one latent cell, each way
    temporal: int = 1  # video frames to one latent frame: T frames give (T - 1) // temporal + 1
    dims: int = 2  # 2: (B, C, H, W); 3: (B, C, T, H, W)
    rgb: tuple[tuple[float, float, float], ...] = ()  # preview: one row a channel, of the latent as the denoiser sees it
    rgb_bias: tuple[float, float, float] = (0.0, 0.0, 0.0)
    tiny: str = ""  # how the files of its TAESD are called
    vae: str = ""  # whose VAE makes it, for people; formats of one VAE say the same

    def inside(self, z: Tensor) -> Tensor:
        """From the VAE's latent (B, C, ...) to the denoiser's."""
        shift, scale = self._vectors(z)
        return (z - shift) * scale

    def outside(self, x: Tensor) -> Tensor:
        """From the denoiser's latent (B, C, ...) back to the VAE's: the inverse of ``inside``."""
        shift, scale = self._vectors(x)
        return x / scale + shift

    def preview(self, x: Tensor) -> Tensor:
        """A rough picture (B, h, w, 3) float32 in 0..1 of the denoiser's latent ``x`` (B, C, h, w), a pixel a cell."""
        if not self.rgb:
            raise ValueError(f"latent format {self.name} has no preview colours")
        weights = torch.tensor(self.rgb, dtype=torch.float32, device=x.device)
        bias = torch.tensor(self.rgb_bias, dtype=torch.float32, device=x.device)
        picture = torch.einsum("bchw,cr->bhwr", x.float(), weights) + bias
        return picture.add(1).div(2).clamp(0, 1)

    def shape(self, width: int, height: int, frames: int = 1, batch: int = 1) -> tuple[int, ...]:
        """The latent's shape for a picture or video of that many pixels and frames."""
        cells = (height // self.spatial, width // self.spatial)
        if self.dims == 2:
            return (batch, self.channels, *cells)
        return (batch, self.channels, (frames - 1) // self.temporal + 1, *cells)

    def _vectors(self, z: Tensor) -> tuple[Tensor | float, Tensor | float]:
        return _vector(self.shift, z), _vector(self.scale, z)


def check_kin(is_for: str | None, wanted: str, who: str) -> None:
    """ValueError if a latent is known to be for another VAE than is ``wanted`` by ``who``: no shape tells the two apart."""
    if is_for and wanted and is_for != wanted:
        raise ValueError(
            f"this latent is {is_for}'s, {who} {wanted}'s: they look alike, but colours come out wrong."
            " Use the VAE of the model that works on the latent, or decode it and encode the picture anew."
        )


def _vector(values: Sequence[float], like: Tensor) -> Tensor | float:
    if len(values) == 1:
        return values[0]
    return torch.tensor(values, dtype=like.dtype, device=like.device).view(1, -1, *[1] * (like.ndim - 2))
