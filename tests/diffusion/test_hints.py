"""Preprocessors: Canny step by step against scipy, the others against their closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from engine.diffusion.pixels import hints, lines

GENERATOR = torch.Generator().manual_seed(2)


def smooth(size: int = 8, height: int = 60, width: int = 72) -> Tensor:
    coarse = torch.rand(1, 3, size, size, generator=GENERATOR)
    return torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1).movedim(1, -1)


def canny_by_scipy(picture: Tensor, low: float, high: float) -> np.ndarray:
    """Gaussian and Sobel of scipy, then the places that are largest along their gradient, then a flood from the strong ones."""
    grey = (picture[0].double().numpy() * np.array(lines.LUMA)).sum(-1)
    blurred = ndimage.gaussian_filter(grey, 1.0, mode="mirror", truncate=2.0)
    across, down = ndimage.sobel(blurred, 1, mode="nearest"), ndimage.sobel(blurred, 0, mode="nearest")
    strength = np.sqrt(across**2 + down**2 + 1e-6)
    height, width = strength.shape
    thin = np.zeros_like(strength)
    for y in range(height):
        for x in range(width):
            eighth = round(math.atan2(down[y, x], across[y, x]) / (math.pi / 4)) % 8
            dy, dx = lines.EIGHT[eighth]
            neighbours = []
            for sign in (1, -1):
                v, u = y + sign * dy, x + sign * dx
                neighbours.append(strength[v, u] if 0 <= v < height and 0 <= u < width else 1e-3)
            if strength[y, x] > max(neighbours):
                thin[y, x] = strength[y, x]
    edges = thin > high
    reached = list(zip(*np.nonzero(edges), strict=True))
    while reached:
        y, x = reached.pop()
        for dy, dx in lines.EIGHT:
            v, u = y + dy, x + dx
            if 0 <= v < height and 0 <= u < width and thin[v, u] > low and not edges[v, u]:
                edges[v, u] = True
                reached.append((v, u))
    return edges


@pytest.mark.parametrize(("low", "high"), [(0.05, 0.2), (0.1, 0.3), (0.3, 0.31)])
def test_canny_is_its_four_steps(low: float, high: float) -> None:
    picture = smooth()
    ours = lines.canny(picture, low, high)
    expected = canny_by_scipy(picture, low, high)
    assert ours.shape == (1, 60, 72, 3)
    assert expected.any()
    assert (ours[0, ..., 0].bool().numpy() != expected).sum() <= 2  # a tie in one precision is none in the other
    assert torch.equal(ours[..., 0], ours[..., 2])


def test_an_upright_step_is_one_line_and_a_flat_picture_none() -> None:
    step = torch.zeros(1, 16, 16, 3)
    step[:, :, 8:] = 1.0
    found = lines.canny(step)[0, ..., 0]
    assert found.sum(1).tolist() == [1.0] * 16
    assert lines.canny(step.movedim(1, 2))[0, ..., 0].sum(0).tolist() == [1.0] * 16
    assert not lines.canny(torch.full((1, 16, 16, 3), 0.3)).any()


def test_a_weak_edge_stays_only_where_it_is_joined_to_a_strong_one() -> None:
    weak = torch.zeros(1, 1, 5, 7, dtype=torch.bool)
    weak[0, 0, 1, 0:3] = weak[0, 0, 2, 3] = True
    weak[0, 0, 4, 5:7] = True
    strong = torch.zeros_like(weak)
    strong[0, 0, 2, 3] = True
    kept = lines.connected(weak, strong)
    assert kept[0, 0, 1, 0:3].all()
    assert not kept[0, 0, 4].any()


@pytest.mark.parametrize("sigma", [0.8, 2.5])
def test_the_blur_is_scipy_s(sigma: float) -> None:
    x = lines.grey(smooth())
    reach = max(1, math.ceil(3 * sigma))
    expected = ndimage.gaussian_filter(x[0, 0].numpy(), sigma, mode="mirror", radius=reach)
    assert np.allclose(lines.gaussian(x, sigma)[0, 0].numpy(), expected, atol=1e-5)


def test_xdog_is_its_formula_and_a_white_page_has_no_lines() -> None:
    picture = smooth()
    grey = lines.grey(picture)
    fine, coarse = (
        ndimage.gaussian_filter(grey[0, 0].numpy(), s, mode="mirror", radius=math.ceil(3 * s)) for s in (0.8, 0.8 * 1.6)
    )
    sharp = (21.0 * fine - 20.0 * coarse + 0.05) / (coarse + 0.05)
    expected = 1 - np.where(sharp >= 0.5, 1.0, 1 + np.tanh(10.0 * (sharp - 0.5)))
    assert np.allclose(lines.xdog(picture, threshold=0.5)[0, ..., 0].numpy(), np.clip(expected, 0, 1), atol=1e-4)
    assert not lines.xdog(torch.ones(1, 32, 32, 3)).any()
    dark = torch.ones(1, 32, 32, 3)
    dark[:, :, 15:17] = 0.0
    line = lines.xdog(dark)[0, 16, :, 0]
    assert line[15] > 0.9
    assert line[:10].max() < 1e-3


def test_a_scribble_is_thick_and_only_where_something_changes() -> None:
    picture = torch.ones(1, 64, 64, 3)
    picture[:, :, 30:34] = 0.0
    drawn = lines.scribble(picture)
    row = drawn[0, 32, :, 0]
    assert set(row.tolist()) <= {0.0, 1.0}
    assert row[30:34].all()
    assert not row[:16].any()
    assert lines.scribble(picture, 0.12, 9).sum() > lines.scribble(picture, 0.12, 3).sum()
    assert not lines.scribble(torch.full((1, 32, 32, 3), 0.5)).any()


def test_a_tile_keeps_squares_and_loses_what_is_finer() -> None:
    board = torch.zeros(1, 32, 32, 3)
    board[:, ::2, ::2] = board[:, 1::2, 1::2] = 1.0
    assert torch.allclose(hints.tile(board, 4), torch.full_like(board, 0.5), atol=1e-6)
    flat = torch.full((1, 30, 45, 3), 0.3)
    assert torch.allclose(hints.tile(flat, 8), flat, atol=1e-6)
    assert torch.allclose(hints.tile(flat, 1), flat)


def test_a_palette_is_the_mean_of_each_square_also_at_the_edges() -> None:
    picture = torch.rand(1, 40, 56, 3, generator=GENERATOR)
    found = hints.palette(picture, 16)
    for y in range(0, 40, 16):
        for x in range(0, 56, 16):
            square = picture[0, y : y + 16, x : x + 16]
            mean = square.mean((0, 1))
            assert torch.allclose(found[0, y : y + 16, x : x + 16], mean.expand_as(square), atol=1e-5)


def test_without_colour() -> None:
    red = torch.tensor([1.0, 0.0, 0.0]).expand(1, 2, 2, 3)
    assert hints.colourless(red)[0, 0, 0].tolist() == pytest.approx([0.299] * 3)
    assert hints.colourless(red, "intensity")[0, 0, 0].tolist() == pytest.approx([0.5] * 3)
    assert hints.colourless(red, "intensity", 2.0)[0, 0, 0].tolist() == pytest.approx([0.25] * 3)


def test_a_hole_is_minus_one_or_black() -> None:
    picture, mask = torch.full((1, 8, 8, 3), 0.5), torch.zeros(1, 8, 8)
    mask[:, :4] = 1.0
    assert hints.with_hole(picture, mask)[0, :, 0, 0].tolist() == [-1.0] * 4 + [0.5] * 4
    assert hints.with_hole(picture, mask, True)[0, :, 0, 0].tolist() == [0.0] * 4 + [0.5] * 4
