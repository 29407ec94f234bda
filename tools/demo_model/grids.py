"""Pictures side by side, to look at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

GAP = 2


def grid(pictures: Tensor, columns: int, labels: Sequence[str] = ()) -> Image.Image:
    """(N, H, W, 3) bytes in rows, each with its label at its foot."""
    n, height, width, _ = pictures.shape
    rows = -(-n // columns)
    sheet = np.full((rows * (height + GAP), columns * (width + GAP), 3), 255, np.uint8)
    for k, picture in enumerate(pictures.numpy()):
        top, left = k // columns * (height + GAP), k % columns * (width + GAP)
        sheet[top : top + height, left : left + width] = picture
    image = Image.fromarray(sheet)
    draw = ImageDraw.Draw(image)
    for k, label in enumerate(labels):
        x, y = k % columns * (width + GAP) + 2, k // columns * (height + GAP) + height - 12
        draw.rectangle([x - 1, y, x + 6 * len(label) + 2, y + 11], fill="white")
        draw.text((x, y), label, fill="black")
    return image
