"""How different pictures of one prompt are, and how far that can be trusted: measures without a network of their own.

Features are (n, d) with rows of length 1; a kernel K is (n, n), K_ij = k(x_i, x_j), with 1 on its diagonal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.diffusion.vae import Vae

GRID = 32
"""Pixels a side of a picture as ``low_pass`` sees it."""

RESAMPLES = 2000


def vendi(kernel: Tensor) -> float:
    """How many wholly different things there are among n: exp(-sum l log l) of the eigenvalues l of K / n; 1 to n.

    Friedman & Dieng 2022, https://arxiv.org/abs/2210.02410, definition 3.1.
    """
    eigenvalues = torch.linalg.eigvalsh(kernel.double() / len(kernel)).clamp(min=0)
    known = eigenvalues[eigenvalues > 0]
    return float(torch.exp(-(known * known.log()).sum()))


def mean_pairwise(distances: Tensor) -> float:
    """The average over all pairs of different things of a matrix (n, n) of distances; of fewer than two things 0."""
    n = len(distances)
    return float(distances.double().triu(1).sum() * 2 / (n * (n - 1))) if n > 1 else 0.0


def cosine_kernel(features: Tensor) -> Tensor:
    """The cosines between rows."""
    unit = F.normalize(features.double(), dim=1)
    kernel: Tensor = unit @ unit.T
    return kernel


def low_pass(images: Tensor, grid: int = GRID) -> Tensor:
    """(n, d): pictures (n, H, W, 3) in 0..1 at ``grid`` pixels a side, less the grey of a picture that is nowhere anything.

    What is left is layout and colour; fine detail is gone.
    """
    small = F.interpolate(images[..., :3].movedim(-1, 1).float(), size=(grid, grid), mode="area")
    return (small - 0.5).flatten(1)


def low_pass_distances(images: Tensor, grid: int = GRID) -> Tensor:
    """Root mean square differences of pictures so small: 0 to 1."""
    features = low_pass(images, grid).double()
    distances: Tensor = torch.cdist(features, features)
    return distances / math.sqrt(features.shape[1])


@torch.no_grad()
def vae_features(vae: Vae, images: Tensor) -> Tensor:
    """(n, d): what the VAE's encoder makes of pictures at every level, each place's channels of length 1.

    The distance of two rows is that of LPIPS without its learned weights: Zhang et al. 2018, https://arxiv.org/abs/1801.03924,
    equation 1.
    """
    network: Any = vae.place(vae.part, dtype=vae.dtype)
    levels: list[Tensor] = []

    def keep(module: Any, args: Any, output: Tensor) -> None:
        unit = F.normalize(output.float(), dim=1)
        levels.append((unit / (unit.shape[2] * unit.shape[3]) ** 0.5).flatten(1).cpu())

    handles = [block.register_forward_hook(keep) for block in network.encoder.down_blocks]
    rows: list[Tensor] = []
    try:
        for k in range(len(images)):
            levels.clear()
            vae.encode(images[k : k + 1])
            rows.append(torch.cat(levels, dim=1) / len(levels) ** 0.5)
    finally:
        for handle in handles:
            handle.remove()
    return torch.cat(rows)


def detail(images: Tensor) -> float:
    """How much of pictures (n, H, W, 3) is fine: mean difference from their 3 x 3 average. Noise is fine too: look at them."""
    picture = images[..., :3].movedim(-1, 1).float()
    return float((picture - F.avg_pool2d(picture, 3, 1, 1, count_include_pad=False)).abs().mean())


class Interval(NamedTuple):
    """A mean, and where it lies with 95 % confidence."""

    mean: float
    low: float
    high: float


def bootstrap(values: Sequence[float], seed: int = 0) -> Interval:
    """The interval by drawing as many of the values, with repetition, again and again. Efron 1979, "Bootstrap methods"."""
    drawn = torch.tensor(values, dtype=torch.float64)
    return _interval(drawn.mean(), drawn[_resampled(len(values), seed)].mean(1))


def bootstrap_ratio(values: Sequence[float], others: Sequence[float], seed: int = 0) -> Interval:
    """Of mean(values) / mean(others), of the same prompts in the same order: what they share does not widen it."""
    a, b = (torch.tensor(some, dtype=torch.float64) for some in (values, others))
    rows = _resampled(len(values), seed)
    return _interval(a.mean() / b.mean(), a[rows].mean(1) / b[rows].mean(1))


def bootstrap_difference(values: Sequence[float], others: Sequence[float], seed: int = 0) -> Interval:
    """Of mean(values) - mean(others), of the same prompts in the same order."""
    return bootstrap([a - b for a, b in zip(values, others, strict=True)], seed)


def _resampled(n: int, seed: int) -> Tensor:
    return torch.randint(n, (RESAMPLES, n), generator=torch.Generator().manual_seed(seed))


def _interval(mean: Tensor, draws: Tensor) -> Interval:
    return Interval(float(mean), float(draws.quantile(0.025)), float(draws.quantile(0.975)))


class Variety(NamedTuple):
    """The measures of the pictures of one prompt."""

    vendi: float
    distance: float  # mean pairwise, of features
    layout: float  # mean pairwise low-pass distance


def variety(images: Tensor, features: Tensor) -> Variety:
    """Of pictures (n, H, W, 3) with features (n, d): LPIPS-like distance is half the squared one, 1 - cosine."""
    kernel = cosine_kernel(features)
    return Variety(vendi(sharpened(kernel)), mean_pairwise(1 - kernel), mean_pairwise(low_pass_distances(images)))


def sharpened(kernel: Tensor, width: float = 0.25) -> Tensor:
    """exp(-(1 - cosine) / width): deep features of any two pictures are alike, and this counts what they differ in.

    A Gaussian kernel of the features' distance, so it is a kernel too.
    """
    return torch.exp(-(1 - kernel.double()) / width)
