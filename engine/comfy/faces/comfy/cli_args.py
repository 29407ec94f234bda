"""``args``: the flags the program was started with, under ComfyUI's names."""

from __future__ import annotations

import enum
from typing import Any

from engine.comfy.finder import missing
from engine.comfy.host import host

__getattr__ = missing(__name__)


class LatentPreviewMethod(enum.Enum):
    NoPreviews = "none"
    Auto = "auto"
    Latent2RGB = "latent2rgb"
    TAESD = "taesd"

    @classmethod
    def from_string(cls, value: str) -> LatentPreviewMethod | None:
        return next((member for member in cls if member.value == value), None)


class PerformanceFeature(enum.Enum):
    Fp16Accumulation = "fp16_accumulation"
    Fp8MatrixMultiplication = "fp8_matrix_mult"
    CublasOps = "cublas_ops"


class Args:
    """Settings of ours where they have the same name; any other flag was not given: False."""

    def __init__(self) -> None:
        self.preview_method = LatentPreviewMethod.Auto
        self.fast: set[PerformanceFeature] = set()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = host().options.get(name, False)
        return str(value) if value.__class__.__module__.startswith("pathlib") else value


args = Args()
