"""Stable Video 3D: an object seen from all around; the network of Stable Video Diffusion, told where each frame's camera stands.

https://github.com/Stability-AI/generative-models (MIT), configs/inference/sv3d_u.yaml and sv3d_p.yaml,
scripts/sampling/simple_video_sample.py; Voleti et al. 2024, https://arxiv.org/abs/2403.12008. Its form ``u`` always turns at the
picture's height and is told no angles; ``p`` is told two a frame.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from engine.diffusion.families import beside, unet
from engine.diffusion.families.family import Defaults, Inputs, Residuals
from engine.diffusion.families.svd import SVD
from engine.diffusion.parts import Tensors, working_dtype

NOISE, ANGLE = 256, 512
"""Widths of the sinusoids of the noise on the picture, and of each of a camera's two angles."""

WIDTHS = (NOISE, NOISE + 2 * ANGLE)


@dataclass(frozen=True)
class SV3D(SVD):
    """Bound to one file's UNet."""

    name: ClassVar[str] = "sv3d"
    title: ClassVar[str] = "Stable Video 3D"

    @classmethod
    def recognise(cls, tensors: Tensors, loose: Tensors, metadata: Mapping[str, str]) -> Self | None:
        if "middle_block.1.time_stack.0.norm1.weight" not in tensors:
            return None
        config = unet.read_config(tensors, film=True)
        if config is None or config.vector not in WIDTHS or config.in_channels != 2 * config.out_channels:
            return None
        return cls(config)

    @property
    def defaults(self) -> Defaults:
        return Defaults(steps=50, cfg=2.5, scheduler="karras", width=576, height=576)

    def condition(self, tensor: Tensor, options: Mapping[str, Any], x: Tensor, *, negative: bool = False) -> Inputs:
        """As of a film, with ``camera`` (T, vector) for how it moves: ``elevation``, ``azimuth`` in degrees, one a frame."""
        frames = x.shape[0]
        inputs = super().condition(tensor, options, x, negative=negative)
        del inputs["time_ids"]
        told = [beside.sinusoids(torch.full((frames,), float(options.get("augmentation_level", 0.0))), NOISE)]
        if self.config.vector != NOISE:
            around, up = (_angles(options.get(name), frames) for name in ("azimuth", "elevation"))
            polar = [math.radians(90.0 - angle) for angle in up]
            turned = [math.radians((angle - around[-1]) % 360.0) for angle in around]
            told += [beside.sinusoids(torch.tensor(angles), ANGLE) for angles in (polar, turned)]
        return {**inputs, "camera": torch.cat(told, dim=1).to(x.device)}

    def forward(
        self, network: nn.Module, x: Tensor, timestep: Tensor, inputs: Inputs, residuals: Residuals | None = None
    ) -> Tensor:
        unused = torch.zeros(x.shape[0], (self.config.vector or 0) // unet.TIME_IDS, device=x.device)
        with told(network, inputs["camera"].to(working_dtype(network))):
            return super().forward(network, x, timestep, {**inputs, "time_ids": unused}, residuals)


def orbit(frames: int) -> list[float]:
    """Azimuths, degrees, of a whole turn in equal steps that ends where the picture was taken."""
    return [360.0 * (i + 1) / frames % 360.0 for i in range(frames)]


def _angles(given: Any, frames: int) -> list[float]:
    """One angle a frame; one for all of them, the rest of a list cut off or its last repeated."""
    angles = [float(angle) for angle in given] if isinstance(given, list | tuple) else [float(given or 0.0)]
    return [*angles, *[angles[-1]] * frames][:frames]


@contextmanager
def told(network: Any, camera: Tensor) -> Iterator[None]:
    """Inside, the network adds to its time embedding one for each frame; diffusers' has one for a whole film.

    Every block takes the sum, so adding to what a block gets is the same.
    """
    embedded = network.add_embedding(camera)

    def add(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if "temb" in kwargs:
            return args, {**kwargs, "temb": kwargs["temb"] + embedded}
        return (args[0], args[1] + embedded, *args[2:]), kwargs

    handles = [network.add_embedding.register_forward_hook(lambda module, args, output: torch.zeros_like(output))]
    handles += [
        layer.register_forward_pre_hook(add, with_kwargs=True)
        for layer in network.modules()
        if type(layer).__name__ == "SpatioTemporalResBlock"
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
