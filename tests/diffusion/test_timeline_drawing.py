"""A timeline's drawing shows who draws when, on the axis of the model's own time."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.diffusion.sampling import schedule
from engine.diffusion.timeline import Point, Ramp, Segment, Timeline
from engine.diffusion.timeline_drawing import BANDS, BOTTOM, HEIGHT, LEFT, LINES, RIGHT, TOP, WIDTH, draw
from engine.diffusion.timeline_presets import PRESETS, Plan
from tests.diffusion.demo import demo_model
from tests.diffusion.test_timeline import adapter

SIGMAS = schedule(demo_model(), "normal", 5)


def rgb(colour: str) -> Tensor:
    return torch.tensor([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])


def columns(picture: Tensor, colour: str) -> Tensor:
    """The x of the pixels of that colour, by columns."""
    return ((picture[0] - rgb(colour)).abs().amax(-1) < 0.01).any(0).nonzero()[:, 0]


def x_of(share: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * share


@pytest.mark.parametrize("share", [0.25, 0.5, 0.8])
def test_a_band_ends_where_the_next_segment_starts(share: float) -> None:
    two = Timeline((Segment(demo_model(), 4.0), Segment(demo_model(), 1.0, Point(share, "percent"))))
    picture = draw(two, SIGMAS)
    assert picture.shape == (1, HEIGHT, WIDTH, 3)
    first, second = (columns(picture[:, TOP + 70 : HEIGHT - BOTTOM], band) for band in BANDS[:2])
    assert int(first.min()) == pytest.approx(LEFT, abs=4)
    assert int(first.max()) == pytest.approx(x_of(share), abs=8)
    assert int(second.min()) == pytest.approx(x_of(share), abs=8)
    assert int(second.max()) == pytest.approx(WIDTH - RIGHT, abs=4)


def test_a_strength_s_line_rises_with_the_strength() -> None:
    ramp = Ramp(adapter(), ((Point(0.0, "percent"), 0.0), (Point(1.0, "percent"), 1.0)))
    inside = draw(Timeline((Segment(demo_model(), 4.0),), (ramp,)), SIGMAS)[0, TOP : HEIGHT - BOTTOM + 2]
    on = (inside - rgb(LINES[1])).abs().amax(-1) < 0.01
    heights = [float(on[:, round(x_of(share))].nonzero().float().mean()) for share in (0.1, 0.5, 0.9)]
    assert heights[0] > heights[1] > heights[2]
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2], abs=4)


def test_what_a_seed_changes_is_written_there() -> None:
    plain = Plan(demo_model(), SIGMAS)
    told = draw(*PRESETS["seed variance"](plain))
    assert not torch.equal(told[:, :TOP], draw(Timeline((Segment(demo_model(), plain.base_cfg),)), SIGMAS)[:, :TOP])
