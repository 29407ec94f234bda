"""The VAE as it travels along edges: pictures to latents and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from engine.diffusion.latent_format import LatentFormat
from engine.diffusion.parts import Part, Place, PlaceOnCpu, working_dtype
from engine.diffusion.tiles import tiled

CELLS = 128 * 128  # latent cells decoded at once: more pictures than that go one after another


@dataclass(frozen=True, eq=False)
class Vae:
    """An autoencoder of a picture. Latents are its own: the denoiser's family scales them (``LatentFormat``)."""

    part: Part
    channels: int = 4  # of the latent
    spatial: int = 8  # pixels to a latent cell
    place: Place = field(default_factory=PlaceOnCpu)
    dtype: torch.dtype | None = None  # None: ``place`` decides
    together: int = 0  # of a film: so many frames (of the batch) are decoded at once, and see each other
    whose: str = ""  # as ``LatentFormat.vae``, where it is known
    latent: LatentFormat | None = None  # set: it was made for latents as a denoiser of that format sees them

    def with_dtype(self, dtype: torch.dtype | None) -> Vae:
        """The same with its computations in another type."""
        return replace(self, dtype=dtype)

    def encode(self, images: Tensor) -> Tensor:
        """The latent (B, C, h, w) float32 of pictures (B, H, W, 3) in 0..1.

        The mean of the posterior, not a sample of it, so that encoding is repeatable without a seed (as ComfyUI since its
        pull request 8705). Pictures are cropped
        around their middle to multiples of the latent cell; channels after the third (alpha) are dropped.
        """
        x = self._pixels(images)
        return self._batched(self._encode, x, x.shape[-2] * x.shape[-1] // self.spatial**2)

    def decode(self, latent: Tensor) -> Tensor:
        """Pictures (B, H, W, 3) float32 in 0..1 of a latent (B, C, h, w)."""
        self._check(latent)
        if self.together:
            return _images(self._each(self._decode, latent, self.together))
        return _images(self._batched(self._decode, latent, latent.shape[-2] * latent.shape[-1]))

    def encode_tiled(self, images: Tensor, tile: int = 512, overlap: int = 64) -> Tensor:
        """``encode`` with at most ``tile`` x ``tile`` pixels at once; ``tile`` and ``overlap`` are rounded to whole cells."""
        x = self._pixels(images)
        size, shared = self._cells(tile, overlap)
        step = self.spatial
        return self._each(lambda one: tiled(self._encode, one, size * step, shared * step, down=step), x)

    def decode_tiled(self, latent: Tensor, tile: int = 512, overlap: int = 64) -> Tensor:
        """``decode`` with at most ``tile`` x ``tile`` pixels of the picture at once."""
        self._check(latent)
        size, shared = self._cells(tile, overlap)
        one = max(1, self.together)
        return _images(self._each(lambda some: tiled(self._decode, some, size, shared, up=self.spatial), latent, one))

    def _cells(self, tile: int, overlap: int) -> tuple[int, int]:
        size = max(1, tile // self.spatial)
        return size, min(overlap // self.spatial, size // 2)

    def _pixels(self, images: Tensor) -> Tensor:
        """(B, H, W, C) in 0..1 -> (B, 3, H', W') in -1..1, cropped to whole cells."""
        if images.ndim != 4 or images.shape[-1] < 3:
            raise ValueError(
                f"VAE encode: expected pictures (batch, height, width, 3), got {tuple(images.shape)}."
                " Convert a mask with MaskToImage."
            )
        height, width = (size // self.spatial * self.spatial for size in images.shape[1:3])
        if not height or not width:
            cell = f"{self.spatial}x{self.spatial}"
            raise ValueError(f"VAE encode: {images.shape[2]}x{images.shape[1]} pixels are less than one {cell} cell.")
        top, left = (images.shape[1] - height) // 2, (images.shape[2] - width) // 2
        cropped = images[:, top : top + height, left : left + width, :3]
        return cropped.movedim(-1, 1).float() * 2 - 1

    def _check(self, latent: Tensor) -> None:
        if latent.ndim != 4 or latent.shape[1] != self.channels:
            raise ValueError(
                f"VAE decode: this VAE takes latents (batch, {self.channels}, height, width), got {tuple(latent.shape)}."
                " Use the VAE that belongs to the model."
            )

    def _encode(self, x: Tensor) -> Tensor:
        network: Any = self.place(self.part, dtype=self.dtype)
        moments = network.encoder(_enter(x, network))
        if getattr(network, "quant_conv", None) is not None:
            moments = network.quant_conv(moments)
        mean: Tensor = moments[:, : self.channels].float()
        return mean if self.latent is None else self.latent.outside(mean)

    def _decode(self, z: Tensor) -> Tensor:
        network: Any = self.place(self.part, dtype=self.dtype)
        z = _enter(z if self.latent is None else self.latent.inside(z), network)
        if getattr(network, "post_quant_conv", None) is not None:
            z = network.post_quant_conv(z)
        film = {"num_frames": len(z), "image_only_indicator": z.new_zeros(1, len(z))} if self.together else {}
        pixels: Tensor = network.decoder(z, **film)
        return pixels.float()

    def _batched(self, function: Callable[[Tensor], Tensor], x: Tensor, cells: int) -> Tensor:
        """``function`` of as many samples at once as fit ``CELLS``."""
        with torch.no_grad():
            return torch.cat([function(some).cpu() for some in _split(x, max(1, CELLS // max(1, cells)))])

    def _each(self, function: Callable[[Tensor], Tensor], x: Tensor, size: int = 1) -> Tensor:
        with torch.no_grad():
            return torch.cat([function(some).cpu() for some in _split(x, size)])


def _enter(x: Tensor, network: nn.Module) -> Tensor:
    """``x`` where the network is, in its type and memory format."""
    weight = next(p for p in network.parameters() if p.ndim == 4)
    last = weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()
    layout = torch.channels_last if last else torch.contiguous_format
    return x.to(device=weight.device, dtype=working_dtype(network), memory_format=layout)


def _split(x: Tensor, size: int) -> list[Tensor]:
    return [x[i : i + size] for i in range(0, x.shape[0], size)]


def _images(pixels: Tensor) -> Tensor:
    """(B, 3, H, W) in -1..1 -> (B, H, W, 3) in 0..1."""
    return pixels.add(1).div(2).clamp(0, 1).movedim(1, -1).contiguous()
