"""A saved model loads as what it was made of; patches are worked in, nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from engine.diffusion.checkpoints import load_checkpoint, load_clip, load_vae
from engine.diffusion.families.family import Prediction
from engine.diffusion.families.sdxl import SDXL
from engine.diffusion.model import Model
from engine.diffusion.patches import Adapter, Difference, Patch
from engine.diffusion.saving import pieces, stream, stream_checkpoint, write
from engine.folders import Folders
from engine.run import Job, Run
from nodes.model_files import checkpoint_save, clip_save, model_save, vae_save
from tests.diffusion.test_checkpoints import DEMO, saved, sd1, sdxl


def test_an_unpatched_checkpoint_is_saved_bit_for_bit(tmp_path: Path) -> None:
    for tensors in (load_file(DEMO), sd1(), sdxl()):
        loaded = load_checkpoint(saved(tmp_path / "a.safetensors", tensors))
        write(tmp_path / "b.safetensors", stream_checkpoint(loaded.model, loaded.clip, loaded.vae, {"title": "copy"}))
        back = load_file(tmp_path / "b.safetensors")
        assert back.keys() == tensors.keys()
        assert all(torch.equal(back[name], tensors[name]) and back[name].dtype == tensors[name].dtype for name in tensors)
        again = load_checkpoint(tmp_path / "b.safetensors")
        assert again.family == loaded.family
        assert again.metadata["title"] == "copy"


def test_patches_are_worked_in(tmp_path: Path) -> None:
    loaded = load_checkpoint(saved(tmp_path / "a.safetensors", sd1()))
    before = loaded.denoiser.weights()["conv_in.weight"]
    adapter = Adapter("denoiser", {"conv_in.weight": (Difference(torch.ones_like(before, dtype=torch.float32)),)})
    model = replace(loaded.model, patches=(Patch(adapter, 0.5),))
    write(tmp_path / "b.safetensors", stream_checkpoint(model, loaded.clip, loaded.vae))
    weights = load_checkpoint(tmp_path / "b.safetensors").denoiser.weights()
    assert torch.allclose(weights["conv_in.weight"].float(), before.float() + 0.5, atol=1e-3)
    assert torch.equal(weights["conv_out.weight"], loaded.denoiser.weights()["conv_out.weight"])


@pytest.mark.parametrize(
    "prediction",
    [
        Prediction("v", zero_terminal_snr=True),
        Prediction("v"),
        Prediction("edm_v", sigma_data=1.0, sigma_min=0.002, sigma_max=120.0),
    ],
)
def test_what_a_model_predicts_survives(tmp_path: Path, prediction: Prediction) -> None:
    loaded = load_checkpoint(saved(tmp_path / "a.safetensors", sdxl()))
    assert isinstance(loaded.family, SDXL)
    model = Model(loaded.denoiser, replace(loaded.family, prediction=prediction), loaded.place)
    write(tmp_path / "b.safetensors", stream_checkpoint(model))
    assert load_checkpoint(tmp_path / "b.safetensors").family.prediction == pytest.approx(prediction)


def test_parts_are_saved_alone(tmp_path: Path) -> None:
    loaded = load_checkpoint(DEMO)
    write(tmp_path / "vae.safetensors", stream(pieces(vae=loaded.vae)))
    write(tmp_path / "clip.safetensors", stream(pieces(clip=loaded.clip)))
    assert loaded.vae is not None
    assert loaded.clip is not None
    z = torch.randn(1, 4, 4, 4)
    assert torch.equal(load_vae(tmp_path / "vae.safetensors").decode(z), loaded.vae.decode(z))
    clip = load_clip([tmp_path / "clip.safetensors"], "stable_diffusion")
    assert torch.equal(clip.encode("a cat")[0][0], loaded.clip.encode("a cat")[0][0])


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"old")
    monkeypatch.setattr("engine.diffusion.saving._bytes", lambda tensor: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write(path, stream(pieces(vae=load_checkpoint(DEMO).vae)))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_nodes_save_what_loads_again(tmp_path: Path) -> None:
    loaded = load_checkpoint(saved(tmp_path / "a.safetensors", sdxl()))
    assert loaded.clip is not None
    assert loaded.vae is not None
    run = Run(node="1", job=Job(folders=Folders(base=tmp_path)))
    checkpoint_save(loaded.model, loaded.clip, loaded.vae, run=run)
    model_save(loaded.model, run=run)
    clip_save(loaded.clip, run=run)
    vae_save(loaded.vae, run=run)
    output = tmp_path / "output"
    assert load_checkpoint(output / "checkpoints/ComfyUI_00001_.safetensors").family == loaded.family
    assert load_checkpoint(output / "diffusion_models/ComfyUI_00001_.safetensors").clip is None
    assert load_vae(output / "vae/ComfyUI_vae_00001_.safetensors").spatial == loaded.vae.spatial
    assert {path.name for path in (output / "clip").iterdir()} == {f"ComfyUI_clip_{x}_00001_.safetensors" for x in "lg"}
