"""TAESD: an autoencoder of a few megabytes that gives nearly what a family's own gives, for previews and for haste.

https://github.com/madebyollin/taesd (MIT), also taesdxl, and taesd3 and taef1 for latents of 16 channels. One file a side,
layers by number; or both in diffusers' layout. The network is diffusers' ``AutoencoderTiny``. It works on the latent as the
denoiser sees it, which no shape tells: the file's name does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.diffusion import networks
from engine.diffusion.containers import CheckpointError, read_tensors
from engine.diffusion.families import LATENTS
from engine.diffusion.latent_format import LatentFormat
from engine.diffusion.parts import KeyMap, Part, Place, PlaceOnCpu, Row, Tensors, under, working_dtype
from engine.diffusion.vae import Vae

SIDES = ("encoder", "decoder")

ALL = (
    *LATENTS,
    LatentFormat(name="sd3", channels=16, scale=(1.5305,), shift=(0.0609,), tiny="taesd3"),
    LatentFormat(name="flux", channels=16, scale=(0.3611,), shift=(0.1159,), tiny="taef1"),
)
"""The latents there are TAESDs for, those of models this engine does not run included."""
SPATIAL = 8
OWN = re.compile(r"^(?:taesd_)?(encoder|decoder)\.(?:layers\.)?(\d+)\.(.+)$")
LAYER = re.compile(r"^(\d+)\.(.+)$")


def part(tensors: Tensors) -> tuple[int, Part] | None:
    """The channels of the latent, and the network of tensors called ``encoder.N`` and ``decoder.N``; None if there is none."""
    keymap = _keymap(tensors)
    by_target = {row.target: row.source for row in keymap}
    first = by_target.get("decoder.layers.0.weight")
    if first is None or "encoder.layers.0.weight" not in by_target or tensors[first].ndim != 4:
        return None
    channels = tensors[first].shape[1]
    return channels, Part("vae", partial(_build, channels), keymap, tensors)


def decoder(path: Path) -> Part:
    """One decoder file of its own."""
    tensors = read_tensors(path).tensors
    named = {f"decoder.{name}": tensor for name, tensor in tensors.items() if LAYER.match(name)}
    named = named or {name: tensor for name, tensor in tensors.items() if (own := OWN.match(name)) and own[1] == "decoder"}
    keymap = tuple(Row(row.target.removeprefix("decoder."), row.source) for row in _keymap(named))
    first = next((named[row.source] for row in keymap if row.target == "layers.0.weight"), None)
    if first is None or first.ndim != 4:
        raise CheckpointError(path, "no decoder of a TAESD in it: download taesd_decoder.pth again")
    return Part("vae", partial(_build_decoder, first.shape[1]), keymap, named)


def _keymap(names: Mapping[str, Tensor]) -> KeyMap:
    """Rows of both sides. The original decoder begins with a clamp, which diffusers' has outside its layers."""
    shift = 0 if any(".layers." in name for name in names) else 1
    rows = []
    for name in names:
        if found := OWN.match(name):
            side, number, rest = found[1], int(found[2]), found[3]
            rows.append(Row(f"{side}.layers.{number - (shift if side == 'decoder' else 0)}.{rest}", name))
    return tuple(rows)


def _build(channels: int) -> nn.Module:
    return networks.build("AutoencoderTiny", {"latent_channels": channels})


def _build_decoder(channels: int) -> nn.Module:
    side: nn.Module = _build(channels).decoder  # type: ignore[assignment]
    return side


def latent_of(name: str, channels: int) -> LatentFormat | None:
    """The latents a file of that name works on: the longest name of a TAESD it begins with, else the first of those channels."""
    fitting = [latent for latent in ALL if latent.channels == channels]
    named = [latent for latent in fitting if latent.tiny and name.startswith(latent.tiny)]
    return max(named, key=lambda latent: len(latent.tiny), default=fitting[0] if fitting else None)


def as_vae(path: Path, tensors: Tensors, place: Place) -> Vae | None:
    """The VAE of a file that holds both sides; None if it does not."""
    found = part(tensors)
    if found is None:
        return None
    channels, both = found
    latent = latent_of(path.name, channels)
    return Vae(both, channels, SPATIAL, place, whose="" if latent is None else latent.vae, latent=latent)


def load_pair(name: str, paths: Mapping[str, Path], place: Place | None = None) -> Vae:
    """The VAE of two files of their own, by their sides."""
    tensors: dict[str, Tensor] = {}
    for side, path in paths.items():
        read = read_tensors(path).tensors
        tensors |= {f"{side}.{inner}": tensor for inner, tensor in (under(read, f"taesd_{side}.") or read).items()}
    vae = as_vae(Path(name), tensors, place or PlaceOnCpu())
    if vae is None or vae.part.build().state_dict().keys() != vae.part.weights().keys():
        raise CheckpointError(paths["decoder"], f"no TAESD, or its {paths['encoder'].name} is none: download both again")
    return vae


@lru_cache(maxsize=4)
def _known(path: Path, changed: int) -> Part:
    return decoder(path)


def preview(path: Path, x: Tensor, place: Place) -> Tensor:
    """A picture (1, H, W, 3) float32 in 0..1 of the denoiser's latent (1, C, h, w), by a decoder file that stays loaded."""
    network: Any = place(_known(path, path.stat().st_mtime_ns))
    weight = next(network.parameters())
    with torch.no_grad():
        pixels: Tensor = network(x.to(weight.device, working_dtype(network)))
    return pixels.float().cpu().add(1).div(2).clamp(0, 1).movedim(1, -1)
