"""Diffusers folders are the same models as single files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.containers import CheckpointError
from engine.diffusion.parts import Tensors
from engine.diffusion.pipeline_folder import load_folder
from engine.diffusion.text import stacks, towers
from tests.diffusion.test_checkpoints import saved, sd1
from tests.diffusion.test_text import BIG, tower_tensors


def folder(path: Path, *, prediction: str = "epsilon") -> Path:
    """The parts of ``sd1()`` the way diffusers' ``save_pretrained`` would write them."""
    loaded = load_checkpoint(saved(path / "one.safetensors", sd1()))
    assert loaded.clip is not None
    assert loaded.vae is not None

    def write(name: str, tensors: Tensors) -> None:
        (path / name).parent.mkdir(exist_ok=True)
        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, path / name)

    write("unet/diffusion_pytorch_model.safetensors", loaded.denoiser.weights())
    write("vae/diffusion_pytorch_model.fp16.safetensors", loaded.vae.part.weights())
    write("text_encoder/model.safetensors", loaded.clip.parts[0].weights())
    (path / "scheduler").mkdir()
    (path / "scheduler" / "scheduler_config.json").write_text(json.dumps({"prediction_type": prediction}))
    return path


def test_a_folder_is_the_same_model_as_the_file(tmp_path: Path) -> None:
    loaded, file = load_folder(folder(tmp_path)), load_checkpoint(tmp_path / "one.safetensors")
    assert loaded.family == file.family
    assert loaded.clip is not None
    assert file.clip is not None
    assert loaded.vae is not None
    assert file.vae is not None
    for ours, theirs in (
        (loaded.denoiser, file.denoiser),
        (loaded.vae.part, file.vae.part),
        (loaded.clip.parts[0], file.clip.parts[0]),
    ):
        assert ours.weights().keys() == theirs.weights().keys()
        assert all(torch.equal(tensor, theirs.weights()[name]) for name, tensor in ours.weights().items())
    assert torch.equal(loaded.clip.encode("a cat")[0][0], file.clip.encode("a cat")[0][0])


def test_its_scheduler_says_what_is_predicted(tmp_path: Path) -> None:
    assert load_folder(folder(tmp_path, prediction="v_prediction")).family.prediction.kind == "v"


def test_a_folder_without_a_denoiser_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="neither unet/ nor transformer/"):
        load_folder(tmp_path)


def test_a_tower_without_the_layers_nobody_hears_ends_at_the_same_one() -> None:
    """SD 2 listens to the layer before the last; diffusers' folders leave the last out."""
    config = replace(BIG, layers=24)
    whole = tower_tensors(config)
    short = {name: tensor for name, tensor in whole.items() if ".layers.23." not in name}
    outputs = []
    for tensors in (whole, short):
        part = towers.part(tensors, "h")
        assert part is not None
        (tower,) = stacks.assemble("sd2", [part])
        outputs.append(
            tower.encode([tower.tokenize("a cat")], place=lambda part, patches=(), dtype=None: part.module())[0].tokens
        )
    assert torch.equal(*outputs)
