"""A file in another adapter's folder is told for what it is, and where it belongs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.diffusion import photomaker
from engine.diffusion.checkpoints import load_clip_vision
from engine.diffusion.containers import CheckpointError
from engine.diffusion.control_files import load_control
from engine.diffusion.control_lora import network_for
from engine.diffusion.edits.lllite import modules_of
from engine.diffusion.edits.places import EditError
from engine.diffusion.gligen import load_gligen
from engine.diffusion.ip_adapter import load_ip_adapter
from engine.diffusion.style_model import StyleAdapter, load_style_model
from tests.diffusion.demo import demo_model
from tests.diffusion.originals import filled
from tests.diffusion.test_control import original_layout
from tests.diffusion.test_image_prompts import plus_tensors
from tests.diffusion.test_picture_words import lllite_tensors

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


WHOLE: dict[str, Callable[[], dict[str, Tensor]]] = {
    "controlnet": original_layout, "ipadapter": lambda: plus_tensors() | {"ip_adapter.1.to_k_ip.weight": torch.zeros(4, 128)},
    "style_models": lambda: filled(StyleAdapter(64, 128, 3, 1).state_dict(), 2),
}  # fmt: skip


@pytest.mark.parametrize("folder", list(WHOLE))
def test_a_file_that_lacks_a_weight_says_which_at_once(folder: str, tmp_path: Path) -> None:
    tensors = WHOLE[folder]()
    save_file(tensors, tmp_path / "whole.safetensors")
    LOADERS[folder](tmp_path / "whole.safetensors")
    lost = next(name for name in tensors if name.endswith(("middle_block_out.0.bias", "proj_out.bias", "ln_post.bias")))
    save_file({name: tensor for name, tensor in tensors.items() if name != lost}, tmp_path / "file.safetensors")
    with pytest.raises(CheckpointError, match=r"is incomplete: .*bias missing: download it again"):
        LOADERS[folder](tmp_path / "file.safetensors")


def test_a_layer_of_lllite_or_a_control_lora_that_lacks_a_weight_says_which(tmp_path: Path) -> None:
    pieces = {name: tensor for name, tensor in lllite_tensors().items() if not name.endswith("mid.0.weight")}
    with pytest.raises(EditError, match=r"is incomplete: .* has no mid.0.weight. Download it again"):
        modules_of(pieces, demo_model())
    stored = demo_model().part.stored
    own = {name.removeprefix("control_model."): tensor for name, tensor in original_layout().items()}
    kept = {name: tensor for name, tensor in own.items() if name not in stored and name != "zero_convs.2.0.bias"}
    with pytest.raises(ValueError, match=r"controlnet_down_blocks.2.bias is missing. Use one made for"):
        network_for(kept | {"lora_controlnet": torch.zeros(0)}, demo_model())
