"""Image encoders: the numbers of transformers' CLIP, both layouts, pictures of any shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.diffusion.checkpoints import load_clip_vision
from engine.diffusion.clip_vision import ClipVision, prepared
from engine.diffusion.containers import CheckpointError
from engine.diffusion.vision import towers
from engine.diffusion.vision.network import VisionConfig
from tests.diffusion import originals

SMALL = VisionConfig(width=128, layers=3, hidden=256, heads=2, activation="quick_gelu", patch=14, size=56, projection=64)


def tensors(config: VisionConfig = SMALL) -> dict[str, Tensor]:
    return originals.filled(towers._build(config).state_dict())


def open_clip(found: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tower in open_clip's layout, written out by hand."""
    back = {target: source for source, target in towers.OUTER.items()}
    made: dict[str, Tensor] = {"proj": found["visual_projection.weight"].t().contiguous()}
    for name, tensor in found.items():
        if name in back:
            made[back[name]] = tensor
    for i in range(SMALL.layers):
        old, new = f"vision_model.encoder.layers.{i}.", f"transformer.resblocks.{i}."
        for kind in ("weight", "bias"):
            made[f"{new}attn.in_proj_{kind}"] = torch.cat([found[f"{old}self_attn.{x}_proj.{kind}"] for x in "qkv"])
            made[f"{new}attn.out_proj.{kind}"] = found[f"{old}self_attn.out_proj.{kind}"]
            made[f"{new}mlp.c_fc.{kind}"] = found[f"{old}mlp.fc1.{kind}"]
            made[f"{new}mlp.c_proj.{kind}"] = found[f"{old}mlp.fc2.{kind}"]
            made[f"{new}ln_1.{kind}"] = found[f"{old}layer_norm1.{kind}"]
            made[f"{new}ln_2.{kind}"] = found[f"{old}layer_norm2.{kind}"]
    return made


@pytest.mark.parametrize("layout", ["transformers", "open_clip"])
@torch.no_grad()
def test_features_are_those_of_transformers(layout: str) -> None:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    found = tensors()
    settings = CLIPVisionConfig(
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=2,
        hidden_act="quick_gelu",
        patch_size=14,
        image_size=56,
        projection_dim=64,
    )
    network: Any = CLIPVisionModelWithProjection(settings).eval()
    assert not network.load_state_dict(found, strict=False).unexpected_keys
    part = towers.part(open_clip(found) if layout == "open_clip" else found)
    assert part is not None
    images = torch.rand(2, 56, 56, 3)
    theirs = network(prepared(images, 56), output_hidden_states=True)
    ours = ClipVision(part).encode(images)
    assert torch.allclose(ours.image_embeds, theirs.image_embeds, atol=1e-5)
    assert torch.allclose(ours["last_hidden_state"], theirs.hidden_states[-1], atol=1e-5)
    assert torch.allclose(ours.penultimate_hidden_states, theirs.hidden_states[-2], atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 40, 100, 3), (1, 100, 40, 4), (2, 56, 56, 3), (1, 300, 301, 3)])
def test_pictures_of_any_shape_are_prepared(shape: tuple[int, ...]) -> None:
    images = torch.rand(shape)
    for crop in (True, False):
        pixels = prepared(images, 56, crop)
        assert pixels.shape == (shape[0], 3, 56, 56)
        assert pixels.isfinite().all()


def test_preparing_agrees_with_transformers() -> None:
    import numpy as np
    from PIL import Image
    from transformers import CLIPImageProcessor

    octets = (torch.rand(90, 70, 3) * 255).round().byte()
    smooth = octets.float().movedim(-1, 0)[None]
    smooth = torch.nn.functional.avg_pool2d(smooth, 9, 1, 4)[0].movedim(0, -1).round().byte()
    processor = CLIPImageProcessor(size={"shortest_edge": 56}, crop_size=56)
    theirs = processor(Image.fromarray(np.asarray(smooth)), return_tensors="pt").pixel_values
    ours = prepared(smooth[None].float() / 255, 56)
    assert (ours - theirs).abs().mean() < 0.02


def test_an_image_encoder_loads_from_a_file_and_another_file_says_what_it_is(tmp_path: Path) -> None:
    save_file(tensors(), tmp_path / "v.safetensors")
    assert load_clip_vision(tmp_path / "v.safetensors").encode(torch.rand(1, 60, 60, 3)).image_embeds.shape == (1, 64)
    save_file(originals.with_prefix("embedder.model.visual.", open_clip(tensors())), tmp_path / "u.safetensors")
    assert load_clip_vision(tmp_path / "u.safetensors").encode(torch.rand(1, 60, 60, 3)).image_embeds.shape == (1, 64)
    save_file({"emb_params": torch.zeros(1)}, tmp_path / "e.safetensors")
    with pytest.raises(CheckpointError, match="no CLIP image encoder in it; this looks like a textual inversion"):
        load_clip_vision(tmp_path / "e.safetensors")
