"""ControlNets: a picture steers the denoiser through tensors added to its skip connections.

Zhang et al. 2023, https://arxiv.org/abs/2302.05543. Files in the original layout (``control_model.``) and in diffusers' own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from engine.diffusion import networks
from engine.diffusion.conditioning import Conditioning, set_control
from engine.diffusion.containers import CheckpointError, read_tensors
from engine.diffusion.families import unet
from engine.diffusion.families.family import Inputs, Residuals, repeat_to
from engine.diffusion.families.unet import UNetConfig
from engine.diffusion.parts import KeyMap, Part, Place, Tensors, straight, under, working_dtype
from engine.diffusion.pixels.resize import resize
from engine.diffusion.residency import Residency

if TYPE_CHECKING:
    from engine.diffusion.model import Model

HINT = ("conv_in", "blocks.0", "blocks.1", "blocks.2", "blocks.3", "blocks.4", "blocks.5", "conv_out")
"""Convolutions of the picture's encoder, in the order the original layout numbers them, two apart."""


@dataclass(frozen=True, eq=False)
class ControlNet:
    """The CONTROL_NET value: the network of a file, and the picture cells to one latent cell."""

    part: Part
    place: Place
    context: int  # width of the text embedding it was trained with
    spatial: int = 8


@dataclass(frozen=True, eq=False)
class Control:
    """A ControlNet with its picture (B, H, W, 3), at a strength, over a share of the noise schedule."""

    net: ControlNet
    image: Tensor
    strength: float = 1.0
    start_percent: float = 0.0
    end_percent: float = 1.0
    previous: Control | None = None
    hints: dict[tuple[int, ...], Tensor] = field(default_factory=dict, repr=False)

    def after(self, previous: Control) -> Control:
        """This control and ``previous`` together."""
        return replace(self, previous=previous if self.previous is None else self.previous.after(previous))

    def residuals(
        self, x: Tensor, timestep: Tensor, sigma: Tensor, inputs: Inputs, model: Model, calls: int = 1
    ) -> Residuals | None:
        """What to add inside the denoiser for scaled ``x`` (B, C, h, w) of ``calls`` conditionings; None out of range."""
        before = None if self.previous is None else self.previous.residuals(x, timestep, sigma, inputs, model, calls)
        first, last = (model.sampling.percent_to_sigma(percent) for percent in (self.start_percent, self.end_percent))
        if not last <= float(sigma) <= first or self.strength == 0:
            return before
        self._check(inputs, model)
        network = self.net.place(self.net.part)
        dtype = working_dtype(network)
        down, mid = network(
            x.to(dtype),
            timestep,
            encoder_hidden_states=inputs["context"].to(dtype),
            controlnet_cond=self._hint(x, calls).to(x.device, dtype),
            conditioning_scale=self.strength,
            added_cond_kwargs=_added(inputs, dtype),
            return_dict=False,
        )
        return _sum(Residuals(tuple(down), mid), before)

    def _hint(self, x: Tensor, calls: int) -> Tensor:
        """The picture at the latent's size, one a row of ``x``."""
        height, width = (n * self.net.spatial for n in x.shape[-2:])
        if (height, width) not in self.hints:
            self.hints[height, width] = resize(self.image.movedim(-1, 1)[:, :3], width, height, "nearest-exact", "center")
        rows = repeat_to(self.hints[height, width], x.shape[0] // calls)
        return repeat_to(rows, x.shape[0])

    def _check(self, inputs: Inputs, model: Model) -> None:
        width = inputs["context"].shape[-1]
        if width != self.net.context:
            raise ValueError(
                f"this ControlNet listens to text embeddings of width {self.net.context}, but {model.family.title} has {width}. "
                "Use a ControlNet made for this base model."
            )


def apply_control(
    positive: Conditioning, negative: Conditioning, net: ControlNet, image: Tensor, strength: float, start: float, end: float
) -> tuple[list[list[Any]], list[list[Any]]]:
    """Steer both conditionings; strength 0 changes nothing."""
    if strength == 0:
        return [list(entry) for entry in positive], [list(entry) for entry in negative]
    control = Control(net, image, strength, start, end)
    both = set_control([*positive, *negative], control)
    return both[: len(positive)], both[len(positive) :]


def _added(inputs: Inputs, dtype: torch.dtype) -> dict[str, Tensor] | None:
    if "time_ids" not in inputs:
        return None
    return {"text_embeds": inputs["pooled"].to(dtype), "time_ids": inputs["time_ids"].to(dtype)}


def _sum(a: Residuals, b: Residuals | None) -> Residuals:
    if b is None:
        return a
    mid = b.mid if a.mid is None else a.mid if b.mid is None else a.mid + b.mid
    return Residuals(tuple(x + y for x, y in zip(a.down, b.down, strict=True)) if b.down else a.down, mid)


def load_control(path: Path, place: Place | None = None) -> ControlNet:
    """The ControlNet of a file for Stable Diffusion 1, 2 or XL."""
    tensors = read_tensors(path).tensors
    original = under(tensors, "control_model.")
    if not original and "input_hint_block.0.weight" in tensors:
        original = dict(tensors)
    if "input_hint_block.0.weight" in original:
        part, context = _original(original)
    elif "controlnet_cond_embedding.conv_in.weight" in tensors:
        part, context = _diffusers(tensors)
    else:
        raise CheckpointError(path, "it has no ControlNet's tensors. Choose a ControlNet for Stable Diffusion 1, 2 or XL")
    return ControlNet(part, place or Residency(), context)


def _original(tensors: Tensors) -> tuple[Part, int]:
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


def _diffusers(tensors: Tensors) -> tuple[Part, int]:
    """diffusers' own layout."""
    levels = _count(tensors, "down_blocks.{}.")
    down = tuple(
        tuple(
            _count(tensors, f"down_blocks.{level}.attentions.{j}.transformer_blocks.{{}}.")
            for j in range(_count(tensors, f"down_blocks.{level}.resnets.{{}}."))
        )
        for level in range(levels)
    )
    label = tensors.get("add_embedding.linear_1.weight")
    context = next(t.shape[1] for name, t in tensors.items() if name.endswith("attn2.to_k.weight"))
    config = UNetConfig(
        in_channels=tensors["conv_in.weight"].shape[1],
        out_channels=4,
        channels=tuple(tensors[f"down_blocks.{level}.resnets.0.conv1.weight"].shape[0] for level in range(levels)),
        down=down,
        middle=_count(tensors, "mid_block.attentions.0.transformer_blocks.{}."),
        up=tuple((0,) for _ in down),
        context=context,
        linear=tensors["mid_block.attentions.0.proj_in.weight"].ndim == 2,
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
    ours = {name: arguments[name] for name in (*kept, "use_linear_projection", "attention_head_dim")} | {
        "layers_per_block": arguments["layers_per_block"][0],
        "transformer_layers_per_block": depths,
        "conditioning_embedding_out_channels": hint,
    }
    if config.vector is not None:
        ours |= {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": unet.TIME_IDS,
            "projection_class_embeddings_input_dim": config.vector,
        }

    def build() -> nn.Module:
        return networks.build("ControlNetModel", ours)

    return Part("control", build, keymap, tensors)
