"""An upscaler as it travels along edges: pictures to larger pictures."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.diffusion import networks, prefixes
from engine.diffusion.checkpoints import check_complete
from engine.diffusion.containers import CheckpointError, read_tensors
from engine.diffusion.parts import Part, Place, PlaceOnCpu, Tensors, straight, working_dtype
from engine.diffusion.tiles import OnTile, silent, tiled
from engine.diffusion.upscaling import compact, rrdb
from engine.diffusion.upscaling.others import by_spandrel

PREFIXES = ("", "module.", "netG.")
MULTIPLE = 4
"""Pixels each way that networks which fold them into channels need; pictures are padded to it and cropped again."""


@dataclass(frozen=True, eq=False)
class UpscaleModel:
    """A network that enlarges pictures ``scale`` times each way."""

    part: Part
    scale: int
    channels: int = 3  # of the pictures it takes: some see them in grey
    place: Place = field(default_factory=PlaceOnCpu)
    multiple: int = MULTIPLE
    minimum: int = 0

    def enlarge(self, images: Tensor, tile: int = 512, overlap: int = 32, on_tile: OnTile = silent) -> Tensor:
        """Pictures (B, H, W, 3) in 0..1, ``scale`` times as large; at most ``tile`` pixels of the original each way at once."""
        pixels = images[..., :3].movedim(-1, 1).float()
        if self.channels == 1:
            pixels = pixels.mean(dim=1, keepdim=True)
        elif self.channels == 4:
            pixels = nn.functional.pad(pixels, (0, 0, 0, 0, 0, 1), value=1.0)  # opaque
        with torch.no_grad():
            done = [
                tiled(self._run, pixels[i : i + 1], tile, overlap, up=self.scale, on_tile=_after(on_tile, i, len(pixels)))
                for i in range(len(pixels))
            ]
        enlarged = torch.cat(done).clamp(0, 1).movedim(1, -1)
        return enlarged[..., :3].expand(*enlarged.shape[:-1], 3).contiguous()

    def _run(self, x: Tensor) -> Tensor:
        """The network's answer to (1, C, H, W), float32 on the CPU."""
        network = self.place(self.part)
        height, width = x.shape[-2:]
        right, bottom = (max(-size % self.multiple, self.minimum - size) for size in (width, height))
        padded = nn.functional.pad(x, (0, right, 0, bottom), mode="replicate")
        out: Tensor = network(padded.to(device=next(network.parameters()).device, dtype=working_dtype(network)))
        return out[..., : height * self.scale, : width * self.scale].float().cpu()


def _after(on_tile: OnTile, before: int, pictures: int) -> OnTile:
    """``on_tile`` for one picture of several, as many tiles each."""
    return lambda done, total: on_tile(before * total + done, pictures * total)


def load_upscaler(path: Path, place: Place | None = None) -> UpscaleModel:
    """The upscaler in a file: ESRGAN and its kin, Real-ESRGAN's small one, or what spandrel knows where it is installed."""
    tensors = read_tensors(path).tensors
    for _, inner in prefixes.candidates(tensors, PREFIXES):
        found = _part(inner)
        if found is not None and not _strange(found[0]):
            part, scale, channels = found
            check_complete(path, part)
            return UpscaleModel(part, scale, channels, place or PlaceOnCpu())
    if (other := by_spandrel(path, tensors)) is not None:
        part, scale, channels, multiple, minimum = other
        return UpscaleModel(part, scale, channels, place or PlaceOnCpu(), math.lcm(MULTIPLE, multiple), minimum)
    more = "" if importlib.util.find_spec("spandrel") else " (more are known where the package spandrel is installed)"
    kind = prefixes.kind(tensors) or f"a network this engine does not know{more}"
    raise CheckpointError(path, f"no upscaler that is known here; this looks like {kind}")


def _part(tensors: Tensors) -> tuple[Part, int, int] | None:
    """The network, how often it enlarges, and the channels it takes."""
    wide = rrdb.read_config(tensors)
    if wide is not None:
        return Part("upscaler", partial(_build, rrdb.RRDB, wide), rrdb.keymap(tensors), tensors), wide.scale, wide.in_channels
    small = compact.read_config(tensors)
    if small is not None:
        return Part("upscaler", partial(_build, compact.Compact, small), straight(tensors), tensors), small.scale, small.channels
    return None


def _strange(part: Part) -> bool:
    """Whether there are weights the network has no place for: it is something else that looks like it."""
    return not part.weights().keys() <= part.build().state_dict().keys()


def _build(network: Callable[[Any], nn.Module], config: Any) -> nn.Module:
    with networks.on_meta():
        return network(config)
