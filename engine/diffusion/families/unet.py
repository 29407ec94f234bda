"""The UNet of Stable Diffusion in its original layout: its configuration from shapes, its key map, how it is called.

The layout is that of CompVis/stable-diffusion ``ldm/modules/diffusionmodules/openaimodel.py``; the network is diffusers'
``UNet2DConditionModel``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from engine.diffusion import fast, networks
from engine.diffusion.edits.text_bias import biased, token_bias
from engine.diffusion.families.beside import fit, guidance_embedding, inpainting
from engine.diffusion.families.family import Defaults, Inputs, Prediction, Residuals, repeat_to
from engine.diffusion.latent_format import LatentFormat
from engine.diffusion.parts import KeyMap, Row, Tensors, working_dtype

HEAD = 64  # channels of an attention head in models with linear projections; the others have 8 heads whatever the width
HEADS = 8
LEVEL = "label_emb"  # a table of noise levels, only in the x4 upscaler
TIME_IDS = 256  # sinusoidal features of each of SDXL's size numbers

RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}

CONTROL_TEXT = {"control_context": "cross_attn_controlnet", "control_pooled": "pooled_output_controlnet"}
"""Inputs for ControlNets alone, and the options they come from: a text of their own."""

Depths = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class UNetConfig:
    """All that distinguishes one LDM UNet from another; depths are transformer layers, one number a residual block."""

    in_channels: int
    out_channels: int
    channels: tuple[int, ...]  # one a level
    down: Depths  # transformer layers after each residual block of each level, 0: none
    middle: int  # -1: the middle has one residual block and nothing else
    up: Depths  # in the order of the levels going up, the lowest first
    context: int
    linear: bool  # projections in and out of attention are Linear, not 1x1 convolutions
    vector: int | None  # width of the vector added to the time embedding (label_emb)
    time_cond: int | None = None  # width of the guidance embedding of LCM-distilled networks


def timed(config: UNetConfig, usual: Defaults) -> Defaults:
    """The defaults of a UNet: LCM's, whose guidance is an input, draw in four steps without another."""
    if config.time_cond is None:
        return usual
    return replace(usual, steps=4, cfg=1.0, sampler="lcm", scheduler="sgm_uniform", few_steps=True)


def is_unet(tensors: Tensors) -> bool:
    """Whether these are the tensors of an LDM UNet."""
    names = {"input_blocks.0.0.weight", "time_embed.0.weight", "out.2.weight", "middle_block.0.in_layers.0.weight"}
    return names <= tensors.keys()


def read_config(tensors: Tensors, *, film: bool = False) -> UNetConfig | None:
    """The configuration these names and shapes imply; None for anything that is not an image UNet, or with ``film`` no UNet."""
    if not is_unet(tensors) or (not film and any(".time_stack." in name or ".temporal" in name for name in tensors)):
        return None
    channels, down = _levels(tensors)
    label, cond = tensors.get("label_emb.0.0.weight"), tensors.get("time_embed.cond_proj.weight")
    context = next((t.shape[1] for name, t in tensors.items() if name.endswith("attn2.to_k.weight")), None)
    projection = next((t for name, t in tensors.items() if name.endswith(".1.proj_in.weight")), None)
    if context is None or projection is None:
        return None
    return UNetConfig(
        in_channels=tensors["input_blocks.0.0.weight"].shape[1],
        out_channels=tensors["out.2.weight"].shape[0],
        channels=channels,
        down=down,
        middle=_depth(tensors, "middle_block") if "middle_block.1.norm.weight" in tensors else -1,
        up=_up(tensors, [len(level) + 1 for level in reversed(down)]),
        context=context,
        linear=projection.ndim == 2,
        vector=None if label is None else label.shape[1],
        time_cond=None if cond is None else cond.shape[1],
    )


def in_original_names(tensors: Tensors) -> Tensors | None:
    """A UNet in diffusers' layout by its original names; None if this is none.

    Many distilled networks are published so. With one set of names, all that follows is the same for them.
    """
    if "down_blocks.0.resnets.0.norm1.weight" not in tensors or "conv_in.weight" not in tensors:
        return None
    labels = {f"{added}.linear_{i}": f"label_emb.0.{2 * i - 2}" for added in ("add_embedding", "class_embedding") for i in (1, 2)}
    labels["class_embedding"] = LEVEL
    return renamed(tensors, {target: source for source, target in modules(own_config(tensors)).items()} | labels)


def renamed(tensors: Tensors, table: Mapping[str, str]) -> Tensors:
    """The tensors of the modules of ``table`` by the names it gives them, others by their own."""
    rows = rename(tensors, table)
    found = {row.target: tensors[row.source] for row in rows}
    known = {row.source for row in rows}
    return found | {name: tensor for name, tensor in tensors.items() if name not in known}


def own_config(tensors: Tensors) -> UNetConfig:
    """Enough of the configuration for the names of a UNet in diffusers' layout; widths are read again from the result."""

    def level(side: str, i: int) -> tuple[int, ...]:
        blocks = 0
        while f"{side}_blocks.{i}.resnets.{blocks}.norm1.weight" in tensors:
            blocks += 1
        return tuple(_own_depth(tensors, f"{side}_blocks.{i}.attentions.{j}") for j in range(blocks))

    levels = 0
    while f"down_blocks.{levels}.resnets.0.norm1.weight" in tensors:
        levels += 1
    middle = _own_depth(tensors, "mid_block.attentions.0") or -1
    down, up = (tuple(level(side, i) for i in range(levels)) for side in ("down", "up"))
    return UNetConfig(0, 0, (0,) * levels, down, middle, up, 0, False, None)


def _own_depth(tensors: Tensors, attention: str) -> int:
    depth = 0
    while f"{attention}.transformer_blocks.{depth}.norm1.weight" in tensors:
        depth += 1
    return depth


def _levels(tensors: Tensors) -> tuple[tuple[int, ...], Depths]:
    """Channels of each level, and transformer depths after each of its residual blocks."""
    channels: list[int] = []
    down: list[list[int]] = [[]]
    i = 1
    while f"input_blocks.{i}.0.op.weight" in tensors or f"input_blocks.{i}.0.in_layers.0.weight" in tensors:
        if f"input_blocks.{i}.0.op.weight" in tensors:
            down.append([])
        else:
            del channels[len(down) - 1 :]
            channels.append(tensors[f"input_blocks.{i}.0.out_layers.3.weight"].shape[0])
            down[-1].append(_depth(tensors, f"input_blocks.{i}"))
        i += 1
    return tuple(channels), tuple(map(tuple, down))


def _up(tensors: Tensors, counts: Iterable[int]) -> Depths:
    """Transformer depths of the way up, ``counts`` residual blocks a level."""
    up: list[tuple[int, ...]] = []
    i = 0
    for count in counts:
        up.append(tuple(_depth(tensors, f"output_blocks.{i + j}") for j in range(count)))
        i += count
    return tuple(up)


def _depth(tensors: Tensors, block: str) -> int:
    depth = 0
    while f"{block}.1.transformer_blocks.{depth}.norm1.weight" in tensors:
        depth += 1
    return depth


def _attends(level: tuple[int, ...]) -> bool:
    return any(level)


def network_config(config: UNetConfig, **more: Any) -> dict[str, Any]:
    """The same as arguments of diffusers' ``UNet2DConditionModel``."""
    heads = tuple(max(1, width // HEAD) for width in config.channels) if config.linear else HEADS
    middle = "UNetMidBlock2DCrossAttn" if config.middle > 0 else "UNetMidBlock2D"
    down = [list(level) if _attends(level) else 1 for level in config.down]
    up = [list(level) if _attends(level) else 1 for level in config.up]
    if config.middle > 0 and isinstance(down[-1], int):
        down[-1] = [config.middle] * len(config.down[-1])  # the middle block takes its depth from the last level's entry
    return {
        "in_channels": config.in_channels,
        "out_channels": config.out_channels,
        "block_out_channels": config.channels,
        "layers_per_block": tuple(len(level) for level in config.down),
        "down_block_types": ["CrossAttnDownBlock2D" if _attends(level) else "DownBlock2D" for level in config.down],
        "up_block_types": ["CrossAttnUpBlock2D" if _attends(level) else "UpBlock2D" for level in config.up],
        "mid_block_type": middle,
        "transformer_layers_per_block": down,
        "reverse_transformer_layers_per_block": up,
        "attention_head_dim": heads,
        "cross_attention_dim": config.context,
        "use_linear_projection": config.linear,
        "time_cond_proj_dim": config.time_cond,
        **more,
    }


def modules(config: UNetConfig) -> dict[str, str]:
    """Original module name -> diffusers module name, down to where the names inside agree."""
    table = {
        "input_blocks.0.0": "conv_in",
        "time_embed.0": "time_embedding.linear_1",
        "time_embed.2": "time_embedding.linear_2",
        "time_embed.cond_proj": "time_embedding.cond_proj",
        "out.0": "conv_norm_out",
        "out.2": "conv_out",
    }
    table |= _resnet("middle_block.0", "mid_block.resnets.0")
    if config.middle > 0:
        table |= {"middle_block.1": "mid_block.attentions.0"} | _resnet("middle_block.2", "mid_block.resnets.1")
    i = 1
    for level, depths in enumerate(config.down):
        for j, depth in enumerate(depths):
            table |= _resnet(f"input_blocks.{i}.0", f"down_blocks.{level}.resnets.{j}")
            if depth:
                table[f"input_blocks.{i}.1"] = f"down_blocks.{level}.attentions.{j}"
            i += 1
        if level < len(config.down) - 1:
            table[f"input_blocks.{i}.0.op"] = f"down_blocks.{level}.downsamplers.0.conv"
            i += 1
    i = 0
    for level, depths in enumerate(config.up):
        for j, depth in enumerate(depths):
            table |= _resnet(f"output_blocks.{i}.0", f"up_blocks.{level}.resnets.{j}")
            if depth:
                table[f"output_blocks.{i}.1"] = f"up_blocks.{level}.attentions.{j}"
            if j == len(depths) - 1 and level < len(config.up) - 1:
                table[f"output_blocks.{i}.{2 if depth else 1}.conv"] = f"up_blocks.{level}.upsamplers.0.conv"
            i += 1
    return table


def _resnet(source: str, target: str) -> dict[str, str]:
    return {f"{source}.{old}": f"{target}.{new}" for old, new in RESNET.items()}


def rename(names: Iterable[str], table: Mapping[str, str]) -> KeyMap:
    """Rows for the names that lie in a module of ``table``; others get none."""
    rows = []
    for name in names:
        end = name.rfind(".")
        while end > 0 and name[:end] not in table:
            end = name.rfind(".", 0, end)
        if end > 0:
            rows.append(Row(table[name[:end]] + name[end:], name))
    return tuple(rows)


def velocity_flags(prediction: Prediction) -> dict[str, Tensor]:
    """The empty tensors that say of a file that it predicts velocity, and with which schedule."""
    names = {"v_pred": prediction.kind == "v", "ztsnr": prediction.zero_terminal_snr}
    return {name: torch.zeros(0) for name, there in names.items() if there}


def conditioned(
    config: UNetConfig, latent: LatentFormat, tensor: Tensor, options: Mapping[str, Any], x: Tensor, *, raw: bool = True
) -> Inputs:
    """The inputs every LDM UNet may have: the context, what is seen beside the latent, the guidance it was distilled with.

    ``raw``: an editing network (8 channels) sees the VAE's latent as it is, not as a denoiser does.
    """
    inputs = {"context": repeat_to(tensor.to(x.device), x.shape[0])}
    for name, option in CONTROL_TEXT.items():
        if options.get(option) is not None:
            inputs[name] = repeat_to(options[option].to(x.device), x.shape[0])
    if options.get("attention_mask") is not None:
        inputs["token_bias"] = repeat_to(token_bias(options["attention_mask"].to(x.device), tensor.shape[1]), x.shape[0])
    extra = config.in_channels - config.out_channels
    if extra == config.out_channels + 1:
        inputs["concat"] = inpainting(options, x, latent)
    elif extra == config.out_channels:
        picture = options.get("concat_latent_image")
        seen = torch.zeros_like(x) if picture is None else fit(picture if raw else latent.inside(picture), x)
        inputs["concat"] = seen
    if config.time_cond is not None:
        inputs["guidance"] = guidance_embedding(float(options.get("guidance", 7.5)), config.time_cond).to(x).repeat(x.shape[0], 1)
    return inputs


def tokens(network: Any, inputs: Inputs) -> Tensor:
    """The context in the network's dtype; checked here, where it is read, as a prompt at scale 0 may be anything."""
    context, width = inputs["context"], network.config.cross_attention_dim
    if context.shape[-1] != width:
        raise ValueError(
            f"the tokens of a prompt are {context.shape[-1]} numbers wide, but this model reads {width}. "
            "Make the prompt with what belongs to the model: the CLIP or CLIP vision of its own checkpoint."
        )
    return context.to(working_dtype(network))


def overlooked(config: UNetConfig, options: Mapping[str, Any], masked: bool) -> str | None:
    """What a network that sees more than the latent was not given, with the cure; None if nothing is wrong."""
    extra = config.in_channels - config.out_channels
    if extra == 0 or masked or "concat_latent_image" in options or "concat_image" in options:
        return None
    if extra < config.out_channels:
        return "This model enlarges a picture and got none: connect SD_4XUpscale_Conditioning, or choose another model."
    if extra == config.out_channels:
        return "This model edits a picture and got none: connect InstructPixToPixConditioning, or choose another model."
    return "This is an inpainting model without a hole to fill: connect InpaintModelConditioning, or choose the plain model."


def call(network: nn.Module, x: Tensor, timestep: Tensor, inputs: Inputs, residuals: Residuals | None = None) -> Tensor:
    """One call of the network: (B, C, h, w) at ``timestep`` (B,) -> its output, in the network's dtype."""
    dtype = working_dtype(network)
    sample = torch.cat([x, inputs["concat"].to(x)], dim=1) if "concat" in inputs else x
    labels = inputs.get("labels")
    labels = labels.to(dtype) if labels is not None and labels.is_floating_point() else labels
    added = {"text_embeds": inputs["pooled"], "time_ids": inputs["time_ids"]} if "time_ids" in inputs else None
    with biased(network, inputs.get("token_bias")):
        output: Tensor = network(
            sample.to(dtype),
            timestep,
            encoder_hidden_states=tokens(network, inputs),
            timestep_cond=inputs["guidance"].to(dtype) if "guidance" in inputs else None,
            class_labels=labels,
            added_cond_kwargs=added,
            return_dict=False,
            **({} if residuals is None else _additional(network, residuals.each(lambda added: added.to(x.device, dtype)), x)),
        )[0]
    return output


def _additional(network: Any, residuals: Residuals, x: Tensor) -> dict[str, Any]:
    """The residuals as arguments; diffusers wants those of all blocks or none, so what is not given is 0."""
    within = {"down_intrablock_additional_residuals": list(residuals.within)} if residuals.within else {}
    if not residuals.down and residuals.mid is None:
        return within
    zero = x.new_zeros(())
    skips = 1 + sum(len(block.resnets) + (block.downsamplers is not None) for block in network.down_blocks)
    return {
        "down_block_additional_residuals": residuals.down or (zero,) * skips,
        "mid_block_additional_residual": zero if residuals.mid is None else residuals.mid,
        **within,
    }


def build(config: UNetConfig, **more: Any) -> nn.Module:
    """The network on the meta device."""
    network = networks.build("UNet2DConditionModel", network_config(config, **more))
    if more.get("upcast_attention"):
        fast.project_once(network)
    return network
