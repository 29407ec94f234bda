"""Upscalers by spandrel, where it is installed beside a torchvision that fits: what we make of them is what it makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from engine.diffusion.containers import CheckpointError
from engine.diffusion.residency import Residency
from engine.diffusion.upscale import load_upscaler

try:
    import spandrel
    from spandrel.architectures.SwinIR import SwinIR
except (ImportError, RuntimeError) as why:
    pytest.skip(f"needs spandrel and a torchvision that fits torch: {why}", allow_module_level=True)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network: Any = SwinIR(
        img_size=16, window_size=8, depths=[2, 2], num_heads=[2, 2], embed_dim=12, mlp_ratio=2, upsampler="pixelshuffle",
        upscale=2,
    )  # fmt: skip
    save_file({name: weight.contiguous() for name, weight in network.state_dict().items()}, tmp_path / "swin.safetensors")
    return tmp_path / "swin.safetensors"


@pytest.mark.parametrize("size", [(16, 24), (13, 21)])
def test_a_picture_is_enlarged_as_spandrel_enlarges_it(file: Path, size: tuple[int, int]) -> None:
    picture = torch.rand(1, *size, 3, generator=torch.Generator().manual_seed(1))
    upscaler = load_upscaler(file, Residency("cpu"))
    theirs = spandrel.ModelLoader("cpu").load_from_file(file)
    expected = theirs(picture.movedim(-1, 1)).movedim(1, -1)
    found = upscaler.enlarge(picture)
    assert found.shape == (1, size[0] * 2, size[1] * 2, 3)
    inside = slice(0, 2 * (size[0] - 8)), slice(0, 2 * (size[1] - 8))  # it mirrors at the edge, we repeat
    assert torch.allclose(found[0][inside], expected[0][inside], atol=0.02 if size[0] % 8 else 1e-5)


def test_what_it_does_not_know_either_is_refused_with_a_sentence(tmp_path: Path) -> None:
    save_file({"x.weight": torch.zeros(3, 3)}, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match="no upscaler that is known here"):
        load_upscaler(tmp_path / "x.safetensors")
