"""What is said of model files, and other files made of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.conversion import convert
from engine.diffusion.families.sdxl import SDXL
from engine.diffusion.inspection import hashes, inspect
from engine.diffusion.saving import write
from main import main
from tests.diffusion import originals
from tests.diffusion.test_checkpoints import DEMO, saved, sd1, sdxl, torch_saved


def test_a_checkpoint_is_described_part_by_part(tmp_path: Path) -> None:
    report = inspect(saved(tmp_path / "xl.safetensors", {**sdxl(), "v_pred": torch.zeros(0), "model_ema.decay": torch.zeros(1)}))
    assert report.kind == "Stable Diffusion XL checkpoint"
    assert report.prediction == "v"
    assert {part.role for part in report.parts} == {"denoiser", "clip_l", "clip_g", "vae"}
    assert {part.types for part in report.parts} == {("f16",)}
    assert report.strays == 1, "the flag is no stray: it says what is predicted"
    assert report.unknown == ()
    assert any("may be pruned" in line for line in report.lines())


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("body.1.weight", "an upscaler"),
        ("lora_unet_x.lora_down.weight", "a LoRA"),
        ("emb_params", "a textual inversion"),
        ("foo", "nothing known"),
    ],
)
def test_other_files_are_named(tmp_path: Path, name: str, kind: str) -> None:
    assert inspect(saved(tmp_path / "x.safetensors", {name: torch.zeros(1)})).kind == kind


def test_a_vae_and_a_denoiser_alone(tmp_path: Path) -> None:
    assert inspect(saved(tmp_path / "v.safetensors", originals.filled(originals.vae(originals.VAE_TINY)))).kind == "vae"
    family = SDXL(originals.SDXL_TINY)
    for tensors in (originals.denoiser(family), family.build().state_dict()):
        report = inspect(saved(tmp_path / "u.safetensors", originals.filled(tensors)))
        assert report.kind == "Stable Diffusion XL denoiser"
        assert report.unknown == ()


def test_hashes_are_those_people_quote(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors", {"x": torch.ones(3)})
    found = hashes(path)
    content = path.read_bytes()
    assert found["sha256"] == hashlib.sha256(content).hexdigest()
    assert found["AutoV2"] == found["sha256"][:10].upper()
    assert found["AutoV3"] == hashlib.sha256(torch.ones(3).numpy().tobytes()).hexdigest()[:12].upper()
    assert found["AutoV1"] == hashlib.sha256(b"").hexdigest()[:8], "nothing lies where it looks"
    path.write_bytes(bytes(0x100000) + b"x" * 0x10001)
    assert hashes(path)["AutoV1"] == hashlib.sha256(b"x" * 0x10000).hexdigest()[:8]
    path.write_bytes(b"short")
    assert hashes(path)["sha256"] == hashlib.sha256(b"short").hexdigest()


def test_a_pickle_becomes_safetensors_and_is_pruned(tmp_path: Path) -> None:
    tensors = sd1()
    path = torch_saved(
        tmp_path / "a.ckpt", {"state_dict": {**tensors, "model_ema.decay": torch.zeros(1), "v_pred": torch.zeros(0)}}
    )
    write(tmp_path / "b.safetensors", convert(path, prune=True))
    back = load_file(tmp_path / "b.safetensors")
    assert back.keys() == tensors.keys() | {"v_pred"}
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)


def test_number_formats(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors", {**sd1(), "count": torch.tensor([3])})
    write(tmp_path / "b.safetensors", convert(path, "bf16"))
    types = {name: tensor.dtype for name, tensor in load_file(tmp_path / "b.safetensors").items()}
    assert types.pop("count") == torch.int64
    assert set(types.values()) == {torch.bfloat16}
    write(tmp_path / "c.safetensors", convert(path, "fp8", prune=True))
    narrow = load_file(tmp_path / "c.safetensors")
    assert narrow["model.diffusion_model.input_blocks.0.0.weight"].dtype == torch.float8_e4m3fn
    assert narrow["model.diffusion_model.input_blocks.0.0.bias"].dtype == torch.float16
    assert narrow["first_stage_model.decoder.conv_in.weight"].dtype == torch.float16


def test_trainings_average_takes_the_place_of_the_weights(tmp_path: Path) -> None:
    tensors = sd1()
    name = "model.diffusion_model.input_blocks.0.0.weight"
    average = torch.full_like(tensors[name], 7)
    path = saved(tmp_path / "a.safetensors", {**tensors, "model_ema.diffusion_modelinput_blocks00weight": average})
    write(tmp_path / "b.safetensors", convert(path, prune=True, average=True))
    back = load_file(tmp_path / "b.safetensors")
    assert back.keys() == tensors.keys()
    assert torch.equal(back[name], average)


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    narrow, merged = tmp_path / "narrow.safetensors", tmp_path / "merged.safetensors"
    assert main(["models", "inspect", str(DEMO)]) == 0
    assert "Stable Diffusion 1 checkpoint" in capsys.readouterr().out
    assert main(["models", "convert", str(DEMO), str(narrow), "--dtype", "bf16"]) == 0
    assert main(["models", "merge", str(DEMO), str(narrow), str(merged), "--method", "spherical", "--alpha", "0.5"]) == 0
    ours, theirs = load_checkpoint(merged).denoiser.weights(), load_checkpoint(DEMO).denoiser.weights()
    assert all(torch.allclose(ours[name].float(), theirs[name].float(), atol=0.02) for name in ours)
    assert main(["models", "merge", str(DEMO), str(narrow), str(merged), "--method", "TIES"]) == 2
    assert "TIES merges 3 files, not 2" in capsys.readouterr().err
    assert main(["models", "inspect", str(tmp_path / "none.safetensors")]) == 2


@pytest.mark.parametrize("rows", [False, True])
def test_scaled_weights_are_multiplied_out(tmp_path: Path, rows: bool) -> None:
    """fp8 with scales beside it, in another number format: the numbers, and no scales. Left as it is, it stays as it is."""
    weight = torch.randn(8, 4).to(torch.float8_e4m3fn)
    scale = torch.rand(8, 1) if rows else torch.tensor(0.25)
    tensors = {"x.weight": weight, "x.scale_weight": scale, "y.weight": torch.randn(3), "scaled_fp8": torch.zeros(2)}
    path = saved(tmp_path / "a.safetensors", tensors)
    write(tmp_path / "b.safetensors", convert(path, "fp32"))
    back = load_file(tmp_path / "b.safetensors")
    assert back.keys() == {"x.weight", "y.weight"}
    assert torch.equal(back["x.weight"], weight.float() * scale)
    write(tmp_path / "c.safetensors", convert(path))
    assert load_file(tmp_path / "c.safetensors").keys() == tensors.keys()


def test_a_converted_file_has_its_own_hash(tmp_path: Path) -> None:
    """Not that of the file it was made of."""
    save_file({"x": torch.ones(5)}, tmp_path / "a.safetensors", {"sshs_model_hash": "ab" * 32, "title": "kept"})
    write(tmp_path / "b.safetensors", convert(tmp_path / "a.safetensors", "fp16"))
    with safe_open(tmp_path / "b.safetensors", "pt") as file:
        said = file.metadata()
    assert said["sshs_model_hash"] == hashlib.sha256(torch.ones(5).half().numpy().tobytes()).hexdigest()
    assert said["title"] == "kept"
