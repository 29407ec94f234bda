"""CLIP text towers in files: which layout, which size, which name is which."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from torch import nn

from engine.diffusion import networks
from engine.diffusion.parts import KeyMap, Part, Row, Tensors
from engine.diffusion.text.network import ClipText, TextConfig

OPEN_CLIP = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}

OUTSIDE = {
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
}
"""What lies in no layer: transformers' names and open_clip's."""

LAYERS = "text_model.encoder.layers."

BESIDE = ("position_ids", "logit_scale")
"""How names end that no network needs, but files have."""

KINDS = {1280: "g", 1024: "h"}
"""Towers by width: OpenCLIP's bigG and H; anything else is OpenAI's L or made like it."""


def _build(config: TextConfig) -> nn.Module:
    with networks.on_meta():
        return ClipText(config)


def part(tensors: Tensors, kind: str | None = None) -> Part | None:
    """The text tower among ``tensors`` (prefix off), in transformers' layout or open_clip's; None if there is none."""
    everything, tensors = tensors, {name: tensor for name, tensor in tensors.items() if not name.endswith(BESIDE)}
    if "token_embedding.weight" in tensors and "positional_embedding" in tensors:
        keymap = _open_clip(tensors)
    else:
        keymap = _transformers(tensors)
    by_target = {row.target: row for row in keymap}
    table = by_target.get("text_model.embeddings.token_embedding.weight")
    if table is None or "text_model.final_layer_norm.weight" not in by_target:
        return None
    vocabulary, width = tensors[table.source].shape
    kind = kind or KINDS.get(width, "l")
    projection = by_target.get("text_projection.weight")
    hidden = by_target.get("text_model.encoder.layers.0.mlp.fc1.weight")
    config = TextConfig(
        width=width,
        layers=depth(keymap),
        hidden=width * 4 if hidden is None else tensors[hidden.source].shape[0],
        activation="quick_gelu" if kind == "l" else "gelu",
        projection=None if projection is None else projection.view(tensors[projection.source]).shape[0],
        vocabulary=vocabulary,
        positions=tensors[by_target["text_model.embeddings.position_embedding.weight"].source].shape[0],
    )
    return Part(f"clip_{kind}", partial(_build, config), keymap, everything)


def depth(keymap: KeyMap) -> int:
    """How many layers a text tower has."""
    return len({row.target.split(".")[3] for row in keymap if row.target.startswith(LAYERS)})


def _transformers(names: Iterable[str]) -> KeyMap:
    """Rows for transformers' names, with or without ``text_model.`` (NovelAI's first files lack it)."""
    rows = []
    for name in names:
        if name.startswith(("text_model.", "text_projection.")):
            rows.append(Row(name, name))
        elif name.startswith(("embeddings.", "encoder.layers.", "final_layer_norm.")):
            rows.append(Row(f"text_model.{name}", name))
    return tuple(rows)


def _open_clip(tensors: Tensors) -> KeyMap:
    """Rows for open_clip's names; its q, k and v are one matrix, its projection is stored transposed."""
    rows = [Row(target, source) for target, source in OUTSIDE.items()]
    if "text_projection" in tensors:
        rows.append(Row("text_projection.weight", "text_projection", transform="transpose"))
    for name, tensor in tensors.items():
        if not name.startswith("transformer.resblocks."):
            continue
        number, _, leaf = name.removeprefix("transformer.resblocks.").partition(".")
        target = f"text_model.encoder.layers.{number}"
        if leaf.startswith("attn.in_proj_"):
            width = tensor.shape[0] // 3
            for i, letter in enumerate("qkv"):
                rows.append(Row(f"{target}.self_attn.{letter}_proj.{leaf[13:]}", name, rows=(i * width, (i + 1) * width)))
        else:
            module, _, kind = leaf.rpartition(".")
            if module in OPEN_CLIP:
                rows.append(Row(f"{target}.{OPEN_CLIP[module]}.{kind}", name))
    return tuple(rows)
