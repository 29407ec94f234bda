"""PhotoMaker beside transformers' image tower and its fusing written out; its file, its nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.clip_vision import prepared
from engine.diffusion.containers import CheckpointError
from engine.diffusion.parts import PlaceOnCpu
from engine.diffusion.photomaker import FaceEncoder, load
from engine.diffusion.vision.network import VisionConfig
from engine.folders import Folders
from engine.run import Job, Run
from engine.signature import spec_of
from engine.types import Image
from nodes.photomaker import photomaker_encode, photomaker_loader
from tests.diffusion import originals
from tests.diffusion.test_checkpoints import saved, sd1, sdxl

EYE = VisionConfig(width=64, layers=2, hidden=128, heads=1, activation="quick_gelu", patch=14, size=28, projection=64)
SECOND = 128  # with 64 of the first projection as wide as the tiny SDXL's words


def tensors() -> dict[str, Tensor]:
    with torch.device("meta"):
        empty = FaceEncoder(EYE, SECOND).state_dict()
    return originals.filled(empty)


def file(folder: Path) -> Path:
    """As published: the encoder, and a LoRA beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    lora = {"unet.down_blocks.0.attentions.0.proj_in.lora_A.weight": torch.zeros(4, 4)}
    torch.save({"id_encoder": tensors(), "lora_weights": lora}, folder / "photomaker-v1.bin")
    return folder / "photomaker-v1.bin"


def theirs(weights: dict[str, Tensor], pixels: Tensor, word: Tensor) -> Tensor:
    """The paper's figures 3 and 4 with transformers' tower."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    config: Any = CLIPVisionConfig(
        hidden_size=64, num_hidden_layers=2, intermediate_size=128, num_attention_heads=1, patch_size=14, image_size=28,
        projection_dim=64,
    )  # fmt: skip
    tower: Any = CLIPVisionModelWithProjection(config).eval()
    wanted = tower.state_dict()
    tower.load_state_dict({name: weights[name] for name in wanted if name in weights}, strict=False)
    pooled = tower.vision_model(pixels).pooler_output
    face = torch.cat([pooled @ weights["visual_projection.weight"].T, pooled @ weights["visual_projection_2.weight"].T], dim=-1)

    def mlp(name: str, x: Tensor) -> Tensor:
        own = {key.removeprefix(f"fuse_module.{name}."): tensor for key, tensor in weights.items()}
        x = F.layer_norm(x, x.shape[-1:], own["layernorm.weight"], own["layernorm.bias"])
        x = F.gelu(F.linear(x, own["fc1.weight"], own["fc1.bias"]))
        return F.linear(x, own["fc2.weight"], own["fc2.bias"])

    x = word + mlp("mlp1", torch.cat([word, face], dim=-1))
    x = x + mlp("mlp2", x)
    return F.layer_norm(x, x.shape[-1:], weights["fuse_module.layer_norm.weight"], weights["fuse_module.layer_norm.bias"])


@torch.no_grad()
def test_a_face_joins_the_word_before(tmp_path: Path) -> None:
    clip = load_checkpoint(saved(tmp_path / "xl.safetensors", sdxl()), PlaceOnCpu()).clip
    assert clip is not None
    folders = Folders(base=tmp_path)
    file(tmp_path / "models" / "photomaker")
    maker = photomaker_loader("photomaker-v1.bin", run=Run(job=Job(folders=folders)))
    image = Image(torch.rand(2, 40, 50, 3))
    [[features, options]] = photomaker_encode(maker, image, clip, "photograph of a man photomaker in rain")
    [[plain, _]] = clip.encode("photograph of a man in rain")
    expected = plain.clone()
    expected[:, 4] = theirs(tensors(), prepared(image[:1], 28), plain[:, 4])
    assert torch.allclose(features, expected, atol=1e-4)
    assert not torch.allclose(features[:, 4], plain[:, 4], atol=1e-2)
    assert "pooled_output" in options
    assert torch.equal(photomaker_encode(maker, image, clip, "a man in rain")[0][0], clip.encode("a man in rain")[0][0])
    assert spec_of(photomaker_loader).outputs[0].type == "PHOTOMAKER"


def test_what_does_not_fit_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no PhotoMaker encoder in it"):
        load(saved(tmp_path / "x.safetensors", {"vision_model.post_layernorm.weight": torch.zeros(4)}))
    both = {f"id_encoder.{name}": tensor for name, tensor in tensors().items()}  # version 2 has all of version 1, and more
    with pytest.raises(CheckpointError, match="this is version 2"):
        load(saved(tmp_path / "two.safetensors", both | {"id_encoder.qformer_perceiver.token_proj.0.bias": torch.zeros(1)}))
    clip = load_checkpoint(saved(tmp_path / "one.safetensors", sd1()), PlaceOnCpu()).clip
    assert clip is not None
    with pytest.raises(ValueError, match=r"its words have 192 numbers.* 64\. Connect the CLIP of an SDXL"):
        load(file(tmp_path)).encode(clip, torch.rand(1, 30, 30, 3), "a man photomaker")
