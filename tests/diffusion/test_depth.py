"""Depth networks in folders: what transformers' own class says, near is white, and what is no such folder says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.diffusion.containers import CheckpointError
from engine.diffusion.depth import load_depth
from engine.diffusion.residency import Residency
from engine.folders import Folders
from nodes.preprocessors import depth_folders

PICTURE = torch.rand(2, 28, 42, 3, generator=torch.Generator().manual_seed(1))


def depth_anything(folder: Path, **more: Any) -> Any:
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

    torch.manual_seed(0)
    backbone = Dinov2Config(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=2, image_size=28, patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"], reshape_hidden_states=False, apply_layernorm=True,
    )  # fmt: skip
    config = DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=32, neck_hidden_sizes=[8, 8, 16, 16], fusion_hidden_size=16,
        head_hidden_size=8, reassemble_factors=[4, 2, 1, 0.5], **more,
    )  # fmt: skip
    model = DepthAnythingForDepthEstimation(config).eval()
    model.head.conv3.bias.data.fill_(1.0)  # after a random head ReLU would leave nothing
    model.save_pretrained(folder)
    ready = {"size": {"height": 28, "width": 28}, "keep_aspect_ratio": True, "ensure_multiple_of": 14,
             "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(ready))
    return model


def test_a_folder_is_read_as_transformers_reads_it(tmp_path: Path) -> None:
    model = depth_anything(tmp_path / "models" / "depth" / "tiny")
    assert depth_folders(Folders(base=tmp_path)) == ["tiny"]
    loaded = load_depth(tmp_path / "models" / "depth" / "tiny", Residency("cpu"))
    assert loaded.fitted(28, 42) == (28, 42)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        depth = model(pixel_values=(PICTURE.movedim(-1, 1) - mean) / std).predicted_depth
    low, high = depth.amin((1, 2), keepdim=True), depth.amax((1, 2), keepdim=True)
    ours = loaded.nearness(PICTURE)
    assert ours.shape == PICTURE.shape
    assert torch.allclose(ours[..., 0], (depth - low) / (high - low), atol=1e-4)
    assert torch.equal(ours[..., 0], ours[..., 2])


def test_metres_are_turned_around(tmp_path: Path) -> None:
    depth_anything(tmp_path / "metric", depth_estimation_type="metric", max_depth=10)
    loaded = load_depth(tmp_path / "metric", Residency("cpu"))
    assert loaded.far_is_large
    near = loaded.nearness(PICTURE)
    assert near.amin() == 0
    assert near.amax() == 1


def test_other_sizes_keep_their_shape_and_divide_by_a_patch(tmp_path: Path) -> None:
    depth_anything(tmp_path / "tiny")
    loaded = load_depth(tmp_path / "tiny", Residency("cpu"))
    assert loaded.fitted(56, 112) == (28, 56)
    assert loaded.fitted(100, 30) == (98, 28)
    assert loaded.nearness(torch.rand(1, 50, 90, 3)).shape == (1, 50, 90, 3)


def test_what_is_no_depth_network_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"architectures": ["BertModel"], "model_type": "bert"}))
    with pytest.raises(CheckpointError, match=r"no model\.safetensors in it"):
        load_depth(folder)
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="BertModel, which does not estimate depth"):
        load_depth(folder)
    depth_anything(tmp_path / "cut")
    whole = load_file(tmp_path / "cut" / "model.safetensors")
    kept = {name: tensor for name, tensor in whole.items() if "head.conv1" not in name}
    save_file(kept, tmp_path / "cut" / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"weights are missing: head\.conv1\.bias"):
        load_depth(tmp_path / "cut")
    file = (tmp_path / "cut" / "model.safetensors").read_bytes()
    (tmp_path / "cut" / "model.safetensors").write_bytes(file[: len(file) // 2])
    with pytest.raises(CheckpointError, match="transformers cannot read it"):
        load_depth(tmp_path / "cut")
    (folder / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="not readable JSON"):
        load_depth(folder)
