"""Stable Video Diffusion: a picture becomes a film; the UNet of SD 2 with layers along time between its own.

https://github.com/Stability-AI/generative-models (MIT), configs/inference/svd.yaml; Blattmann et al. 2023,
https://arxiv.org/abs/2311.15127. The frames of one film are the batch of a latent, as in ComfyUI.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from engine.diffusion import networks
from engine.diffusion.families import beside, unet
from engine.diffusion.families.family import Defaults, Inputs, Prediction, Residuals, batch_equal, repeat_to
from engine.diffusion.families.sd1 import LATENT
from engine.diffusion.families.unet import HEAD, RESNET, TIME_IDS, UNetConfig
from engine.diffusion.latent_format import LatentFormat
from engine.diffusion.parts import KeyMap, Tensors, working_dtype

IDS = ("fps", "motion_bucket_id", "augmentation_level")
USUAL = {"fps": 6.0, "motion_bucket_id": 127.0, "augmentation_level": 0.0}


@dataclass(frozen=True)
class SVD:
    """Bound to one file's UNet."""

    config: UNetConfig

    name: ClassVar[str] = "svd"
    title: ClassVar[str] = "Stable Video Diffusion"
    spatial: ClassVar[frozenset[str]] = frozenset({"concat"})

    @classmethod
    def recognise(cls, tensors: Tensors, loose: Tensors, metadata: Mapping[str, str]) -> Self | None:
        if "middle_block.1.time_stack.0.norm1.weight" not in tensors:
            return None
        config = unet.read_config(tensors, film=True)
        if config is None or config.vector != len(IDS) * TIME_IDS or config.in_channels != 2 * config.out_channels:
            return None
        return cls(config)

    def build(self) -> nn.Module:
        return networks.build("UNetSpatioTemporalConditionModel", network_config(self.config))

    def keymap(self, names: Iterable[str]) -> KeyMap:
        return unet.rename(names, modules(self.config))

    @property
    def prediction(self) -> Prediction:
        return Prediction("edm_v", sigma_data=1.0, sigma_min=0.002, sigma_max=700.0)

    @property
    def latent(self) -> LatentFormat:
        return LATENT

    @property
    def defaults(self) -> Defaults:
        return Defaults(steps=20, cfg=2.5, scheduler="karras", width=1024, height=576)

    @property
    def text(self) -> str:
        return "none"

    def flags(self) -> dict[str, Tensor]:
        return {}

    def condition(self, tensor: Tensor, options: Mapping[str, Any], x: Tensor, *, negative: bool = False) -> Inputs:
        """The first picture as the image encoder sees it and as the VAE made it, and how the film is to move."""
        frames = x.shape[0]
        picture = options.get("concat_latent_image")
        numbers = [float(options.get(name, USUAL[name])) for name in IDS]
        numbers[0] -= 1  # as it was trained: the frames between, not the frames
        return {
            "context": repeat_to(tensor.to(x.device), frames),
            "concat": torch.zeros_like(x) if picture is None else beside.fit(picture, x),
            "time_ids": torch.tensor([numbers], device=x.device).repeat(frames, 1),
            "frames": torch.full((frames, 1), frames, device=x.device),
        }

    def forward(
        self, network: nn.Module, x: Tensor, timestep: Tensor, inputs: Inputs, residuals: Residuals | None = None
    ) -> Tensor:
        if residuals is not None:
            raise ValueError("Stable Video Diffusion takes no ControlNet: remove it, or choose an image model")
        dtype, frames = working_dtype(network), int(inputs["frames"][0])
        seen = torch.cat([x, inputs["concat"].to(x)], dim=1).to(dtype)
        films = seen.reshape(-1, frames, *seen.shape[1:])
        output: Tensor = network(
            films,
            timestep[::frames],
            encoder_hidden_states=unet.tokens(network, inputs)[::frames],
            added_time_ids=inputs["time_ids"][::frames],
            return_dict=False,
        )[0]
        return output.flatten(0, 1)

    def batch(self, calls: Sequence[Inputs]) -> Inputs | None:
        return batch_equal(calls)


def network_config(config: UNetConfig) -> dict[str, Any]:
    """The arguments of diffusers' ``UNetSpatioTemporalConditionModel``."""
    assert config.vector is not None
    return {
        "in_channels": config.in_channels,
        "out_channels": config.out_channels,
        "block_out_channels": config.channels,
        "layers_per_block": len(config.down[0]),
        "down_block_types": ["CrossAttnDownBlockSpatioTemporal" if any(d) else "DownBlockSpatioTemporal" for d in config.down],
        "up_block_types": ["CrossAttnUpBlockSpatioTemporal" if any(d) else "UpBlockSpatioTemporal" for d in config.up],
        "transformer_layers_per_block": [max(*level, 1) for level in config.down],
        "num_attention_heads": tuple(max(1, width // HEAD) for width in config.channels),
        "cross_attention_dim": config.context,
        "addition_time_embed_dim": TIME_IDS,
        "projection_class_embeddings_input_dim": config.vector,
    }


def modules(config: UNetConfig) -> dict[str, str]:
    """Original module name -> diffusers module name: those of an image UNet, and what stands along time beside each."""
    table = {"label_emb.0.0": "add_embedding.linear_1", "label_emb.0.2": "add_embedding.linear_2"}
    for source, target in unet.modules(config).items():
        if found := re.match(r"(.*\.resnets\.\d+)\.", target):
            block, resnet = source.removesuffix(next(old for old in RESNET if source.endswith(old)))[:-1], found[1]
            table[source] = f"{resnet}.spatial_res_block.{target.removeprefix(resnet + '.')}"
            table[f"{block}.time_mixer"] = f"{resnet}.time_mixer"
            table |= {f"{block}.time_stack.{old}": f"{resnet}.temporal_res_block.{new}" for old, new in RESNET.items()}
        else:
            table[source] = target
        if ".attentions." in target:
            table[f"{source}.time_stack"] = f"{target}.temporal_transformer_blocks"
            table[f"{source}.time_pos_embed.0"] = f"{target}.time_pos_embed.linear_1"
            table[f"{source}.time_pos_embed.2"] = f"{target}.time_pos_embed.linear_2"
    return table


def in_original_names(tensors: Tensors) -> Tensors | None:
    """Such a UNet in diffusers' layout by its original names; None if this is none."""
    if "down_blocks.0.resnets.0.spatial_res_block.norm1.weight" not in tensors:
        return None
    still = {name.replace(".spatial_res_block.", "."): tensor for name, tensor in tensors.items()}
    return unet.renamed(tensors, {target: source for source, target in modules(unet.own_config(still)).items()})
