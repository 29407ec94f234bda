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
TILES_AT_ONCE = 512
"""Tiles transformed together: enough rows for a fast matrix product, few enough to stay in the cache."""

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
    rows, columns = -(-height // TILE), -(-width // TILE)
    padded = F.pad(pixels, (0, 0, 1, TILE * columns - width + 1, 1, TILE * rows - height + 1)).contiguous()
    out = torch.empty(batch, rows, TILE, columns, TILE, kernel.shape[2])
    into, back = (torch.kron(t, t) for t in (torch.tensor(INPUT).float(), torch.tensor(OUTPUT).float()))
    images = batch if batch * rows * columns <= TILES_AT_ONCE else 1
    some_rows = rows if images == batch else max(1, TILES_AT_ONCE // columns)
    for image in range(0, batch, images):
        for row in range(0, rows, some_rows):
            tiles = _tiles(padded[image : image + images, TILE * row : TILE * (row + some_rows) + 2], columns)
            count = tiles.shape[2] * tiles.shape[3]
            places = torch.mm(into, tiles.reshape(36, -1)).view(36, count * columns, channels)
            products = torch.bmm(places, kernel)
            made = torch.mm(back, products.view(36, -1)).view(TILE, TILE, tiles.shape[2], tiles.shape[3], columns, -1)
            target = out[image : image + images, row : row + some_rows]
            made = made.permute(2, 3, 0, 4, 1, 5)
            target.copy_(made) if bias is None else torch.add(made, bias, out=target)
    whole = out.view(batch, TILE * rows, TILE * columns, -1)[:, :height, :width]
    return whole.movedim(-1, 1)


def _tiles(padded: Tensor, columns: int) -> Tensor:
    """(b, 4 r + 2, 4 c + 2, C) -> overlapping 6x6 tiles (6, 6, b, r, c, C), a view."""
    image, down, right, channel = padded.stride()
    rows = (padded.shape[1] - 2) // TILE
    shape = (TILE + 2, TILE + 2, padded.shape[0], rows, columns, padded.shape[3])
    return padded.as_strided(shape, (down, right, image, TILE * down, TILE * right, channel), padded.storage_offset())
