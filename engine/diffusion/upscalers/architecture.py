"""What recognising an upscaler gives."""

from __future__ import annotations

from dataclasses import dataclass

from engine.diffusion.parts import Part


@dataclass(frozen=True)
class Found:
    """The network of a file, and how many times it enlarges."""

    part: Part
    scale: int
