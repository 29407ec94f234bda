"""A file in another adapter's folder is told for what it is, and where it belongs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from engine.diffusion import photomaker
from engine.diffusion.checkpoints import load_clip_vision
from engine.diffusion.containers import CheckpointError
from engine.diffusion.control_files import load_control
from engine.diffusion.gligen import load_gligen
from engine.diffusion.ip_adapter import load_ip_adapter
from engine.diffusion.style_model import load_style_model

LOADERS: dict[str, Callable[[Path], object]] = {
    "controlnet": load_control, "ipadapter": load_ip_adapter, "gligen": load_gligen, "style_models": load_style_model,
    "clip_vision": load_clip_vision, "photomaker": photomaker.load,
}  # fmt: skip
NAMES = {
    "lora_unet_mid_block_attentions_0_proj_in.lora_up.weight": ("a LoRA", "loras"),
    "control_model.input_hint_block.0.bias": ("a ControlNet", "controlnet"),
    "adapter.body.0.resnets.0.block1.weight": ("a ControlNet", "controlnet"),
    "lora_controlnet": ("a ControlNet", "controlnet"),
    "lllite_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.down.0.weight": ("a ControlNet-LLLite", "controlnet"),
    "image_proj.latents": ("an IP-Adapter", "ipadapter"),
    "position_net.linears.4.weight": ("a GLIGEN", "gligen"),
    "redux_up.weight": ("a style model", "style_models"),
    "id_encoder.fuse_module.layer_norm.weight": ("a PhotoMaker", "photomaker"),
    "model.diffusion_model.out.2.weight": ("a checkpoint", "checkpoints"),
    "first_stage_model.decoder.conv_in.weight": ("a VAE", "vae"),
}


@pytest.mark.parametrize("folder", list(LOADERS))
def test_a_misplaced_file_is_told_where_it_belongs(folder: str, tmp_path: Path) -> None:
    for name, (kind, home) in NAMES.items():
        if home == folder:
            continue
        save_file({name: torch.zeros(1)}, tmp_path / "file.safetensors")
        with pytest.raises(CheckpointError) as raised:
            LOADERS[folder](tmp_path / "file.safetensors")
        assert f"looks like {kind}: put it into models/{home}" in str(raised.value)


@pytest.mark.parametrize("folder", list(LOADERS))
def test_of_an_unknown_file_it_says_what_is_wanted(folder: str, tmp_path: Path) -> None:
    save_file({"something": torch.zeros(1)}, tmp_path / "file.safetensors")
    with pytest.raises(CheckpointError, match=r"Choose (a|the|version)"):
        LOADERS[folder](tmp_path / "file.safetensors")


def test_networks_that_need_a_face_recogniser_say_so_and_what_to_choose(tmp_path: Path) -> None:
    second = {"id_encoder.qformer_perceiver.token_proj.0.weight": torch.zeros(1)}
    faces = {"image_proj.proj.0.weight": torch.zeros(1, 512), "ip_adapter.1.to_k_ip.weight": torch.zeros(1, 4)}
    for load, names, instead in ((photomaker.load, second, "version 1"), (load_ip_adapter, faces, "a plain, plus or full one")):
        save_file(names, tmp_path / "file.safetensors")
        with pytest.raises(CheckpointError, match=f"reads faces by a recogniser's numbers.* Choose {instead}"):
            load(tmp_path / "file.safetensors")
