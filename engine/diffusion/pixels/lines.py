"""Lines of pictures (B, H, W, 3) as ControlNets were shown them: white on black, (B, H, W, 3)."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601: how much each colour counts for brightness."""

SOBEL = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))
DARK = 0.05
"""Brightness that differences are measured against where there is hardly any."""

FLAT = 1e-3
"""The gradient of a flat place, and of what is beyond the border."""

EIGHT = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))
"""(down, across) to the neighbour in each eighth of a turn, from the right clockwise."""


def grey(images: Tensor) -> Tensor:
    """(B, 1, H, W): brightness."""
    pixels = images[..., :3].movedim(-1, 1).float()
    if pixels.shape[1] == 1:
        return pixels
    return (pixels * torch.tensor(LUMA, device=pixels.device).view(1, 3, 1, 1)).sum(1, keepdim=True)


def white(lines: Tensor) -> Tensor:
    """(B, 1, H, W) as a picture of three equal channels."""
    return lines.movedim(1, -1).expand(-1, -1, -1, 3).contiguous()


def gaussian(x: Tensor, sigma: float, reach: int | None = None) -> Tensor:
    """(B, 1, H, W) blurred; ``reach`` cells to either side, by default 3 sigma. The border is mirrored."""
    reach = min(reach or max(1, math.ceil(3 * sigma)), x.shape[-1] - 1, x.shape[-2] - 1)
    if reach <= 0 or sigma <= 0:
        return x
    axis = torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype)
    kernel = torch.exp(-0.5 * (axis / sigma) ** 2)
    kernel = kernel / kernel.sum()
    x = F.conv2d(F.pad(x, (reach, reach, 0, 0), mode="reflect"), kernel.view(1, 1, 1, -1))
    return F.conv2d(F.pad(x, (0, 0, reach, reach), mode="reflect"), kernel.view(1, 1, -1, 1))


def gradients(x: Tensor) -> tuple[Tensor, Tensor]:
    """Sobel's derivatives (across, down) of (B, 1, H, W); beyond the border is what is on it."""
    kernel = torch.tensor(SOBEL, device=x.device, dtype=x.dtype)
    both = torch.stack([kernel, kernel.T]).unsqueeze(1)
    across, down = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), both).chunk(2, dim=1)
    return across, down


def canny(images: Tensor, low: float = 0.4, high: float = 0.8) -> Tensor:
    """Edges one cell wide, 0 or 1. Canny 1986, with a blur of sigma 1 over five cells, as kornia and so ComfyUI do it.

    An edge is a gradient (of brightness in 0..1) that is the largest along its direction and over ``high``, or over
    ``low`` and connected to one over ``high``.
    """
    across, down = gradients(gaussian(grey(images), 1.0, 2))
    strength = (across * across + down * down + FLAT**2).sqrt()
    direction = (torch.atan2(down, across) / (math.pi / 4)).round().long() % 8
    height, width = strength.shape[-2:]
    around = F.pad(strength, (1, 1, 1, 1), value=FLAT)
    ahead = torch.cat([around[..., 1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width] for dy, dx in EIGHT], dim=1)
    largest = _beats(strength, ahead, direction) & _beats(strength, ahead, (direction + 4) % 8)
    thin = strength * (largest & (strength > FLAT))
    return white(connected(thin > low, thin > high).to(images.dtype))


def _beats(strength: Tensor, around: Tensor, direction: Tensor) -> Tensor:
    """Whether a place is stronger than its neighbour; of two equal ones across an upright or level step the first stays."""
    neighbour = around.gather(1, direction)
    return torch.where((direction == 0) | (direction == 2), strength >= neighbour, strength > neighbour)


def connected(weak: Tensor, strong: Tensor) -> Tensor:
    """The places of ``weak`` (B, 1, H, W), bool, that a path of weak places, diagonals too, joins to a strong one."""
    from scipy import ndimage

    kept = []
    for candidates, sure in zip(weak[:, 0].cpu().numpy(), (strong & weak)[:, 0].cpu().numpy(), strict=True):
        labels, count = ndimage.label(candidates, structure=np.ones((3, 3)))
        wanted = np.zeros(count + 1, dtype=bool)
        wanted[labels[sure]] = True
        wanted[0] = False
        kept.append(torch.from_numpy(wanted[labels]))
    return torch.stack(kept).unsqueeze(1).to(weak.device)


def xdog(
    images: Tensor, sigma: float = 0.8, wider: float = 1.6, sharpness: float = 20.0, threshold: float = 0.8, slope: float = 10.0
) -> Tensor:
    """Ink lines by an extended difference of Gaussians, soft where ``slope`` is low.

    S = ((1 + p) G(sigma) - p G(wider sigma)) / G(wider sigma): the division keeps dark places from being all ink. 1 where S is
    over the threshold, else 1 + tanh(slope (S - threshold)); the lines are what is dark.
    Winnemoeller et al. 2012, https://doi.org/10.1016/j.cag.2012.03.004, equations 5 to 7.
    """
    brightness = grey(images)
    fine, coarse = gaussian(brightness, sigma), gaussian(brightness, sigma * wider)
    sharpened = ((1 + sharpness) * fine - sharpness * coarse + DARK) / (coarse + DARK)
    paper = torch.where(sharpened >= threshold, 1.0, 1.0 + torch.tanh(slope * (sharpened - threshold)))
    return white((1.0 - paper).clamp(0, 1))


def scribble(images: Tensor, threshold: float = 0.12, width: int = 5) -> Tensor:
    """Thick rough strokes, 0 or 1, ``width`` cells and more: the dark side of where brightness changes.

    ``threshold`` is five times the difference of two blurs, as a share of the brightness.
    """
    brightness = grey(images)
    fine, coarse = gaussian(brightness, 1.4), gaussian(brightness, 2.2)
    edges = coarse - fine > threshold / 5 * (coarse + DARK)
    reach = max(0, width // 2)
    return white(F.max_pool2d(edges.to(images.dtype), 2 * reach + 1, 1, reach))
