"""The model families this engine knows, in the order they are asked whether a file is theirs."""

from __future__ import annotations

from engine.diffusion.families.family import Family
from engine.diffusion.families.sd1 import SD1
from engine.diffusion.families.sd2 import SD2
from engine.diffusion.families.sdxl import SDXL, SDXLRefiner

FAMILIES: tuple[type[Family], ...] = (SD1, SD2, SDXL, SDXLRefiner)
