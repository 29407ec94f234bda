"""The KL autoencoder of the Stable Diffusion families: its configuration from shapes and its key map.

Original layout: CompVis/latent-diffusion ``ldm/modules/diffusionmodules/model.py``; network: diffusers' ``AutoencoderKL``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import nn

from engine.diffusion import networks
from engine.diffusion.parts import KeyMap, Part, Row, Tensors

RESNET = {"norm1": "norm1", "conv1": "conv1", "norm2": "norm2", "conv2": "conv2", "nin_shortcut": "conv_shortcut"}
ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}  # diffusers before 0.13


@dataclass(frozen=True)
class KLConfig:
    """What shapes say about an autoencoder. The latent's scale is not in the file: the denoiser's family knows it."""

    in_channels: int
    out_channels: int
    latent_channels: int
    channels: tuple[int, ...]  # one a level
    layers: int  # residual blocks a level going down; one more going up
    quant_conv: bool

    @property
    def groups(self) -> int:
        """Groups of the norms: 32, or four channels each in narrow networks."""
        return min(32, self.channels[0] // 4)

    @property
    def spatial(self) -> int:
        """Pixels to a latent cell, each way."""
        return 1 << (len(self.channels) - 1)

    def build(self) -> nn.Module:
        """The network on the meta device."""
        return networks.build("AutoencoderKL", self.arguments())

    def arguments(self) -> dict[str, object]:
        """Arguments of diffusers' ``AutoencoderKL``."""
        levels = len(self.channels)
        return {
            "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            "latent_channels": self.latent_channels,
            "block_out_channels": self.channels,
            "layers_per_block": self.layers,
            "down_block_types": ["DownEncoderBlock2D"] * levels,
            "up_block_types": ["UpDecoderBlock2D"] * levels,
            "norm_num_groups": self.groups,
            "use_quant_conv": self.quant_conv,
            "use_post_quant_conv": self.quant_conv,
        }


def read_config(tensors: Tensors) -> KLConfig | None:
    """The configuration these names and shapes imply; None for anything that is not a 2-D KL autoencoder."""
    needed = ("encoder.conv_in.weight", "encoder.conv_out.weight", "decoder.conv_in.weight", "decoder.conv_out.weight")
    if any(name not in tensors or tensors[name].ndim != 4 for name in needed):
        return None
    original = "encoder.down.0.block.0.conv1.weight" in tensors
    block = "encoder.down.{}.block.{}" if original else "encoder.down_blocks.{}.resnets.{}"
    levels, layers = 0, 0
    while block.format(levels, 0) + ".conv1.weight" in tensors:
        levels += 1
    while block.format(0, layers) + ".conv1.weight" in tensors:
        layers += 1
    if not levels:
        return None
    return KLConfig(
        in_channels=tensors["encoder.conv_in.weight"].shape[1],
        out_channels=tensors["decoder.conv_out.weight"].shape[0],
        latent_channels=tensors["decoder.conv_in.weight"].shape[1],
        channels=tuple(tensors[block.format(i, 0) + ".conv1.weight"].shape[0] for i in range(levels)),
        layers=layers,
        quant_conv="quant_conv.weight" in tensors,
    )


def modules(config: KLConfig) -> dict[str, str]:
    """Original module name -> diffusers module name."""
    table = {name: name for name in ("quant_conv", "post_quant_conv")}
    last = len(config.channels) - 1
    for side in ("encoder", "decoder"):
        table |= {f"{side}.{name}": f"{side}.{name}" for name in ("conv_in", "conv_out")}
        table[f"{side}.norm_out"] = f"{side}.conv_norm_out"
        table |= _inside(f"{side}.mid.attn_1", f"{side}.mid_block.attentions.0", ATTENTION)
        for i in (0, 1):
            table |= _inside(f"{side}.mid.block_{i + 1}", f"{side}.mid_block.resnets.{i}", RESNET)
    for level in range(last + 1):
        for i in range(config.layers):
            table |= _inside(f"encoder.down.{level}.block.{i}", f"encoder.down_blocks.{level}.resnets.{i}", RESNET)
        for i in range(config.layers + 1):
            table |= _inside(f"decoder.up.{level}.block.{i}", f"decoder.up_blocks.{last - level}.resnets.{i}", RESNET)
        table[f"encoder.down.{level}.downsample.conv"] = f"encoder.down_blocks.{level}.downsamplers.0.conv"
        table[f"decoder.up.{level}.upsample.conv"] = f"decoder.up_blocks.{last - level}.upsamplers.0.conv"
    return table


def _inside(source: str, target: str, names: dict[str, str]) -> dict[str, str]:
    return {f"{source}.{old}": f"{target}.{new}" for old, new in names.items()}


def keymap(config: KLConfig, tensors: Tensors) -> KeyMap:
    """Rows for original names, and for diffusers' own; attention weights may be 1x1 convolutions or matrices."""
    own = any(".down_blocks." in name for name in tensors)
    return rows(_own_modules(tensors) if own else modules(config), tensors)


def rows(table: Mapping[str, str], tensors: Tensors) -> KeyMap:
    """Rows for the tensors of the modules of ``table``."""
    found = []
    for name, tensor in tensors.items():
        module, _, leaf = name.rpartition(".")
        if module in table:
            squeeze = ".attentions." in table[module] and tensor.ndim == 4
            found.append(Row(f"{table[module]}.{leaf}", name, transform="matrix" if squeeze else "same"))
    return tuple(found)


def _own_modules(names: Iterable[str]) -> dict[str, str]:
    """Diffusers' module names to themselves, but for the attention of its first years."""
    table = {}
    for name in names:
        module = name.rpartition(".")[0]
        if module.startswith(("encoder.", "decoder.", "quant_conv", "post_quant_conv")):
            parent, _, child = module.rpartition(".")
            table[module] = f"{parent}.{OLD_ATTENTION[child]}" if child in OLD_ATTENTION else module
    return table


def part(tensors: Tensors) -> tuple[KLConfig, Part] | None:
    """The autoencoder among ``tensors`` (prefix off), or None if there is none."""
    config = read_config(tensors)
    if config is None:
        return None
    return config, Part("vae", config.build, keymap(config, tensors), tensors)
