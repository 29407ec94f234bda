"""ESRGAN and its compact kin: every spelling of the names gives the same picture, tiles join, other files are refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from engine.diffusion.containers import CheckpointError
from engine.diffusion.upscalers import Upscaler, load_upscaler
from engine.diffusion.upscalers.compact import Compact
from engine.diffusion.upscalers.rrdb import Rrdb


def small(doublings: int = 2, unshuffle: int = 1) -> Rrdb:
    torch.manual_seed(0)
    return Rrdb(3 * unshuffle**2, 3, 8, 4, 2, doublings, unshuffle).eval()


def first_names(name: str) -> str:
    """As the first ESRGAN called them: 2 blocks, two upsamplers."""
    name = re.sub(r"body\.(\d)\.rdb(\d)\.conv(\d)", r"model.1.sub.\1.RDB\2.conv\3.0", name)
    for ours, theirs in (("conv_first", "0"), ("conv_body", "1.sub.2"), ("conv_up1", "3"), ("conv_up2", "6"), ("conv_hr", "8")):
        name = name.replace(f"{ours}.", f"model.{theirs}.")
    return name.replace("conv_last.", "model.10.")


def second_names(name: str) -> str:
    name = re.sub(r"body\.(\d)\.rdb", r"RRDB_trunk.\1.RDB", name)
    for ours, theirs in (("conv_body", "trunk_conv"), ("conv_up", "upconv"), ("conv_hr", "HRconv")):
        name = name.replace(ours, theirs)
    return name


def written(path: Path, network: torch.nn.Module, rename: object = str) -> Upscaler:
    assert callable(rename)
    save_file({rename(name): weight.contiguous() for name, weight in network.state_dict().items()}, path)
    return load_upscaler(path)


@pytest.mark.parametrize("rename", [str, second_names, first_names, lambda name: f"params_ema.{name}"])
def test_a_network_is_the_same_under_every_name(rename: object, tmp_path: Path) -> None:
    network = small()
    upscaler = written(tmp_path / "x.safetensors", network, rename)
    picture = torch.rand(1, 12, 10, 3)
    with torch.no_grad():
        expected = network(picture.movedim(-1, 1)).movedim(1, -1).clamp(0, 1)
    assert upscaler.scale == 4
    assert torch.allclose(upscaler.upscale(picture), expected, atol=1e-6)


def test_an_unshuffled_network_takes_odd_sizes(tmp_path: Path) -> None:
    upscaler = written(tmp_path / "x2.safetensors", small(2, 2))
    assert upscaler.scale == 2
    assert upscaler.upscale(torch.rand(1, 13, 11, 3)).shape == (1, 26, 22, 3)


def test_a_compact_network_that_says_nothing_enlarges_by_repetition(tmp_path: Path) -> None:
    network = Compact(3, 8, 2, 4)
    for weight in network.parameters():
        weight.data.zero_()
    upscaler = written(tmp_path / "compact.safetensors", network)
    picture = torch.rand(2, 8, 8, 3)
    expected = F.interpolate(picture.movedim(-1, 1), scale_factor=4.0, mode="nearest").movedim(1, -1)
    assert torch.allclose(upscaler.upscale(picture), expected, atol=1e-6)


def test_tiles_join_where_the_network_sees_no_further_than_the_overlap(tmp_path: Path) -> None:
    """A compact network of three convolutions sees 3 pixels around; tiles overlap by 16 and are weighed down at their rims."""
    torch.manual_seed(1)
    upscaler = written(tmp_path / "compact.safetensors", Compact(3, 8, 1, 2).eval())
    picture = torch.rand(1, 96, 80, 3)
    seen: list[tuple[int, int]] = []
    in_tiles = upscaler.upscale(picture, lambda done, total: seen.append((done, total)), tile=48, overlap=16)
    assert seen == [(i + 1, len(seen)) for i in range(len(seen))]
    assert len(seen) > 4
    assert (in_tiles - upscaler.upscale(picture)).abs().mean() < 2e-3


def test_another_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    save_file({"some.weight": torch.zeros(3, 3)}, tmp_path / "lora.safetensors")
    with pytest.raises(CheckpointError, match=r"lora\.safetensors.*is no upscaler"):
        load_upscaler(tmp_path / "lora.safetensors")
