"""LATENT_OPERATION values: functions on a latent (B, C, H, W) that keep its shape."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from engine.diffusion.pixels.filters import convolve, gaussian_kernel

Operation = Callable[[Tensor], Tensor]


def _polar(latent: Tensor) -> tuple[Tensor, Tensor]:
    """The length of each cell's channel vector (B, 1, H, W), and its direction."""
    length: Tensor = latent.norm(dim=1, keepdim=True)
    return length, latent / (length + 1e-10)


def tonemap_reinhard(multiplier: float) -> Operation:
    """Compress the lengths of channel vectors softly, at 5 standard deviations over the mean times ``multiplier``.

    Reinhard et al. 2002, "Photographic tone reproduction for digital images", eq. 3, on latents.
    """

    def operation(latent: Tensor) -> Tensor:
        length, direction = _polar(latent)
        dims = tuple(range(1, length.ndim))
        top = (length.std(dim=dims, keepdim=True) * 5 + length.mean(dim=dims, keepdim=True)) * multiplier
        share = length / top
        return direction * (share / (share + 1.0)) * top

    return operation


def sharpen_latent(radius: int, sigma: float, alpha: float) -> Operation:
    """Unsharp mask on the directions of channel vectors; their lengths stay."""

    def operation(latent: Tensor) -> Tensor:
        length, direction = _polar(latent)
        kernel = gaussian_kernel(radius, sigma) * -(alpha * 10)
        kernel[radius, radius] += 1.0 - kernel.sum()
        return convolve(direction.movedim(1, -1), kernel).movedim(-1, 1) * length

    return operation


