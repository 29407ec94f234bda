"""Files of ControlNets and their kin: which kind it is, in which layout, and its network."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from engine.diffusion import networks, prefixes
from engine.diffusion.checkpoints import check_exact
from engine.diffusion.containers import CheckpointError, read_tensors
from engine.diffusion.control import ControlNet
from engine.diffusion.control_lora import control_lora, empty_part, marks
from engine.diffusion.control_union import union
from engine.diffusion.families import unet
from engine.diffusion.families.unet import UNetConfig
from engine.diffusion.parts import KeyMap, Part, Place, Tensors, straight, under
from engine.diffusion.residency import Residency
from engine.diffusion.t2i_adapter import adapter, t2i

if TYPE_CHECKING:
    from engine.diffusion.model import Model

HINT = ("conv_in", "blocks.0", "blocks.1", "blocks.2", "blocks.3", "blocks.4", "blocks.5", "conv_out")
"""Convolutions of the picture's encoder, in the order the original layout numbers them, two apart."""

UNION = ("task_embedding", "control_add_embedding.linear_1.weight")


def load_control(path: Path, place: Place | None = None, model: Model | None = None) -> ControlNet:
    """The ControlNet, Control-LoRA or T2I-Adapter of a file for Stable Diffusion 1, 2 or XL.

    A file of differences needs the ``model`` they are differences from.
    """
    tensors = read_tensors(path).tensors
    place = place or Residency()
    if marks(tensors):
        return ControlNet(empty_part(tensors), place, 0, steering=control_lora)
    found = adapter(tensors)
    if found is not None:
        part, channels, cell = found
        check_exact(path, part)
        return ControlNet(part, place, 0, steering=t2i, multiple=cell, channels=channels)
    original = under(tensors, "control_model.")
    if not original and "input_hint_block.0.weight" in tensors:
        original = dict(tensors)
    if "input_hint_block.0.weight" in original:
        if "difference" in tensors:
            original = _whole(path, original, model)
        part, context = original_part(original)
        check_exact(path, part)
    elif "controlnet_cond_embedding.conv_in.weight" in tensors:
        part, context = diffusers_part(tensors)
        check_exact(path, part)
        if UNION[0] in tensors:
            return ControlNet(part, place, context, steering=union, kinds=tensors[UNION[0]].shape[0])
    elif any("lllite" in name for name in tensors):
        raise CheckpointError(path, "this is a ControlNet-LLLite, which changes a model: load it with Apply LLLite")
    else:
        told = prefixes.elsewhere(tensors, "a ControlNet for Stable Diffusion 1, 2 or XL")
        raise CheckpointError(path, f"it has no ControlNet's tensors{told}")
    return ControlNet(part, place, context)


def _whole(path: Path, tensors: Tensors, model: Model | None) -> dict[str, Tensor]:
    """The weights that differ from a model's by these."""
    if model is None:
        raise CheckpointError(path, "it holds differences from a model: load it with Load ControlNet Model (diff)")
    base = model.part.stored
    return {name: t.float() + base[name].float() if name in base else t for name, t in tensors.items()}


def original_part(tensors: Tensors) -> tuple[Part, int]:
    """The layout of lllyasviel's files: an LDM UNet's first half, an encoder for the picture and zero convolutions."""
    output = {"out.2.weight": torch.empty(4, tensors["input_blocks.0.0.weight"].shape[0], 3, 3, device="meta")}
    config = unet.read_config({**tensors, **output})
    if config is None:
        raise ValueError("this ControlNet's layers are not those of a Stable Diffusion UNet")
    table = unet.modules(config)
    table |= {f"input_hint_block.{2 * i}": f"controlnet_cond_embedding.{name}" for i, name in enumerate(HINT)}
    table |= {f"zero_convs.{i}.0": f"controlnet_down_blocks.{i}" for i in range(len(tensors))}
    table |= {f"label_emb.0.{2 * i}": f"add_embedding.linear_{i + 1}" for i in range(2)}
    table["middle_block_out.0"] = "controlnet_mid_block"
    hint = tuple(tensors[f"input_hint_block.{i}.weight"].shape[0] for i in (0, 4, 8, 12))
    return _part(config, hint, unet.rename(tensors, table), tensors), config.context


def diffusers_part(tensors: Tensors) -> tuple[Part, int]:
    """diffusers' own layout; the small ones for SDXL have little attention or none, and then read no text (width 0)."""
    levels = _count(tensors, "down_blocks.{}.")
    down = tuple(
        tuple(
            _count(tensors, f"down_blocks.{level}.attentions.{j}.transformer_blocks.{{}}.")
            for j in range(_count(tensors, f"down_blocks.{level}.resnets.{{}}."))
        )
        for level in range(levels)
    )
    label = tensors.get("add_embedding.linear_1.weight")
    context = next((t.shape[1] for name, t in tensors.items() if name.endswith("attn2.to_k.weight")), 0)
    projection = next((t for name, t in tensors.items() if name.endswith(".proj_in.weight")), None)
    config = UNetConfig(
        in_channels=tensors["conv_in.weight"].shape[1],
        out_channels=4,
        channels=tuple(tensors[f"down_blocks.{level}.resnets.0.conv1.weight"].shape[0] for level in range(levels)),
        down=down,
        middle=_count(tensors, "mid_block.attentions.0.transformer_blocks.{}.") or -1,
        up=tuple((0,) for _ in down),
        context=context,
        linear=projection is None or projection.ndim == 2,
        vector=None if label is None else label.shape[1],
    )
    embedding = "controlnet_cond_embedding."
    hint = tuple(tensors[f"{embedding}{name}.weight"].shape[0] for name in ("conv_in", "blocks.1", "blocks.3", "blocks.5"))
    return _part(config, hint, straight(tensors), tensors), context


def _count(names: Iterable[str], pattern: str) -> int:
    """How many of pattern(0), pattern(1) ... start some name."""
    known = list(names)
    n = 0
    while any(name.startswith(pattern.format(n)) for name in known):
        n += 1
    return n


def _part(config: UNetConfig, hint: tuple[int, ...], keymap: KeyMap, tensors: Tensors) -> Part:
    arguments = unet.network_config(config)
    depths = [max(level) if isinstance(level, list) else level for level in arguments["transformer_layers_per_block"]]
    kept = ("in_channels", "block_out_channels", "down_block_types", "mid_block_type", "cross_attention_dim")
    pixels = next(
        t.shape[1] for name, t in tensors.items() if name.endswith(("input_hint_block.0.weight", "cond_embedding.conv_in.weight"))
    )
    ours = {name: arguments[name] for name in (*kept, "use_linear_projection", "attention_head_dim")} | {
        "layers_per_block": arguments["layers_per_block"][0],
        "transformer_layers_per_block": depths,
        "conditioning_embedding_out_channels": hint,
        "conditioning_channels": pixels,
    }
    if config.vector is not None:
        ours |= {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": unet.TIME_IDS,
            "projection_class_embeddings_input_dim": config.vector,
        }

    name = "ControlNetModel"
    if UNION[0] in tensors:
        name = "ControlNetUnionModel"
        ours = {key: value for key, value in ours.items() if key != "mid_block_type"} | _union(tensors)

    def build() -> nn.Module:
        return networks.build(name, ours)

    return Part("control", build, keymap, tensors)


def _union(tensors: Tensors) -> dict[str, Any]:
    """What a Union network has besides."""
    kinds, width = tensors[UNION[0]].shape
    return {
        "num_control_type": kinds, "num_trans_channel": width, "num_proj_channel": tensors["spatial_ch_projs.weight"].shape[0],
        "num_trans_layer": _count(tensors, "transformer_layes.{}."), "num_trans_head": 8,
        "addition_time_embed_dim": tensors[UNION[1]].shape[1] // kinds,
    }  # fmt: skip
