"""Plain coloured backgrounds and six scenes, drawn with numpy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .colour import Floats, rgb_of
from .concepts import BACKGROUND_COLOURS

SIZE = 128
Y, X = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)


def mix(a: Floats, b: Floats, t: Floats) -> Floats:
    """``a`` where ``t`` is 0, ``b`` where it is 1; ``t`` is (H, W)."""
    return a + (b - a) * t[..., None]


class Brush:
    """A random state and a horizon, and what the scenes draw with them."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.horizon = rng.uniform(0.56, 0.72) * SIZE

    def tint(self, h: float, s: float, v: float, jitter: float = 0.06) -> Floats:
        """A colour near (h, s, v), (1, 1, 3)."""
        rng = self.rng
        hue = h + rng.uniform(-7, 7)
        saturation = np.clip(s + rng.uniform(-jitter, jitter), 0, 1)
        value = np.clip(v + rng.uniform(-jitter, jitter), 0, 1)
        return rgb_of(hue, saturation, value).astype(np.float32)[None, None]

    def edge(self, height: float) -> Floats:
        """A soft, slightly wavy horizon: 0 above it, 1 below."""
        y = self.horizon + height * np.sin(X[0] / SIZE * self.rng.uniform(2, 7) + self.rng.uniform(0, 6.3))
        return np.clip(Y - y[None] + 0.5, 0, 1)

    def sky(self, top: Floats, bottom: Floats) -> Floats:
        """From ``top`` at the upper edge to ``bottom`` at the horizon."""
        return mix(top, bottom, np.clip(Y / self.horizon, 0, 1))

    def dot(self, radius: tuple[float, float], height: float) -> tuple[Floats, float]:
        """The distance to a random point above ``height``, and a random radius."""
        rng = self.rng
        x, y, r = rng.uniform(0, SIZE), rng.uniform(0, height), rng.uniform(*radius)
        return np.hypot(X - x, Y - y), r


def grass(b: Brush) -> Floats:
    im = b.sky(b.tint(207, 0.5, 0.95), b.tint(200, 0.2, 0.99))
    ground = mix(b.tint(105, 0.6, 0.72), b.tint(115, 0.68, 0.55), np.clip((Y - b.horizon) / (SIZE - b.horizon), 0, 1))
    return mix(im, ground, b.edge(3))


def beach(b: Brush) -> Floats:
    im = b.sky(b.tint(200, 0.4, 0.98), b.tint(195, 0.15, 1))
    im = mix(im, b.tint(198, 0.72, 0.8), np.clip(Y - b.horizon * 0.82 + 0.5, 0, 1))
    return mix(im, b.tint(42, 0.34, 0.95), b.edge(2))


def snow(b: Brush) -> Floats:
    im = b.sky(b.tint(212, 0.32, 0.82), b.tint(205, 0.13, 0.95))
    im = mix(im, np.float32([[[0.97, 0.98, 1]]]), b.edge(4))
    for _ in range(b.rng.integers(10, 22)):
        distance, r = b.dot((1, 2.2), b.horizon)
        im = mix(im, np.ones((1, 1, 3), np.float32), np.clip(r - distance + 0.5, 0, 1))
    return im


def night(b: Brush) -> Floats:
    im = b.sky(b.tint(232, 0.72, 0.2, 0.04), b.tint(238, 0.55, 0.36, 0.04))
    for _ in range(b.rng.integers(12, 26)):
        distance, r = b.dot((0.7, 1.5), b.horizon)
        im = mix(im, np.float32([[[1, 1, 0.85]]]), np.clip(r - distance + 0.5, 0, 1) * 0.9)
    return mix(im, b.tint(225, 0.5, 0.13, 0.03), b.edge(4))


def sunset(b: Brush) -> Floats:
    im = b.sky(b.tint(290, 0.45, 0.6), b.tint(27, 0.7, 1, 0.03))
    return mix(im, b.tint(280, 0.45, 0.24, 0.04), b.edge(3))


def underwater(b: Brush) -> Floats:
    im = mix(b.tint(190, 0.6, 0.9), b.tint(218, 0.85, 0.45), np.clip(Y / SIZE, 0, 1))
    for _ in range(b.rng.integers(5, 12)):
        distance, r = b.dot((1.5, 4), SIZE)
        im = mix(im, np.float32([[[0.85, 0.97, 1]]]), np.clip(1.1 - np.abs(distance - r), 0, 1) * 0.7)
    return im


DRAWN: dict[str, Callable[[Brush], Floats]] = {
    "grass": grass, "beach": beach, "snow": snow, "night": night, "sunset": sunset, "underwater": underwater,
}


def plain(name: str, rng: np.random.Generator) -> Floats:
    """One colour, with a slight shade from top to bottom."""
    hue, saturation, value = BACKGROUND_COLOURS[name]
    colour = rgb_of(rng.uniform(*hue), rng.uniform(*saturation), rng.uniform(*value)).astype(np.float32)
    k = rng.uniform(-0.07, 0.07)
    return np.clip(colour[None, None] * (1 + k * (Y / SIZE * 2 - 1))[..., None], 0, 1)


def background(name: str, rng: np.random.Generator) -> tuple[Floats, float | None]:
    """The picture without objects, and the height of the ground they stand on (None: they float anywhere)."""
    if name in BACKGROUND_COLOURS:
        return plain(name, rng), None
    brush = Brush(rng)
    return DRAWN[name](brush), None if name == "underwater" else brush.horizon
