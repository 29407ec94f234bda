"""Extracted LoRAs: applied to the base they give back the finetune, as well as their rank allows."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from torch import Tensor

from engine.diffusion.checkpoints import Checkpoint, load_checkpoint
from engine.diffusion.clip import Clip
from engine.diffusion.containers import read_tensors
from engine.diffusion.extraction import extract, low_rank
from engine.diffusion.lora import apply_lora
from engine.diffusion.model import Model
from engine.diffusion.residency import Residency
from engine.folders import Folders
from engine.run import Job, Run
from nodes.lora_files import lora_save
from nodes.model_merging import clip_merge_subtract, model_merge_subtract
from tests.diffusion.test_checkpoints import saved, sd1, sdxl

RANK = 4


def pair(path: Path) -> tuple[Checkpoint, Checkpoint]:
    """A base and a finetune of it whose matrices changed by a product of rank 4, and its biases and norms somehow."""
    base = {name: tensor.float() for name, tensor in sd1().items()}
    generator = torch.Generator().manual_seed(5)
    tuned = {}
    for name, tensor in base.items():
        if tensor.ndim >= 2 and not name.startswith("first_stage"):
            rows, columns = tensor.shape[0], tensor[0].numel()
            product = torch.randn(rows, RANK, generator=generator) @ torch.randn(RANK, columns, generator=generator)
            tuned[name] = tensor + 0.02 * product.reshape(tensor.shape)
        else:
            tuned[name] = tensor + 0.01
    return load_checkpoint(saved(path / "a.safetensors", base)), load_checkpoint(saved(path / "b.safetensors", tuned))


def weights(model: Model) -> dict[str, Tensor]:
    return {name: tensor.float() for name, tensor in model.network().state_dict().items()}


def placed(loaded: Checkpoint) -> tuple[Model, Clip]:
    place = Residency("cpu", dtype=torch.float32)
    assert loaded.clip is not None
    return Model(loaded.denoiser, loaded.family, place), Clip(loaded.clip.towers, place)


@pytest.mark.parametrize("full", [False, True])
def test_base_plus_lora_is_the_finetune(tmp_path: Path, full: bool) -> None:
    (base, base_clip), (tuned, tuned_clip) = (placed(loaded) for loaded in pair(tmp_path))
    text = None if full else clip_merge_subtract(tuned_clip, base_clip)
    tensors = extract(model_merge_subtract(tuned, base), text, RANK, full=full)
    assert {tensor.dtype for name, tensor in tensors.items() if not name.endswith("alpha")} == {torch.float16}
    model, clip = apply_lora(base, base_clip, tensors, 1.0, 1.0)
    assert model is not None
    after, wanted = weights(model), weights(tuned)
    assert all(torch.allclose(after[name], wanted[name], atol=2e-3) for name in wanted)
    if text is not None:
        assert clip is not None
        said, expected = clip.encode("a cat")[0][0], tuned_clip.encode("a cat")[0][0]
        assert (said - expected).abs().mean() < 0.01
        assert not torch.allclose(base_clip.encode("a cat")[0][0], expected, atol=0.1)


def test_without_biases_only_matrices_are_kept(tmp_path: Path) -> None:
    (base, _), (tuned, _) = (placed(loaded) for loaded in pair(tmp_path))
    names = extract(model_merge_subtract(tuned, base), None, RANK, bias=False)
    assert {name.rpartition(".")[2] for name in names} == {"weight", "alpha"}


@pytest.mark.parametrize("shape", [(40, 30), (300, 200), (200, 900), (3, 500)])
def test_the_product_is_the_best_of_its_rank(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1)) @ torch.diag(0.9 ** torch.arange(shape[1]))
    state = torch.random.get_rng_state()
    up, down = low_rank(matrix, 8)
    assert torch.equal(torch.random.get_rng_state(), state)
    u, s, vh = torch.linalg.svd(matrix, full_matrices=False)
    best = (u[:, :8] * s[:8] @ vh[:8] - matrix).norm()
    assert (up @ down - matrix).norm() <= best * 1.01 + 1e-4


def test_at_full_rank_nothing_is_lost() -> None:
    for shape in ((40, 30), (3, 500), (64, 64)):
        matrix = torch.randn(shape, generator=torch.Generator().manual_seed(2))
        up, down = low_rank(matrix, 4096)
        assert up.shape[1] == min(shape)
        assert torch.allclose(up @ down, matrix, atol=2e-5)


def test_nothing_to_extract_is_said(tmp_path: Path) -> None:
    (base, _), _ = (placed(loaded) for loaded in pair(tmp_path))
    with pytest.raises(ValueError, match="there is no difference to extract"):
        extract(base, None, 4)


def test_the_node_saves_a_file_the_loader_takes(tmp_path: Path) -> None:
    (base, _), (tuned, _) = (placed(loaded) for loaded in pair(tmp_path))
    lora_save(rank=RANK, model_diff=model_merge_subtract(tuned, base), run=Run(node="1", job=Job(folders=Folders(base=tmp_path))))
    tensors = read_tensors(tmp_path / "output/loras/ComfyUI_extracted_lora_00001_.safetensors").tensors
    model, _ = apply_lora(base, None, tensors, 1.0, 1.0)
    assert model is not None
    assert torch.allclose(weights(model)["conv_in.weight"], weights(tuned)["conv_in.weight"], atol=2e-3)


def test_loras_of_sdxl_have_the_names_and_words_its_programs_look_for(tmp_path: Path) -> None:
    """The original network's names, and metadata that says for which base it is."""
    first = sdxl()
    second = {name: tensor + 0.05 for name, tensor in first.items()}
    paths = saved(tmp_path / "a.safetensors", first), saved(tmp_path / "b.safetensors", second)
    (base, base_clip), (tuned, tuned_clip) = (placed(load_checkpoint(path)) for path in paths)
    run = Run(node="1", job=Job(folders=Folders(base=tmp_path)))
    changes = model_merge_subtract(tuned, base), clip_merge_subtract(tuned_clip, base_clip)
    lora_save("x", 1, "standard", True, *changes, run=run)
    file = read_tensors(tmp_path / "output/x_00001_.safetensors")
    assert {"_".join(name.split("_")[:2]) for name in file.tensors} == {"lora_unet", "lora_te1", "lora_te2"}
    assert "lora_unet_input_blocks_3_1_transformer_blocks_0_attn1_to_q.lora_up.weight" in file.tensors
    assert file.metadata["ss_base_model_version"] == "sdxl_base_v1-0"
    assert file.metadata["modelspec.architecture"] == "stable-diffusion-xl-v1-base/lora"
    data = (tmp_path / "output/x_00001_.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    assert file.metadata["sshs_model_hash"] == hashlib.sha256(data[8 + length :]).hexdigest()
    model, clip = apply_lora(base, base_clip, file.tensors, 1.0, 1.0)
    assert model is not None
    assert clip is not None
    after, wanted = weights(model), weights(tuned)
    assert all(torch.allclose(after[name], wanted[name], atol=2e-3) for name in wanted), "one number everywhere is of rank 1"
