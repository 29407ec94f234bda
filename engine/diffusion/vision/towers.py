"""CLIP image towers in files: which layout, which size, which name is which."""

from __future__ import annotations

from functools import partial

from torch import nn

from engine.diffusion import networks
from engine.diffusion.parts import KeyMap, Part, Row, Tensors
from engine.diffusion.text.towers import OPEN_CLIP
from engine.diffusion.vision.network import ClipImage, VisionConfig

HEADS = 16  # of the towers L, H and bigG, whatever their width; smaller ones have heads of 64
OPENAI = 1024
"""Width of OpenAI's L, whose activation is its own approximation of GELU; OpenCLIP's H and bigG use the true one."""

OUTER = {
    "class_embedding": "vision_model.embeddings.class_embedding",
    "conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "ln_pre.weight": "vision_model.pre_layrnorm.weight",
    "ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "ln_post.weight": "vision_model.post_layernorm.weight",
    "ln_post.bias": "vision_model.post_layernorm.bias",
}

PREFIXES = (
    "",
    "embedder.model.visual.",
    "conditioner.embedders.0.open_clip.model.visual.",
    "cond_stage_model.model.visual.",
    "visual.",
)
"""Where image towers lie in files: alone, in unCLIP, in Stable Video Diffusion, in Zero123."""


def _build(config: VisionConfig) -> nn.Module:
    with networks.on_meta():
        return ClipImage(config)


def part(tensors: Tensors) -> Part | None:
    """The image tower among ``tensors`` (prefix off), in transformers' layout or open_clip's; None if there is none."""
    keymap = _open_clip(tensors) if "class_embedding" in tensors else _transformers(tensors)
    shapes = {row.target: row.view(tensors[row.source]).shape for row in keymap}
    try:
        width, _, patch, _ = shapes["vision_model.embeddings.patch_embedding.weight"]
        places = shapes["vision_model.embeddings.position_embedding.weight"][0]
        hidden = shapes["vision_model.encoder.layers.0.mlp.fc1.weight"][0]
    except KeyError:
        return None
    projection = shapes.get("visual_projection.weight")
    config = VisionConfig(
        width=width,
        layers=len({target.split(".")[3] for target in shapes if target.startswith("vision_model.encoder.layers.")}),
        hidden=hidden,
        heads=HEADS if width >= OPENAI else max(1, width // 64),
        activation="quick_gelu" if width <= OPENAI else "gelu",
        patch=patch,
        size=round((places - 1) ** 0.5) * patch,
        projection=None if projection is None else projection[0],
    )
    return Part("clip_vision", partial(_build, config), keymap, tensors)


def _transformers(tensors: Tensors) -> KeyMap:
    names = (name for name in tensors if name.startswith(("vision_model.", "visual_projection.")))
    return tuple(Row(name, name) for name in names if not name.endswith("position_ids"))


def _open_clip(tensors: Tensors) -> KeyMap:
    rows = [Row(target, source) for source, target in OUTER.items() if source in tensors]
    if "proj" in tensors:
        rows.append(Row("visual_projection.weight", "proj", transform="transpose"))
    for name, tensor in tensors.items():
        if not name.startswith("transformer.resblocks."):
            continue
        number, _, leaf = name.removeprefix("transformer.resblocks.").partition(".")
        target = f"vision_model.encoder.layers.{number}"
        if leaf.startswith("attn.in_proj_"):
            width = tensor.shape[0] // 3
            for i, letter in enumerate("qkv"):
                rows.append(Row(f"{target}.self_attn.{letter}_proj.{leaf[13:]}", name, rows=(i * width, (i + 1) * width)))
        else:
            module, _, kind = leaf.rpartition(".")
            if module in OPEN_CLIP:
                rows.append(Row(f"{target}.{OPEN_CLIP[module]}.{kind}", name))
    return tuple(rows)
