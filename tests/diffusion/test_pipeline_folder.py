"""Diffusers folders are the same models as single files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.containers import CheckpointError
from engine.diffusion.families.sdxl import SDXL
from engine.diffusion.inspection import inspect
from engine.diffusion.parts import Tensors
from engine.diffusion.pipeline_folder import load_folder
from engine.diffusion.text import stacks, towers
from main import main
from tests.diffusion import originals
from tests.diffusion.test_checkpoints import saved, sd1
from tests.diffusion.test_text import BIG, tower_tensors

Write = Callable[[Path, str, Tensors], None]


def as_safetensors(folder: Path, stem: str, tensors: Tensors) -> None:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / f"{stem}.safetensors")


def as_fp16(folder: Path, stem: str, tensors: Tensors) -> None:
    as_safetensors(folder, f"{stem}.fp16", tensors)


def as_pickle(folder: Path, stem: str, tensors: Tensors) -> None:
    torch.save(dict(tensors), folder / f"{'pytorch_model' if stem == 'model' else stem}.bin")


def sharded(folder: Path, stem: str, tensors: Tensors, variant: str = "") -> None:
    names = sorted(tensors)
    table = {}
    for number, shard in enumerate((names[::2], names[1::2]), 1):
        file = f"{stem}{variant}-0000{number}-of-00002.safetensors"
        save_file({name: tensors[name].contiguous() for name in shard}, folder / file)
        table |= dict.fromkeys(shard, file)
    (folder / f"{stem}.safetensors.index{variant}.json").write_text(json.dumps({"metadata": {}, "weight_map": table}))


def sharded_fp16(folder: Path, stem: str, tensors: Tensors) -> None:
    sharded(folder, stem, tensors, ".fp16")


def folder(path: Path, write: Write = as_safetensors, *, scheduler: dict[str, Any] | None = None, **odd: str) -> Path:
    """The parts of ``sd1()`` the way diffusers' ``save_pretrained`` would write them, with ``odd`` strangers in sub-folders."""
    loaded = load_checkpoint(saved(path / "one.safetensors", sd1()))
    assert loaded.clip is not None
    assert loaded.vae is not None
    parts = {"unet": loaded.denoiser, "vae": loaded.vae.part, "text_encoder": loaded.clip.parts[0]}
    for name, part in parts.items():
        strange = {odd[name]: torch.zeros(1)} if name in odd else {}
        (path / name).mkdir()
        write(path / name, "model" if name == "text_encoder" else "diffusion_pytorch_model", {**part.weights(), **strange})
    (path / "scheduler").mkdir()
    (path / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler or {"prediction_type": "epsilon"}))
    return path


@pytest.mark.parametrize("write", [as_safetensors, as_fp16, as_pickle, sharded, sharded_fp16])
def test_a_folder_is_the_same_model_as_the_file(tmp_path: Path, write: Write) -> None:
    loaded, file = load_folder(folder(tmp_path, write)), load_checkpoint(tmp_path / "one.safetensors")
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
    assert load_folder(folder(tmp_path, scheduler={"prediction_type": "v_prediction"})).family.prediction.kind == "v"


@pytest.mark.parametrize("name", ["unet", "vae", "text_encoder"])
def test_a_tensor_nobody_claims_is_an_error_in_every_part(tmp_path: Path, name: str) -> None:
    made = folder(tmp_path, **{name: "fancy.weight"})
    for look in (load_folder, inspect):
        with pytest.raises(CheckpointError, match=r"beside its \w+, fancy\.weight belong to nothing known"):
            look(made)


def test_a_shard_that_is_not_there_is_named(tmp_path: Path) -> None:
    made = folder(tmp_path, sharded)
    (made / "unet" / "diffusion_pytorch_model-00002-of-00002.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model-00002-of-00002\.safetensors should lie beside it: download"):
        load_folder(made)


SPREAD = {"latents_mean": [-1.6574, 1.886, -1.383, 2.5155], "latents_std": [8.4927, 5.9022, 6.5498, 5.2299]}
NOISE: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Tensor]]] = {
    "noob": (
        {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}, {},
        {"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)},
    ),
    "playground": (
        {"_class_name": "EDMDPMSolverMultistepScheduler", "prediction_type": "epsilon", "sigma_data": 0.5, "sigma_max": 80.0},
        SPREAD,
        {"edm_mean": torch.tensor(SPREAD["latents_mean"]), "edm_std": torch.tensor(SPREAD["latents_std"])},
    ),
    "cosxl": (
        {"_class_name": "EDMEulerScheduler", "prediction_type": "v_prediction", "sigma_max": 120.0, "sigma_min": 0.002}, {},
        {"edm_vpred.sigma_max": torch.tensor(120.0), "edm_vpred.sigma_min": torch.tensor(0.002)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", [*NOISE])
def test_configurations_say_of_noise_levels_what_keys_say_in_a_file(tmp_path: Path, name: str) -> None:
    scheduler, vae, flags = NOISE[name]
    family = SDXL(originals.SDXL_TINY)
    tensors = originals.filled(family.build().state_dict())
    for sub, config in (("scheduler", scheduler), ("vae", vae)):
        (tmp_path / sub).mkdir()
        (tmp_path / sub / ("scheduler_config.json" if sub == "scheduler" else "config.json")).write_text(json.dumps(config))
    (tmp_path / "unet").mkdir()
    as_safetensors(tmp_path / "unet", "diffusion_pytorch_model", tensors)
    file = load_checkpoint(saved(tmp_path / "one.safetensors", tensors | flags))
    assert load_folder(tmp_path).family == file.family
    assert file.family != family


def test_a_folder_is_described_part_by_part(tmp_path: Path) -> None:
    report = inspect(folder(tmp_path))
    assert report.kind == "Stable Diffusion 1 in diffusers' folders"
    assert {part.prefix: part.role for part in report.parts} == {"unet": "denoiser", "vae": "vae", "text_encoder": "clip_l"}
    assert report.defaults is not None


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


def test_a_folder_becomes_the_file_its_authors_would_publish(tmp_path: Path) -> None:
    """``models convert``: every name, shape and bit of the file the folder was made of."""
    path = folder(tmp_path, sharded_fp16)
    assert main(["models", "convert", str(path), str(tmp_path / "whole.safetensors")]) == 0
    back, wanted = load_file(tmp_path / "whole.safetensors"), sd1()
    assert back.keys() == wanted.keys()
    assert all(back[name].shape == tensor.shape and torch.equal(back[name], tensor) for name, tensor in wanted.items())
