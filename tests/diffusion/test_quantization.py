"""Weights in eight bits: plain, or with a scale beside them in each spelling."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from engine.diffusion.checkpoints import CheckpointError, load_checkpoint
from engine.diffusion.inspection import inspect
from engine.diffusion.parts import PlaceOnCpu
from tests.diffusion.test_checkpoints import saved, sd1


def test_weights_of_eight_bits_load_as_they_are_and_compute_in_more(tmp_path: Path) -> None:
    tensors = {name: tensor.to(torch.float8_e4m3fn) for name, tensor in sd1().items()}
    loaded = load_checkpoint(saved(tmp_path / "fp8.safetensors", tensors))
    assert {weight.dtype for weight in loaded.denoiser.weights().values()} == {torch.float8_e4m3fn}
    network = PlaceOnCpu()(loaded.denoiser)
    assert next(network.parameters()).dtype == torch.float32


@pytest.mark.parametrize("ending", ["scale_weight", "weight_scale", "comfy_quant"])
def test_scaled_weights_of_eight_bits_are_multiplied_out(tmp_path: Path, ending: str) -> None:
    tensors = sd1()
    about = torch.tensor(list(json.dumps({"format": "float8_e4m3fn"}).encode()), dtype=torch.uint8)
    scaled: dict[str, Tensor] = {"model.diffusion_model.scaled_fp8": torch.zeros(2, dtype=torch.float8_e4m3fn)}
    for name, tensor in tensors.items():
        module, _, leaf = name.rpartition(".")
        if name.startswith("model.diffusion_model.") and leaf == "weight" and tensor.ndim >= 2:
            scale = tensor.float().abs().max() / 448
            scaled[name] = (tensor.float() / scale).to(torch.float8_e4m3fn)
            scaled[f"{module}.{'weight_scale' if ending == 'comfy_quant' else ending}"] = scale
            scaled |= {f"{module}.comfy_quant": about.clone()} if ending == "comfy_quant" else {}
            scaled[f"{module}.scale_input"] = torch.ones(())
        else:
            scaled[name] = tensor
    path = saved(tmp_path / "fp8.safetensors", scaled)
    assert [part.types for part in inspect(path).parts if part.role == "denoiser"] == [("scaled f8_e4m3", "f16")]
    loaded = load_checkpoint(path)
    expected = load_checkpoint(saved(tmp_path / "a.safetensors", tensors)).denoiser.weights()
    for name, weight in loaded.denoiser.weights().items():
        assert torch.allclose(weight.float(), expected[name].float(), atol=float(expected[name].abs().max()) * 0.05)


def test_the_mark_of_scaled_weights_alone_means_nothing(tmp_path: Path) -> None:
    """Some writers leave it in files whose weights have no scale."""
    tensors = {name: tensor.to(torch.float8_e4m3fn) if tensor.ndim == 2 else tensor for name, tensor in sd1().items()}
    path = saved(tmp_path / "a.safetensors", tensors | {"model.diffusion_model.scaled_fp8": torch.zeros(0)})
    weights = load_checkpoint(path).denoiser.weights()
    plain = load_checkpoint(saved(tmp_path / "b.safetensors", tensors)).denoiser.weights()
    assert all(torch.equal(weight.float(), plain[name].float()) for name, weight in weights.items())
    assert inspect(path).unknown == ()


def test_an_unknown_quantization_is_named(tmp_path: Path) -> None:
    about = torch.tensor(list(b'{"format": "nvfp4"}'), dtype=torch.uint8)
    path = saved(tmp_path / "a.safetensors", sd1(**{"model.diffusion_model.out.2.comfy_quant": about}))
    with pytest.raises(CheckpointError, match="weights are in format 'nvfp4'"):
        load_checkpoint(path)
