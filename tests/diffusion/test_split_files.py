"""Denoisers, VAEs and text encoders in files of their own; what lies beside them must be known."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from engine.diffusion.checkpoints import CheckpointError, load_checkpoint, load_clip, load_denoiser, load_vae
from engine.diffusion.families.sdxl import SDXL
from engine.diffusion.inspection import inspect
from engine.diffusion.text.network import TextConfig
from engine.diffusion.vae import Vae
from engine.diffusion.vision.network import VisionConfig
from tests.diffusion import originals
from tests.diffusion.test_checkpoints import L, saved, sd1, torch_saved


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model.", "diffusion_model."])
def test_a_denoiser_of_its_own_loads_with_and_without_prefix(tmp_path: Path, prefix: str) -> None:
    tensors = originals.filled(originals.denoiser(SDXL(originals.SDXL_TINY)))
    path = saved(tmp_path / "unet.safetensors", originals.with_prefix(prefix, tensors))
    assert load_denoiser(path).family.name == "sdxl"
    assert load_checkpoint(path).clip is None


@pytest.mark.parametrize("prefix", ["", "first_stage_model.", "vae."])
def test_a_vae_of_its_own_loads(tmp_path: Path, prefix: str) -> None:
    tensors = originals.filled(originals.vae(originals.VAE_TINY))
    vae = load_vae(saved(tmp_path / "vae.safetensors", originals.with_prefix(prefix, tensors)))
    assert vae.decode(torch.zeros(1, 4, 2, 2)).shape == (1, 16, 16, 3)


def test_text_encoders_of_their_own_are_joined_in_the_familys_order(tmp_path: Path) -> None:
    small = saved(tmp_path / "l.safetensors", originals.filled(originals.tower(L)))
    wide = TextConfig(width=1280, layers=1, hidden=64, activation="gelu", projection=64, vocabulary=49408)
    big = saved(tmp_path / "g.safetensors", originals.filled(originals.tower(wide), dtype=torch.float16))
    assert [tower.name for tower in load_clip([big, small], "sdxl").towers] == ["l", "g"]
    assert [tower.name for tower in load_clip([small], "stable_diffusion").towers] == ["l"]


def test_a_vae_given_as_a_checkpoint_says_so_and_the_other_way_round(tmp_path: Path) -> None:
    vae = saved(tmp_path / "vae.safetensors", originals.filled(originals.vae(originals.VAE_TINY)))
    with pytest.raises(CheckpointError, match="a VAE: put it into models/vae"):
        load_checkpoint(vae)
    lora = saved(tmp_path / "lora.safetensors", {"lora_unet_x.lora_down.weight": torch.zeros(1)})
    with pytest.raises(CheckpointError, match="no VAE in it; this looks like a LoRA"):
        load_vae(lora)
    with pytest.raises(CheckpointError, match="no CLIP text encoder in it; this looks like a VAE"):
        load_clip([vae], "sdxl")


def test_a_denoiser_of_a_whole_checkpoint_loads_whatever_is_beside_it(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors", {**sd1(), "some_other.part.weight": torch.zeros(1)})
    assert load_denoiser(path).family.name == "sd1"
    with pytest.raises(CheckpointError, match=r"model\.diffusion_model\.odd\.weight belong to nothing known"):
        load_denoiser(saved(tmp_path / "b.safetensors", {**sd1(), "model.diffusion_model.odd.weight": torch.zeros(1)}))


def test_a_denoiser_in_diffusers_layout_loads(tmp_path: Path) -> None:
    family = SDXL(originals.SDXL_TINY)
    tensors = originals.filled(family.build().state_dict())
    path = saved(tmp_path / "unet.safetensors", tensors)
    loaded = load_denoiser(path)
    assert loaded.family == family
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in loaded.denoiser.weights().items())
    odd = saved(tmp_path / "odd.safetensors", {**tensors, "fancy.weight": torch.zeros(1), "ema.decay": torch.zeros(1)})
    for load in (load_checkpoint, load_denoiser):
        with pytest.raises(CheckpointError, match=r"fancy\.weight belong to nothing known"):
            load(odd)


def test_what_training_left_beside_a_vae_is_no_matter_but_a_stranger_is(tmp_path: Path) -> None:
    tensors = originals.filled(originals.vae(originals.VAE_TINY))
    left = {"loss.logvar": torch.zeros(()), "loss.discriminator.main.0.weight": torch.zeros(2), "model_ema.decay": torch.ones(())}
    path = torch_saved(tmp_path / "vae.ckpt", {"epoch": 1, "state_dict": tensors | left})
    assert torch.equal(load_vae(path).decode(torch.ones(1, 4, 2, 2)), whole(tmp_path, tensors).decode(torch.ones(1, 4, 2, 2)))
    odd = saved(tmp_path / "odd.safetensors", {**tensors, "fancy.weight": torch.zeros(1)})
    assert inspect(odd).unknown == ("fancy.weight",)
    with pytest.raises(CheckpointError, match=r"odd\.safetensors: beside its vae, fancy\.weight belong to nothing known"):
        load_vae(odd)


def whole(folder: Path, tensors: dict[str, Tensor]) -> Vae:
    return load_vae(saved(folder / "whole.safetensors", tensors))


def test_the_half_of_a_clip_that_sees_is_no_matter_but_a_stranger_is(tmp_path: Path) -> None:
    tensors = originals.filled(originals.tower(L))
    seeing = VisionConfig(width=64, layers=1, hidden=64, heads=1, activation="quick_gelu", patch=14, size=28, projection=64)
    more = {"logit_scale": torch.ones(()), "text_projection.weight": torch.eye(64)}
    path = saved(tmp_path / "l.safetensors", {**tensors, **originals.filled(originals.image_tower(seeing)), **more})
    plain = saved(tmp_path / "plain.safetensors", tensors)
    ours, alone = (load_clip([one], "stable_diffusion").encode("a cat")[0][0] for one in (path, plain))
    assert torch.equal(ours, alone)
    odd = saved(tmp_path / "odd.safetensors", {**tensors, "fancy.weight": torch.zeros(1)})
    with pytest.raises(CheckpointError, match=r"beside its clip_l, fancy\.weight belong to nothing known"):
        load_clip([odd], "stable_diffusion")
