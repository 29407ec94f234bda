"""Stable Video Diffusion's autoencoder: a picture's encoder, and a decoder that looks at neighbouring frames together.

Original layout: Stability-AI/generative-models ``sgm/modules/autoencoding/temporal_ae.py``; network: diffusers'
``AutoencoderKLTemporalDecoder``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import partial

from torch import nn

from engine.diffusion import autoencoder_kl, networks
from engine.diffusion.autoencoder_kl import RESNET, KLConfig
from engine.diffusion.parts import KeyMap, Part, Tensors

TOGETHER = 8
"""Frames decoded at once: as many as see each other. More take more memory, fewer flicker."""

TEMPORAL = {"in_layers.0": "norm1", "in_layers.2": "conv1", "out_layers.0": "norm2", "out_layers.3": "conv2"}


@dataclass(frozen=True)
class FilmConfig:
    """A picture's autoencoder with layers along time in its decoder."""

    still: KLConfig

    def build(self) -> nn.Module:
        """The network on the meta device."""
        still = self.still
        module = networks.build(
            "AutoencoderKLTemporalDecoder",
            {
                "in_channels": still.in_channels,
                "out_channels": still.out_channels,
                "latent_channels": still.latent_channels,
                "block_out_channels": still.channels,
                "layers_per_block": still.layers,
                "down_block_types": ["DownEncoderBlock2D"] * len(still.channels),
            },
        )
        if not still.quant_conv:
            module.quant_conv = None  # type: ignore[assignment]
        return module


def part(tensors: Tensors) -> tuple[FilmConfig, Part] | None:
    """The autoencoder among ``tensors`` (prefix off), in the original layout or diffusers'; None if there is none."""
    own = "decoder.time_conv_out.weight" in tensors
    if not own and "decoder.conv_out.time_mix_conv.weight" not in tensors:
        return None
    still = autoencoder_kl.read_config(tensors)
    if still is None:
        return None
    config = FilmConfig(replace(still, quant_conv="quant_conv.weight" in tensors))
    keymap = autoencoder_kl.keymap(still, tensors) if own else _keymap(still, tensors)
    return config, Part("vae", partial(FilmConfig.build, config), keymap, tensors)


def _keymap(still: KLConfig, tensors: Tensors) -> KeyMap:
    return autoencoder_kl.rows(modules(still), tensors)


def modules(still: KLConfig) -> dict[str, str]:
    """Original module name -> diffusers module name: those of a picture's autoencoder, and the decoder's layers along time."""
    table = {"decoder.conv_out.time_mix_conv": "decoder.time_conv_out"}
    for source, target in autoencoder_kl.modules(still).items():
        found = re.match(r"(decoder\..*\.resnets\.\d+)\.", target)
        if found is None:
            table[source] = target
            continue
        block, resnet = source.removesuffix(next(old for old in RESNET if source.endswith(old)))[:-1], found[1]
        table[source] = f"{resnet}.spatial_res_block.{target.removeprefix(resnet + '.')}"
        table[block] = f"{resnet}.time_mixer"
        table |= {f"{block}.time_stack.{old}": f"{resnet}.temporal_res_block.{new}" for old, new in TEMPORAL.items()}
    return table
