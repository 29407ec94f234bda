"""IP-Adapters: a picture as a prompt, read beside the text by attention weights of its own.

Ye et al. 2023, https://arxiv.org/abs/2308.06721. Plain files read a picture's one embedding, plus and full ones its places.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from engine.diffusion import networks, prefixes
from engine.diffusion.checkpoints import check_exact
from engine.diffusion.clip_vision import ClipVision
from engine.diffusion.containers import CheckpointError, read_tensors
from engine.diffusion.parts import KeyMap, Part, Place, Row, Tensors, under, working_dtype
from engine.diffusion.residency import Residency

Combine = Literal["concat", "average", "one each"]
"""Several pictures: all of them, their mean, or the first for the first latent and so on."""


@dataclass(frozen=True, eq=False)
class IpAdapter:
    """The IP_ADAPTER value: what turns a picture's features into tokens, and the weights that attend to them.

    ``attention`` are the file's "1.to_k_ip.weight" ...: the layers that read text have the odd numbers, in diffusers' order.
    """

    projection: Part
    attention: Tensors = field(repr=False)
    place: Place
    features: Literal["image_embeds", "penultimate_hidden_states"]
    width: int  # of a feature
    context: int  # of a token

    def tokens(self, vision: ClipVision, images: Tensor, combine: Combine = "concat") -> tuple[Tensor, Tensor]:
        """(pictures' tokens (b, T, D), those of no picture (1, T', D)) as the authors make them; b is 1 unless "one each"."""
        seen = vision.encode(images)[self.features]
        none = torch.zeros_like(seen[:1]) if self.features == "image_embeds" else vision.blank()[self.features]
        if seen.shape[-1] != self.width:
            raise ValueError(
                f"this IP-Adapter reads image features of width {self.width}, but the CLIP vision model gives {seen.shape[-1]}. "
                "Most need CLIP ViT-H, those named vit-G need ViT-bigG."
            )
        network = self.place(self.projection)
        first = next(network.parameters())
        with torch.no_grad():
            with_, without = (network(x.to(first.device, working_dtype(network))).float().cpu() for x in (seen, none))
        if combine == "concat" and len(with_) > 1:
            return with_.flatten(0, 1)[None], without.repeat(1, len(with_), 1)
        return with_.mean(0, keepdim=True) if combine == "average" else with_, without


FACES = "reads faces by a recogniser's numbers (FaceID), and that network is not here. Choose a plain, plus or full one"


def load_ip_adapter(path: Path, place: Place | None = None) -> IpAdapter:
    """The adapter of a file for Stable Diffusion 1 or XL."""
    tensors = read_tensors(path).tensors
    image, attention = under(tensors, "image_proj."), under(tensors, "ip_adapter.")
    context = next((t.shape[1] for name, t in attention.items() if name.endswith(".to_k_ip.weight")), 0)
    if not image or not context:
        told = prefixes.elsewhere(tensors if not image else (), "an IP-Adapter for Stable Diffusion 1 or XL")
        raise CheckpointError(path, f"it has no IP-Adapter's tensors (image_proj and ip_adapter){told}")
    if "proj.weight" in image:
        width = image["proj.weight"].shape[1]
        tokens = image["proj.weight"].shape[0] // context
        config = {"image_embed_dim": width, "cross_attention_dim": context, "num_image_text_embeds": tokens}
        part = _part("ImageProjection", config, _renamed(image, {"proj": "image_embeds", "norm": "norm"}), image)
        return IpAdapter(check_exact(path, part), attention, place or Residency(), "image_embeds", width, context)
    if "latents" in image:
        width = image["proj_in.weight"].shape[1]
        part = _part("IPAdapterPlusImageProjection", resampler_shape(image), resampler_rows(image), image)
    elif "proj.3.weight" in image and "proj.0.weight" in image:
        width = image["proj.0.weight"].shape[1]
        config = {"image_embed_dim": width, "cross_attention_dim": context}
        rows = _renamed(image, {"proj.0": "ff.net.0.proj", "proj.2": "ff.net.2", "proj.3": "norm"})
        part = _part("IPAdapterFullImageProjection", config, rows, image)
    else:
        raise CheckpointError(path, f"this IP-Adapter {FACES}")
    return IpAdapter(check_exact(path, part), attention, place or Residency(), "penultimate_hidden_states", width, context)


def _part(name: str, config: dict[str, Any], keymap: KeyMap, tensors: Tensors) -> Part:
    def build() -> nn.Module:
        return networks.build(name, config)

    return Part("image_prompt", build, keymap, tensors)


def _renamed(tensors: Tensors, modules: dict[str, str]) -> KeyMap:
    rows = []
    for name in tensors:
        module, _, kind = name.rpartition(".")
        rows.append(Row(f"{modules[module]}.{kind}", name))
    return tuple(rows)


def resampler_shape(image: Tensors) -> dict[str, Any]:
    """The resampler of a plus file as arguments of diffusers' class."""
    depth = len({name.split(".")[1] for name in image if name.startswith("layers.")})
    hidden = image["latents"].shape[2]
    return {
        "embed_dims": image["proj_in.weight"].shape[1], "output_dims": image["proj_out.weight"].shape[0], "hidden_dims": hidden,
        "depth": depth, "heads": image["layers.0.0.to_q.weight"].shape[0] // HEAD, "num_queries": image["latents"].shape[1],
        "dim_head": HEAD, "ffn_ratio": image["layers.0.1.1.weight"].shape[0] / hidden,
    }  # fmt: skip


HEAD = 64
"""Channels of a head of the resampler's attention."""

RESAMPLER = {
    "0.norm1": "ln0", "0.norm2": "ln1", "0.to_q": "attn.to_q", "0.to_out": "attn.to_out.0",
    "1.0": "ff.0", "1.1": "ff.1.net.0.proj", "1.3": "ff.1.net.2",
}  # fmt: skip


def resampler_rows(image: Tensors) -> KeyMap:
    """The authors' names of it as diffusers'."""
    rows = []
    for name, tensor in image.items():
        if not name.startswith("layers."):
            rows.append(Row(name, name))
            continue
        _, layer, rest = name.split(".", 2)
        module, _, kind = rest.rpartition(".")
        if module == "0.to_kv":
            half = tensor.shape[0] // 2
            rows.append(Row(f"layers.{layer}.attn.to_k.{kind}", name, (0, half)))
            rows.append(Row(f"layers.{layer}.attn.to_v.{kind}", name, (half, 2 * half)))
        else:
            rows.append(Row(f"layers.{layer}.{RESAMPLER[module]}.{kind}", name))
    return tuple(rows)
