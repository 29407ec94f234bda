"""The key names of the original Stable Diffusion 1 single file, from those of diffusers and transformers.

The names are those of https://github.com/CompVis/stable-diffusion (``ldm/modules/diffusionmodules``).
"""

from __future__ import annotations

import re

from torch import Tensor

from .architecture import UNET_LAYERS, UNET_WIDTHS, VAE_WIDTHS

State = dict[str, Tensor]

RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0", "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}
ENDS = {
    "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
}
VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def resnet(rest: list[str]) -> str:
    """A residual block's member."""
    return ".".join([RESNET[rest[0]], *rest[1:]])


def down_block(level: int, kind: str, j: int, rest: list[str]) -> str:
    """A member of the UNet's left half: every level is its blocks and a downsampler, in one row."""
    n = UNET_LAYERS + 1
    if kind == "downsamplers":
        return f"input_blocks.{(level + 1) * n}.0.op.{rest[-1]}"
    block = level * n + j + 1
    return f"input_blocks.{block}.0.{resnet(rest)}" if kind == "resnets" else f"input_blocks.{block}.1.{'.'.join(rest)}"


def up_block(level: int, kind: str, j: int, rest: list[str]) -> str:
    """A member of the right half: the upsampler is the last entry of the level's last block."""
    n = UNET_LAYERS + 1
    if kind == "upsamplers":
        attends = level < len(UNET_WIDTHS) - 1
        return f"output_blocks.{level * n + UNET_LAYERS}.{2 if attends else 1}.conv.{rest[-1]}"
    block = level * n + j
    return f"output_blocks.{block}.0.{resnet(rest)}" if kind == "resnets" else f"output_blocks.{block}.1.{'.'.join(rest)}"


def unet_key(key: str) -> str:
    """One of diffusers' UNet keys."""
    parts = key.split(".")
    for ours, theirs in ENDS.items():
        if key.startswith(ours + "."):
            return f"{theirs}.{parts[-1]}"
    match parts:
        case ["mid_block", "resnets", j, *rest]:
            return f"middle_block.{2 * int(j)}.{resnet(rest)}"
        case ["mid_block", "attentions", _, *rest]:
            return f"middle_block.1.{'.'.join(rest)}"
        case ["down_blocks", level, kind, j, *rest]:
            return down_block(int(level), kind, int(j), rest)
        case ["up_blocks", level, kind, j, *rest]:
            return up_block(int(level), kind, int(j), rest)
    raise KeyError(f"{key}: not a key of the UNet")


def vae_key(key: str) -> str:
    """One of diffusers' VAE keys; the original counts the decoder's levels from the finest."""
    last = len(VAE_WIDTHS) - 1
    key = key.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    key = re.sub(r"down_blocks\.(\d+)\.resnets\.", r"down.\1.block.", key)
    key = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0\.", r"down.\1.downsample.", key)
    key = re.sub(r"up_blocks\.(\d+)\.resnets\.", lambda m: f"up.{last - int(m[1])}.block.", key)
    key = re.sub(r"up_blocks\.(\d+)\.upsamplers\.0\.", lambda m: f"up.{last - int(m[1])}.upsample.", key)
    key = re.sub(r"mid_block\.resnets\.(\d)\.", lambda m: f"mid.block_{int(m[1]) + 1}.", key)
    for ours, theirs in VAE_ATTENTION.items():
        key = key.replace(f"mid_block.attentions.0.{ours}.", f"mid.attn_1.{theirs}.")
    return key


def ldm_unet(state: State) -> State:
    """The UNet's part of the file."""
    return {"model.diffusion_model." + unet_key(k): v for k, v in state.items()}


def ldm_vae(state: State) -> State:
    """The VAE's part; its attention's projections are 1x1 convolutions there."""
    out: State = {}
    for k, v in state.items():
        key = vae_key(k)
        out["first_stage_model." + key] = v[:, :, None, None] if ".attn_1." in key and v.ndim == 2 else v
    return out


def ldm_text(state: State) -> State:
    """The text model's part, with the ``text_model.`` that transformers 5 has dropped."""
    keys = {k: k if k.startswith("text_model.") else "text_model." + k for k in state if "position_ids" not in k}
    return {"cond_stage_model.transformer." + key: state[k] for k, key in keys.items()}
