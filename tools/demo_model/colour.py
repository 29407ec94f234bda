"""Hue, saturation and value of whole pictures, and recolouring an icon."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .concepts import OBJECT_COLOURS

Floats = NDArray[np.floating]
Picture = NDArray[np.uint8]


def hsv_of(rgb: Floats) -> tuple[Floats, Floats, Floats]:
    """RGB in 0..1, (..., 3), to hue in degrees, saturation and value."""
    high, low = rgb.max(-1), rgb.min(-1)
    span = high - low + 1e-8
    r, g, b = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    hue = np.where(high == r, (g - b) / span % 6, np.where(high == g, (b - r) / span + 2, (r - g) / span + 4)) * 60
    return hue, span / (high + 1e-8), high


def rgb_of(hue: ArrayLike, saturation: ArrayLike, value: ArrayLike) -> Floats:
    """The inverse of :func:`hsv_of`, https://en.wikipedia.org/wiki/HSL_and_HSV#HSV_to_RGB_alternative."""
    h = np.asarray(hue) % 360
    s, v = np.asarray(saturation), np.asarray(value)

    def channel(n: int) -> Floats:
        k = (n + h / 60) % 6
        return v - v * s * np.clip(np.minimum(k, 4 - k), 0, 1)

    return np.stack([channel(5), channel(3), channel(1)], -1)


def recolour(icon: Picture, colour: str, rng: np.random.Generator) -> Picture:
    """The icon with its main hue, and what lies within 45 degrees of it, moved to the colour's."""
    rgb = icon[..., :3].astype(np.float32) / 255
    h, s, v = hsv_of(rgb)
    weight = (s * v * (icon[..., 3] > 128) * (s > 0.25)).ravel()
    histogram = np.histogram(h.ravel(), bins=72, range=(0, 360), weights=weight)[0]
    smooth = np.sum([np.roll(histogram, k) for k in range(-4, 5)], axis=0)
    distance = (h - (smooth.argmax() * 5 + 2.5) + 180) % 360 - 180
    near = (np.abs(distance) < 45) & (s > 0.12)
    hue, saturation, value = OBJECT_COLOURS[colour]
    hue = hue + rng.uniform(-4, 4)
    moved = rgb_of(hue + distance * 0.25, np.clip(s * saturation, 0, 1), np.clip(v * value, 0, 1))
    out = icon.copy()
    out[..., :3] = np.where(near[..., None], moved * 255, icon[..., :3]).round()
    return out
