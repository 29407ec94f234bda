"""Networks in the layout their authors publish them in, whatever layout they came in: what other programs look for in a file."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from engine.diffusion import autoencoder_film, autoencoder_kl
from engine.diffusion.parts import Part
from engine.diffusion.text import towers

POSITIONS = ("text_model.embeddings.position_ids", "embeddings.position_ids")
"""Counting from 0, which a merge of its numbers or half precision may have spoilt."""


def in_checkpoint(part: Part) -> Part:
    """The part as it lies in a checkpoint: denoisers do already, their families know no other names."""
    if part.role == "vae":
        return _autoencoder(part)
    if part.role == "clip_l":
        return _renamed(part) if any(row.source != row.target for row in part.keymap) else part
    if part.role in ("clip_g", "clip_h") and "token_embedding.weight" not in part.stored:
        made = towers.part(_open_clip(part.weights()), part.role.removeprefix("clip_"))
        assert made is not None
        return made
    return part


def alone(part: Part) -> Part:
    """A text tower as in files of its own: transformers' names."""
    return _renamed(part) if any(row.source != row.target for row in part.keymap) else part


def beside(part: Part) -> dict[str, Tensor]:
    """What a text tower's file has beside its weights: positions counted anew, the scale its training compared with."""
    found = {}
    for name, tensor in part.stored.items():
        if name in POSITIONS:
            found[POSITIONS[0]] = torch.arange(tensor.numel()).reshape(tensor.shape)
        elif name == "logit_scale":
            found[name] = tensor
    return found


def _renamed(part: Part) -> Part:
    """Every weight by the network's own names."""
    kept = {name: tensor for name, tensor in part.stored.items() if name.endswith(towers.BESIDE)}
    made = towers.part({**part.weights(), **kept}, part.role.removeprefix("clip_"))
    assert made is not None
    return made


def _open_clip(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A tower's weights in open_clip's layout: q, k and v in one matrix, the projection transposed."""
    inside = {theirs: ours for ours, theirs in towers.OPEN_CLIP.items()}
    found = {source: weights[target] for target, source in towers.OUTSIDE.items()}
    if "text_projection.weight" in weights:
        found["text_projection"] = weights["text_projection.weight"].t()
    for name, weight in weights.items():
        if not name.startswith(towers.LAYERS):
            continue
        number, _, rest = name.removeprefix(towers.LAYERS).partition(".")
        module, _, leaf = rest.rpartition(".")
        block = f"transformer.resblocks.{number}"
        if module in inside:
            found[f"{block}.{inside[module]}.{leaf}"] = weight
        elif module.endswith(".q_proj"):
            three = [weights[f"{towers.LAYERS}{number}.self_attn.{letter}_proj.{leaf}"] for letter in "qkv"]
            found[f"{block}.attn.in_proj_{leaf}"] = torch.cat(three)
    return found


def _autoencoder(part: Part) -> Part:
    """A KL autoencoder's weights by their original names, attention as 1x1 convolutions."""
    still = autoencoder_kl.read_config(part.stored)
    if still is None or not any(".down_blocks." in name for name in part.stored):
        return part
    film = "decoder.time_conv_out.weight" in part.stored
    table = autoencoder_film.modules(still) if film else autoencoder_kl.modules(still)
    back = {target: source for source, target in table.items()}
    found = {}
    for target, weight in part.weights().items():
        module, _, leaf = target.rpartition(".")
        matrix = ".attentions." in module and leaf == "weight" and weight.ndim == 2
        found[f"{back[module]}.{leaf}" if module in back else target] = weight[..., None, None] if matrix else weight
    made = autoencoder_film.part(found) if film else autoencoder_kl.part(found)
    assert made is not None
    return made[1]
