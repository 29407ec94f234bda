"""Filters on pictures (B, H, W, C) float32 in 0..1."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image as PILImage
from torch import Tensor

from engine.diffusion.pixels.resize import Bytes, to_bytes


def gaussian_kernel(radius: int, sigma: float) -> Tensor:
    """(2 radius + 1)^2 weights summing to 1; ``sigma`` is in units of the radius, as ComfyUI's widgets mean it."""
    axis = torch.linspace(-1, 1, 2 * radius + 1)
    squared = axis.view(-1, 1) ** 2 + axis.view(1, -1) ** 2
    weights = torch.exp(-squared / (2.0 * sigma * sigma))
    return weights / weights.sum()


def convolve(images: Tensor, kernel: Tensor) -> Tensor:
    """Each channel of (B, H, W, C) with a square kernel of odd size; the border is mirrored."""
    channels, radius = images.shape[-1], kernel.shape[0] // 2
    x = F.pad(images.movedim(-1, 1), (radius,) * 4, mode="reflect")
    weight = kernel.to(images).expand(channels, 1, *kernel.shape)
    return F.conv2d(x, weight, groups=channels).movedim(1, -1)


def blur(images: Tensor, radius: int, sigma: float) -> Tensor:
    """Gaussian blur; ``radius`` 0 changes nothing."""
    return images if radius == 0 else convolve(images, gaussian_kernel(radius, sigma))


def sharpen(images: Tensor, radius: int, sigma: float, alpha: float) -> Tensor:
    """Unsharp mask: the picture plus 10 ``alpha`` times its difference from the blurred one, clamped to 0..1."""
    if radius == 0:
        return images
    kernel = gaussian_kernel(radius, sigma) * -(alpha * 10)
    kernel[radius, radius] += 1.0 - kernel.sum()
    return convolve(images, kernel).clamp(0, 1)


BLEND_MODES = ("normal", "multiply", "screen", "overlay", "soft_light", "difference")


def blend(under: Tensor, over: Tensor, factor: float, mode: str) -> Tensor:
    """``under`` with ``factor`` of the blend of both, clamped; W3C compositing formulas, but difference keeps its sign."""
    if mode == "normal":
        mixed = over
    elif mode == "multiply":
        mixed = under * over
    elif mode == "screen":
        mixed = 1 - (1 - under) * (1 - over)
    elif mode == "overlay":
        mixed = torch.where(under <= 0.5, 2 * under * over, 1 - 2 * (1 - under) * (1 - over))
    elif mode == "soft_light":
        root = torch.where(under <= 0.25, ((16 * under - 12) * under + 4) * under, under.sqrt())
        mixed = torch.where(over <= 0.5, under - (1 - 2 * over) * under * (1 - under), under + (2 * over - 1) * (root - under))
    elif mode == "difference":
        mixed = under - over
    else:
        raise ValueError(f"expected a blend mode of {', '.join(BLEND_MODES)}, but got {mode!r}")
    return (under * (1 - factor) + mixed * factor).clamp(0, 1)


def bayer_matrix(n: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The ordered-dither matrix of side 2^n, centred on 0, spanning less than 1. Bayer 1973."""
    if n == 0:
        return np.zeros((1, 1))
    q = 4**n
    m = q * bayer_matrix(n - 1)
    return np.asarray(np.block([[m - 1.5, m + 0.5], [m + 1.5, m - 0.5]]) / q)


DITHERS = ("none", "floyd-steinberg", "bayer-2", "bayer-4", "bayer-8", "bayer-16")


def quantize(images: Tensor, colours: int, dither: str) -> Tensor:
    """Each picture in a palette of its own of at most ``colours`` colours (PIL's median cut)."""
    out = []
    for pixels in to_bytes(images[..., :3]):
        picture = PILImage.fromarray(pixels, "RGB")
        palette = picture.quantize(colours, dither=PILImage.Dither.NONE)
        if dither == "none":
            indexed = palette
        elif dither == "floyd-steinberg":
            indexed = picture.quantize(palette=palette, dither=PILImage.Dither.FLOYDSTEINBERG)
        else:
            indexed = _ordered(pixels, palette, int(dither.removeprefix("bayer-")))
        out.append(torch.from_numpy(np.asarray(indexed.convert("RGB"), dtype=np.float32) / 255.0))
    return torch.stack(out)


def _ordered(pixels: Bytes, palette: PILImage.Image, order: int) -> PILImage.Image:
    entries = len(palette.getpalette() or ()) // 3
    matrix = (2 * 256 / max(entries, 1)) * bayer_matrix(int(math.log2(order))) + 0.5
    height, width = pixels.shape[:2]
    tiled = np.tile(matrix, (math.ceil(height / order), math.ceil(width / order)))[:height, :width, None]
    nudged = np.clip(pixels.astype(np.float32) + tiled.astype(np.float32), 0, 255).astype(np.uint8)
    return PILImage.fromarray(nudged, "RGB").quantize(palette=palette, dither=PILImage.Dither.NONE)


MORPHOLOGIES = ("erode", "dilate", "open", "close", "gradient", "bottom_hat", "top_hat")


def morphology(images: Tensor, operation: str, size: int) -> Tensor:
    """Grey-value morphology with a square of ``size`` pixels; the border never wins. Serra 1982."""

    def dilate(x: Tensor) -> Tensor:
        before = size // 2
        padded = F.pad(x, (before, size - 1 - before) * 2, value=-math.inf)
        return F.max_pool2d(padded, size, stride=1)

    def erode(x: Tensor) -> Tensor:
        return -dilate(-x)

    x = images.movedim(-1, 1)
    operations = {
        "erode": lambda: erode(x),
        "dilate": lambda: dilate(x),
        "open": lambda: dilate(erode(x)),
        "close": lambda: erode(dilate(x)),
        "gradient": lambda: dilate(x) - erode(x),
        "top_hat": lambda: x - dilate(erode(x)),
        "bottom_hat": lambda: erode(dilate(x)) - x,
    }
    return operations[operation]().movedim(1, -1)


def rgb_to_ycbcr(images: Tensor) -> Tensor:
    """Full-range YCbCr of BT.601 with chroma centred on 0.5, as in JFIF; (B, H, W, 3)."""
    r, g, b = images[..., :3].unbind(-1)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return torch.stack((y, (b - y) * 0.564 + 0.5, (r - y) * 0.713 + 0.5), dim=-1)


def ycbcr_to_rgb(images: Tensor) -> Tensor:
    """The inverse of :func:`rgb_to_ycbcr`, to three decimals."""
    y, cb, cr = images[..., 0], images[..., 1] - 0.5, images[..., 2] - 0.5
    return torch.stack((y + 1.403 * cr, y - 0.714 * cr - 0.344 * cb, y + 1.773 * cb), dim=-1)
