"""Saved files have the names, shapes and flags other programs look for, whatever layout the model came in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from engine.diffusion import autoencoder_film, published
from engine.diffusion.checkpoints import load_checkpoint, load_denoiser, load_vae
from engine.diffusion.clip import Clip
from engine.diffusion.families.sdxl import SDXL
from engine.diffusion.modelspec import about
from engine.diffusion.parts import PlaceOnCpu
from engine.diffusion.saving import Entry, Piece, narrowed, pieces, stream, stream_checkpoint, stream_tensors, write
from engine.diffusion.text import stacks, towers
from engine.folders import Folders
from engine.run import Job, Run
from nodes.model_files import checkpoint_save
from nodes.model_sampling import model_sampling_discrete
from tests.diffusion import originals
from tests.diffusion.test_checkpoints import G, L, saved, sd1, sdxl
from tests.diffusion.test_film import film_vae

POSITIONS = "cond_stage_model.transformer.text_model.embeddings.position_ids"


def from_diffusers(path: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A whole SDXL saved from parts in the layouts of diffusers and transformers; and its words as their authors publish them."""
    family = SDXL(originals.SDXL_TINY)
    unet, vae, one, two = (
        originals.filled(tensors)
        for tensors in (
            family.build().state_dict(),
            originals.VAE_TINY.build().state_dict(),
            originals.tower(L),
            originals.tower(G),
        )
    )
    model = load_denoiser(saved(path / "unet.safetensors", unet)).model
    parts = [part for tensors, kind in ((one, "l"), (two, "g")) if (part := towers.part(tensors, kind)) is not None]
    clip = Clip(stacks.assemble("sdxl", parts))
    write(path / "whole.safetensors", stream_checkpoint(model, clip, load_vae(saved(path / "vae.safetensors", vae))))
    wanted = originals.with_prefix("conditioner.embedders.0.transformer.", one)
    wanted |= originals.with_prefix("conditioner.embedders.1.model.", originals.open_clip(two))
    return load_file(path / "whole.safetensors"), wanted


def test_a_model_from_diffusers_folders_is_saved_as_its_authors_would(tmp_path: Path) -> None:
    found, words = from_diffusers(tmp_path)
    assert {name: tensor.shape for name, tensor in found.items()} == {name: tensor.shape for name, tensor in sdxl().items()}
    assert all(torch.equal(found[name], tensor) for name, tensor in words.items())


def test_the_vae_of_another_layout_is_the_same_network(tmp_path: Path) -> None:
    tensors = originals.filled(originals.VAE_TINY.build().state_dict())
    vae = load_vae(saved(tmp_path / "a.safetensors", tensors))
    write(tmp_path / "b.safetensors", stream(pieces(vae=vae)))
    z = torch.randn(1, 4, 2, 2)
    assert torch.equal(load_vae(tmp_path / "b.safetensors").decode(z), vae.decode(z))


def test_the_vae_of_a_film_in_diffusers_layout_gets_its_original_names() -> None:
    tensors = film_vae()
    found = autoencoder_film.part(tensors)
    assert found is not None
    own = autoencoder_film.part(found[1].weights())
    assert own is not None
    back = published.in_checkpoint(own[1])
    assert back.stored.keys() == tensors.keys()
    assert all(torch.equal(back.stored[name].flatten(), tensor.flatten()) for name, tensor in tensors.items())


def test_a_tower_alone_has_the_names_of_transformers(tmp_path: Path) -> None:
    """Out of a checkpoint in open_clip's layout, and back into one."""
    loaded = load_checkpoint(saved(tmp_path / "a.safetensors", sdxl()))
    assert loaded.clip is not None
    (part,) = (part for part in loaded.clip.parts if part.role == "clip_g")
    alone = published.alone(part)
    assert {name: tensor.shape for name, tensor in alone.stored.items()} == {n: t.shape for n, t in originals.tower(G).items()}
    back = published.in_checkpoint(alone)
    assert back.stored.keys() == part.stored.keys()
    assert all(torch.equal(back.stored[name], tensor) for name, tensor in part.stored.items())
    assert published.in_checkpoint(part) is part


@pytest.mark.parametrize("spoilt", [torch.arange(77.0)[None] - 0.3, torch.zeros(1, 77)])
def test_positions_are_counted_anew_where_a_file_has_them(tmp_path: Path, spoilt: Tensor) -> None:
    loaded = load_checkpoint(saved(tmp_path / "a.safetensors", sd1(**{POSITIONS: spoilt})))
    write(tmp_path / "b.safetensors", stream_checkpoint(loaded.model, loaded.clip, loaded.vae))
    back = load_file(tmp_path / "b.safetensors")
    assert back.keys() == sd1().keys() | {POSITIONS}
    assert torch.equal(back[POSITIONS], torch.arange(77)[None])


@pytest.mark.parametrize("made", [sd1, sdxl])
def test_what_a_node_says_of_the_prediction_is_in_the_file(tmp_path: Path, made: Callable[[], dict[str, Tensor]]) -> None:
    """The way a file that says nothing of its v-prediction is made one that does."""
    tensors = made()
    loaded = load_checkpoint(saved(tmp_path / "a.safetensors", tensors))
    assert loaded.clip is not None
    assert loaded.vae is not None
    run = Run(node="1", job=Job(folders=Folders(base=tmp_path)))
    checkpoint_save(model_sampling_discrete(loaded.model, "v_prediction", True), loaded.clip, loaded.vae, run=run)
    path = tmp_path / "output/checkpoints/ComfyUI_00001_.safetensors"
    again = load_checkpoint(path)
    assert (again.family.prediction.kind, again.family.prediction.zero_terminal_snr) == ("v", True)
    assert load_file(path).keys() == tensors.keys() | {"v_pred", "ztsnr"}
    assert again.metadata["modelspec.prediction_type"] == "v"


def test_the_hash_in_the_metadata_is_that_of_the_data(tmp_path: Path) -> None:
    model = load_checkpoint(saved(tmp_path / "a.safetensors", sdxl())).model
    write(tmp_path / "b.safetensors", stream_checkpoint(model, metadata=about("", "Mine", model) | {"note": "0" * 64}))
    raw = (tmp_path / "b.safetensors").read_bytes()
    length = int.from_bytes(raw[:8], "little")
    said = json.loads(raw[8 : 8 + length])["__metadata__"]
    assert said["modelspec.hash_sha256"] == "0x" + hashlib.sha256(raw[8 + length :]).hexdigest()
    assert said["note"] == "0" * 64
    assert said["modelspec.architecture"] == "stable-diffusion-xl-v1-base"
    assert said["modelspec.title"] == "Mine"


def test_number_formats_are_rounded_once(tmp_path: Path) -> None:
    """A half-precision model with a change, saved in full: the change is there to the last bit."""
    from engine.diffusion.patches import Adapter, Difference, Patch

    loaded = load_checkpoint(saved(tmp_path / "a.safetensors", sd1()))
    before = loaded.denoiser.weights()["conv_in.weight"].float()
    adapter = Adapter("denoiser", {"conv_in.weight": (Difference(torch.full_like(before, 1e-6)),)})
    model = replace(loaded.model, patches=(Patch(adapter, 1.0),))
    write(tmp_path / "b.safetensors", stream_checkpoint(model, dtype="fp32"))
    with safe_open(tmp_path / "b.safetensors", "pt") as file:
        found = file.get_tensor("model.diffusion_model.input_blocks.0.0.weight")
    assert torch.equal(found, before + torch.full_like(before, 1e-6))


def test_numbers_too_large_for_a_narrow_type_become_its_largest() -> None:
    x = torch.tensor([1e6, -1e6, 1.0])
    assert narrowed(x, torch.float16).tolist() == [65504.0, -65504.0, 1.0]
    assert narrowed(x.bfloat16(), torch.float8_e4m3fn).float().tolist() == [448.0, -448.0, 1.0]
    assert narrowed(x, torch.bfloat16).float().tolist() == pytest.approx([1e6, -1e6, 1.0], rel=1e-2)


def test_a_file_that_cannot_be_written_is_a_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    data: Any = stream_tensors({"x": Entry(torch.float32, (1 << 18,))}, [torch.zeros(1 << 18)], {})
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
    try:
        with pytest.raises(OSError, match=rf"{tmp_path}/x\.safetensors cannot be written: File too large"):
            write(tmp_path / "x.safetensors", data)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_taesd_is_not_baked_into_a_checkpoint(tmp_path: Path) -> None:
    from engine.diffusion.families.sd1 import LATENT
    from engine.diffusion.vae import Vae

    vae = load_vae(saved(tmp_path / "a.safetensors", originals.filled(originals.vae(originals.VAE_TINY))))
    with pytest.raises(ValueError, match="a TAESD is no VAE of a checkpoint"):
        pieces(vae=Vae(vae.part, place=PlaceOnCpu(), latent=LATENT))
    assert Piece("", vae.part).stored().keys() == vae.part.stored.keys()
