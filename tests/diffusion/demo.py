"""The shipped checkpoint's denoiser and prompts that need no text encoder, for tests of sampling."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch

from engine.diffusion.containers import read_tensors
from engine.diffusion.families.sd1 import SD1
from engine.diffusion.model import Model
from engine.diffusion.parts import Part, under
from engine.diffusion.residency import Residency

CHECKPOINT = Path(__file__).parents[2] / "models" / "checkpoints" / "loom-demo.safetensors"
RESIDENCY = Residency("cpu")


@cache
def demo_model() -> Model:
    """The 6.7 M parameter UNet as it ships; the same object for every test, since nothing may change it."""
    tensors = under(read_tensors(CHECKPOINT).tensors, "model.diffusion_model.")
    family = SD1.recognise(tensors, {}, {})
    assert family is not None
    return Model(Part("denoiser", family.build, family.keymap(tensors), tensors), family, RESIDENCY)


def prompt(seed: int, tokens: int = 77, **options: Any) -> list[list[Any]]:
    """A conditioning of random numbers."""
    return [[torch.randn(1, tokens, 128, generator=torch.Generator().manual_seed(seed)), options]]


def empty(batch: int = 1, size: int = 16) -> dict[str, Any]:
    return {"samples": torch.zeros(batch, 4, size, size)}


def picture(seed: int, batch: int = 1, size: int = 16) -> dict[str, Any]:
    """A latent as a VAE would make it: about 1 / 0.18215 in spread."""
    return {"samples": torch.randn(batch, 4, size, size, generator=torch.Generator().manual_seed(seed)) * 5}
