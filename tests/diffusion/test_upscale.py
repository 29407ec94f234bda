"""Upscalers: every naming is one network, tiles are the whole, other files say what they are."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import conv2d, leaky_relu

from engine.diffusion.containers import CheckpointError
from engine.diffusion.parts import Tensors
from engine.diffusion.upscale import UpscaleModel, load_upscaler
from engine.diffusion.upscaling.compact import Compact, CompactConfig
from engine.diffusion.upscaling.rrdb import RRDB, RRDBConfig
from engine.run import Run
from nodes.upscaling import image_upscale_with_model
from tests.diffusion.originals import filled

SMALL = RRDBConfig(in_channels=3, out_channels=3, width=16, growth=8, blocks=2, doublings=2, fold=1)


def weights(config: RRDBConfig = SMALL) -> dict[str, Tensor]:
    """Random weights by the names of Real-ESRGAN."""
    found = filled(RRDB(config).state_dict())
    return {re.sub(r"^ups\.(\d)", lambda m: f"conv_up{int(m[1]) + 1}", name): tensor for name, tensor in found.items()}


def esrgan(tensors: Tensors) -> dict[str, Tensor]:
    """The names of the first ESRGAN files, which number the layers of a Sequential."""
    numbers = {"conv_up1": 3, "conv_up2": 6, "conv_hr": 8, "conv_last": 10, "conv_first": 0}
    renamed = {}
    for name, tensor in tensors.items():
        name = re.sub(r"^body\.(\d)\.rdb(\d)\.conv(\d)\.", r"model.1.sub.\1.RDB\2.conv\3.0.", name)
        name = re.sub(r"^body\.(\d)\.rdb(\d)\.conv1x1", r"model.1.sub.\1.RDB\2.conv1x1", name)
        name = name.replace("conv_body", f"model.1.sub.{SMALL.blocks}")
        for module, number in numbers.items():
            name = name.replace(f"{module}.", f"model.{number}.")
        renamed[name] = tensor
    return renamed


def trunk(tensors: Tensors) -> dict[str, Tensor]:
    """The names between the two."""
    renames = {"conv_body": "trunk_conv", "conv_up": "upconv", "conv_hr": "HRconv", "body.": "RRDB_trunk.", ".rdb": ".RDB"}
    renamed = {}
    for name, tensor in tensors.items():
        for new, old in renames.items():
            name = name.replace(new, old)
        renamed[name] = tensor
    return renamed


def loaded(path: Path, tensors: dict[str, Tensor]) -> UpscaleModel:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path / "x.safetensors")
    return load_upscaler(path / "x.safetensors")


@torch.no_grad()
def test_three_namings_are_one_network(tmp_path: Path) -> None:
    images = torch.rand(1, 12, 8, 3)
    network = RRDB(SMALL)
    network.load_state_dict(filled(network.state_dict()))
    expected = network(images.movedim(-1, 1)).clamp(0, 1).movedim(1, -1)
    for tensors in (weights(), esrgan(weights()), trunk(weights())):
        model = loaded(tmp_path, tensors)
        assert model.scale == 4
        assert torch.allclose(model.enlarge(images), expected, atol=1e-5)


@pytest.mark.parametrize(("fold", "doublings", "scale"), [(1, 0, 1), (1, 1, 2), (2, 2, 2), (4, 2, 1), (1, 3, 8)])
def test_scales_are_read_from_shapes(tmp_path: Path, fold: int, doublings: int, scale: int) -> None:
    model = loaded(tmp_path, weights(RRDBConfig(3, 3, 8, 4, 1, doublings, fold)))
    assert model.scale == scale
    assert model.enlarge(torch.rand(2, 10, 7, 3)).shape == (2, 10 * scale, 7 * scale, 3)


@pytest.mark.parametrize("channels", [1, 4])
def test_networks_that_see_grey_or_opacity_give_pictures_too(tmp_path: Path, channels: int) -> None:
    model = loaded(tmp_path, weights(RRDBConfig(channels, channels, 8, 4, 1, 1, 1)))
    assert model.enlarge(torch.rand(1, 8, 8, 3)).shape == (1, 16, 16, 3)


@torch.no_grad()
def test_the_small_network_loads(tmp_path: Path) -> None:
    network = Compact(CompactConfig(3, 8, 2, 4))
    tensors = filled(network.state_dict())
    network.load_state_dict(tensors)
    images = torch.rand(1, 8, 12, 3)
    expected = network(images.movedim(-1, 1)).clamp(0, 1).movedim(1, -1)
    assert torch.allclose(loaded(tmp_path, tensors).enlarge(images), expected, atol=1e-5)


@torch.no_grad()
def test_esrgan_plus_is_its_papers_network(tmp_path: Path) -> None:
    """The dense block as its authors wrote it (github.com/ncarraz/ESRGANplus), without the noise of training."""

    def act(name: str, x: Tensor) -> Tensor:
        return leaky_relu(conv2d(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"], padding=1), 0.2)

    def dense(name: str, x: Tensor) -> Tensor:
        x1 = act(f"{name}.conv1", x)
        x2 = act(f"{name}.conv2", torch.cat((x, x1), 1)) + conv2d(x, tensors[f"{name}.conv1x1.weight"])
        x3 = act(f"{name}.conv3", torch.cat((x, x1, x2), 1))
        x4 = act(f"{name}.conv4", torch.cat((x, x1, x2, x3), 1)) + x2
        last = torch.cat((x, x1, x2, x3, x4), 1)
        return conv2d(last, tensors[f"{name}.conv5.weight"], tensors[f"{name}.conv5.bias"], padding=1) * 0.2 + x

    config = replace(SMALL, plus=True)
    tensors = weights(config)
    model = loaded(tmp_path, esrgan(tensors))
    x = torch.randn(1, config.width, 9, 7)
    block: Any = model.place(model.part).get_submodule("body.1")
    wanted = dense("body.1.rdb3", dense("body.1.rdb2", dense("body.1.rdb1", x))) * 0.2 + x
    assert torch.allclose(block(x), wanted, atol=1e-5)


def test_tiles_are_the_whole_away_from_their_edges_and_report(tmp_path: Path) -> None:
    model = loaded(tmp_path, weights(RRDBConfig(3, 3, 8, 4, 1, 1, 1)))
    images = torch.rand(1, 64, 64, 3)
    steps: list[tuple[int, int]] = []
    parts = model.enlarge(images, tile=40, overlap=16, on_tile=lambda done, total: steps.append((done, total)))
    assert steps == [(i, 4) for i in range(1, 5)]
    steps.clear()
    model.enlarge(torch.rand(2, 64, 64, 3), tile=40, overlap=16, on_tile=lambda done, total: steps.append((done, total)))
    assert steps == [(i, 8) for i in range(1, 9)], "of all pictures"
    assert (parts - model.enlarge(images)).abs().mean() < 0.01


def test_the_node_enlarges(tmp_path: Path) -> None:
    assert image_upscale_with_model(loaded(tmp_path, weights()), torch.rand(2, 8, 8, 4), run=Run()).shape == (2, 32, 32, 3)


def test_another_file_says_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no upscaler that is known here; this looks like a LoRA"):
        loaded(tmp_path, {"lora_unet_x.lora_down.weight": torch.zeros(1)})
    with pytest.raises(CheckpointError, match="a network this engine does not know"):
        loaded(tmp_path, {"foo": torch.zeros(1)})
    with pytest.raises(CheckpointError, match="no upscaler that is known here"):
        loaded(tmp_path, weights() | {"body.0.rdb1.attention.weight": torch.zeros(3)})
    incomplete = weights()
    del incomplete["conv_hr.bias"]
    with pytest.raises(CheckpointError, match=r"incomplete: conv_hr\.bias"):
        loaded(tmp_path, incomplete)
