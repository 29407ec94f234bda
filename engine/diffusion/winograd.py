"""3x3 convolution in a quarter of the multiplications, for processors that compute in float32.

Winograd's F(4x4, 3x3): 6x6 tiles of the input and the kernels go to a basis where convolution is a product by places, so that
36 matrix products give what would take 144. The relative error is about 1e-5 in float32. Lavin & Gray 2015,
https://arxiv.org/abs/1509.09308.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

TILE = 4  # outputs of a tile, each way; it reads TILE + 2 inputs
CACHE = 24 << 20
"""Bytes of transformed tiles worked on together: few enough to stay in the last cache."""

INPUT = (
    (4, 0, -5, 0, 1, 0), (0, -4, -4, 1, 1, 0), (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0), (0, 2, -1, -2, 1, 0), (0, 4, 0, -5, 0, 1),
)  # fmt: skip
KERNEL_24THS = ((6, 0, 0), (-4, -4, -4), (-4, 4, -4), (1, 2, 4), (1, -2, 4), (0, 0, 24))
OUTPUT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))
"""The three transforms, each applied along both axes."""


def kernel_transform(weight: Tensor) -> Tensor:
    """(O, I, 3, 3) -> (36, I, O) float32, four times the numbers; computed in float64, a few output channels at a time."""
    outputs, inputs = weight.shape[:2]
    transformed, along = torch.empty(36, inputs, outputs), torch.tensor(KERNEL_24THS, dtype=torch.float64) / 24
    for first in range(0, outputs, 64):
        some = weight[first : first + 64].double()
        transformed[:, :, first : first + 64] = torch.einsum("ij,ocjk,lk->ilco", along, some, along).flatten(0, 1)
    return transformed


def conv3x3(x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """The convolution with stride 1 and zero padding 1 of ``x`` (B, I, H, W); the result is channels_last.

    ``kernel`` is ``kernel_transform(weight)``.
    """
    pixels = x.movedim(1, -1)
    batch, height, width, channels = pixels.shape
    rows, columns, outputs = -(-height // TILE), -(-width // TILE), kernel.shape[2]
    out = torch.empty(batch, rows, TILE, columns, TILE, outputs, device=x.device)
    into, back = (torch.kron(t, t) for t in (torch.tensor(INPUT).float(), torch.tensor(OUTPUT).float()))
    at_once = max(64, min(512, CACHE // (36 * 4 * max(channels, outputs))))
    images, some_rows = (batch, rows) if batch * rows * columns <= at_once else (1, max(1, at_once // columns))
    for image in range(0, batch, images):
        for row in range(0, rows, some_rows):
            tiles = _tiles(pixels[image : image + images], row, min(row + some_rows, rows), columns)
            places = torch.mm(into, tiles.reshape(36, -1)).view(36, -1, channels)
            products = torch.bmm(places, kernel).view(36, -1)
            made = torch.mm(back, products).view(TILE, TILE, *tiles.shape[2:5], outputs).permute(2, 3, 0, 4, 1, 5)
            target = out[image : image + images, row : row + some_rows]
            _ = target.copy_(made) if bias is None else torch.add(made, bias, out=target)
    return out.view(batch, TILE * rows, TILE * columns, outputs)[:, :height, :width].movedim(-1, 1)


def _tiles(pixels: Tensor, first: int, end: int, columns: int) -> Tensor:
    """Rows ``first`` to ``end`` of the overlapping 6x6 tiles of (b, H, W, C), zeros around it: (6, 6, b, r, c, C), a view."""
    height, width = pixels.shape[1:3]
    top, bottom = TILE * first - 1, TILE * end + 1
    inside = pixels[:, max(top, 0) : min(bottom, height)]
    padding = (0, 0, 1, TILE * columns - width + 1, max(-top, 0), max(bottom - height, 0))
    padded = F.pad(inside, padding).contiguous()
    image, down, right, channel = padded.stride()
    shape = (TILE + 2, TILE + 2, padded.shape[0], end - first, columns, padded.shape[3])
    return padded.as_strided(shape, (down, right, image, TILE * down, TILE * right, channel))
