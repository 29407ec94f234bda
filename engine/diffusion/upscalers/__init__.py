"""Networks that enlarge pictures: recognised by their weights, run in tiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from engine.diffusion.containers import CheckpointError, read_tensors
from engine.diffusion.parts import Part, Place, PlaceOnCpu, Tensors
from engine.diffusion.tiles import boxes, tiled
from engine.diffusion.upscalers import compact, rrdb

__all__ = ["Upscaler", "load_upscaler"]

Report = Callable[[int, int], None]
"""(tiles done, tiles in all); may raise to cancel."""


@dataclass(frozen=True, eq=False)
class Upscaler:
    """The UPSCALE_MODEL value."""

    part: Part
    scale: int
    place: Place

    def upscale(self, images: Tensor, report: Report = lambda done, total: None, tile: int = 512, overlap: int = 32) -> Tensor:
        """Pictures (B, H, W, 3) in 0..1, ``scale`` times as wide and high; ``tile`` pixels at a time, blended in ``overlap``."""
        network = self.place(self.part)
        weight = next(network.parameters())
        tiles = len(list(boxes(images.shape[1], images.shape[2], tile, overlap)))
        done = 0

        def enlarge(x: Tensor) -> Tensor:
            nonlocal done
            out: Tensor = network(x.to(weight)).float().cpu()
            done += 1
            report(done, tiles * len(images))
            return out

        with torch.no_grad():
            large = [tiled(enlarge, image[None, ..., :3].movedim(-1, 1), tile, overlap, up=self.scale) for image in images]
        return torch.cat(large).movedim(1, -1).clamp(0, 1)


def load_upscaler(path: Path, place: Place | None = None) -> Upscaler:
    """The upscaler of a file: ESRGAN and its kin (RRDB, old and new names), or the compact Real-ESRGAN networks."""
    tensors = _inner(read_tensors(path).tensors)
    for architecture in (rrdb, compact):
        found = architecture.recognise(tensors)
        if found is not None:
            return Upscaler(found.part, found.scale, place or PlaceOnCpu())
    problem = "is no upscaler this program knows. It reads ESRGAN and Real-ESRGAN, the compact ones too; otherwise use a latent upscale"
    raise CheckpointError(path, problem)


def _inner(tensors: Tensors) -> Tensors:
    """The weights without the wrapping some training code saves them in."""
    for prefix in ("params_ema.", "params.", "module."):
        inner = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
        if inner:
            return inner
    return tensors
