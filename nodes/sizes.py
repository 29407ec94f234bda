"""Widget types that many nodes share: lengths in pixels, counts, shares, and lists of choices."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Interval

from engine.node import Step

MAX_RESOLUTION = 16384

Pixels = Annotated[int, Interval(ge=0, le=MAX_RESOLUTION), Step(1)]
Side = Annotated[int, Interval(ge=1, le=MAX_RESOLUTION), Step(1)]
LatentSide = Annotated[int, Interval(ge=16, le=MAX_RESOLUTION), Step(8)]
Pixels8 = Annotated[int, Interval(ge=0, le=MAX_RESOLUTION), Step(8)]
Count = Annotated[int, Interval(ge=1, le=4096)]
Share = Annotated[float, Interval(ge=0.0, le=1.0), Step(0.01)]
FineShare = Annotated[float, Interval(ge=0.0, le=1.0), Step(0.001)]
Scale = Annotated[float, Interval(ge=0.01, le=8.0), Step(0.01)]
Strength10 = Annotated[float, Interval(ge=0.0, le=10.0), Step(0.01)]
Strength100 = Annotated[float, Interval(ge=-100.0, le=100.0), Step(0.01)]
Sigma = Annotated[float, Interval(ge=0.0, le=5000.0), Step(0.01)]

PixelResize = Literal["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]
LatentResize = Literal["nearest-exact", "bilinear", "area", "bicubic", "bislerp"]
Crop = Literal["disabled", "center"]
Quarters = Literal["none", "90 degrees", "180 degrees", "270 degrees"]
Flip = Literal["x-axis: vertically", "y-axis: horizontally"]
