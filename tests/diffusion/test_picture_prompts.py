"""unCLIP and Stable Zero123: their files whole, their nodes, and what is said where they do not fit."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.diffusion.checkpoints import Checkpoint, load_checkpoint
from engine.diffusion.conversion import convert
from engine.diffusion.families.sd1 import SD1
from engine.diffusion.families.unclip import UnCLIP, cosine_kept
from engine.diffusion.families.zero123 import Zero123
from engine.diffusion.parts import PlaceOnCpu
from engine.diffusion.sampling import ksampler
from engine.diffusion.saving import stream_checkpoint, write
from engine.diffusion.text.network import TextConfig
from engine.diffusion.vision.network import VisionConfig
from engine.types import Conditioning, Image
from main import main
from nodes.picture_prompts import stable_zero123_conditioning_batched, unclip_conditioning
from tests.diffusion import originals

H = TextConfig(width=64, layers=23, hidden=64, activation="gelu", vocabulary=49408)
EYE = VisionConfig(width=64, layers=2, hidden=128, heads=1, activation="quick_gelu", patch=14, size=28, projection=32)


def prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return originals.with_prefix(prefix, originals.filled(tensors, 2))


@pytest.fixture(scope="module")
def unclip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tensors = prefixed("model.diffusion_model.", originals.denoiser(UnCLIP(originals.UNCLIP_TINY)))
    tensors |= prefixed("first_stage_model.", originals.vae(originals.VAE_TINY))
    tensors |= prefixed("cond_stage_model.model.", originals.open_clip(originals.tower(H)))
    tensors |= prefixed("embedder.model.visual.", originals.image_tower(EYE))
    tensors |= {"noise_augmentor.data_mean": torch.linspace(-1, 1, 32)[None], "noise_augmentor.data_std": torch.ones(1, 32)}
    tensors |= {"noise_augmentor.betas": torch.zeros(3), "embedder.model.logit_scale": torch.zeros(1), "v_pred": torch.zeros(0)}
    path = tmp_path_factory.mktemp("unclip") / "unclip.safetensors"
    save_file(tensors, path)
    return path


@pytest.fixture(scope="module")
def zero123(tmp_path_factory: pytest.TempPathFactory) -> Path:
    family = SD1(replace(originals.SD1_TINY, in_channels=8))
    tensors = prefixed("model.diffusion_model.", originals.denoiser(family))
    tensors |= prefixed("first_stage_model.", originals.vae(originals.VAE_TINY))
    tensors |= prefixed("cond_stage_model.model.visual.", originals.image_tower(replace(EYE, projection=64)))
    tensors |= {"cc_projection.weight": torch.randn(64, 68), "cc_projection.bias": torch.zeros(64)}
    tensors |= {"cond_stage_model.model.ln_final.weight": torch.zeros(2), "cond_stage_model.mean": torch.zeros(3)}
    path = tmp_path_factory.mktemp("zero") / "zero123.safetensors"
    save_file(tensors, path)
    return path


def same(one: Checkpoint, other: Checkpoint) -> bool:
    ours, theirs = one.denoiser.weights(), other.denoiser.weights()
    return one.family == other.family and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_unclip_is_recognised_whole_and_saves_what_it_needs(unclip: Path, tmp_path: Path) -> None:
    loaded = load_checkpoint(unclip, PlaceOnCpu())
    assert isinstance(loaded.family, UnCLIP)
    assert loaded.family.prediction.kind == "v"
    assert loaded.clip is not None
    assert loaded.clip_vision is not None
    write(tmp_path / "saved.safetensors", stream_checkpoint(loaded.model, loaded.clip, loaded.vae))
    write(tmp_path / "pruned.safetensors", convert(unclip, prune=True))
    for name in ("saved", "pruned"):
        again = load_checkpoint(tmp_path / f"{name}.safetensors", PlaceOnCpu())
        assert same(again, loaded)
        assert isinstance(again.family, UnCLIP)
        assert again.family.mean is not None
        assert torch.equal(again.family.mean, torch.linspace(-1, 1, 32)[None])


def test_a_picture_prompt_changes_the_picture(unclip: Path) -> None:
    """Strength 0 is no picture; noise draws away from it; two may be chained."""
    loaded = load_checkpoint(unclip, PlaceOnCpu())
    assert loaded.clip is not None
    assert loaded.clip_vision is not None
    text = Conditioning(loaded.clip.encode("a dog"))
    seen = [loaded.clip_vision.encode(Image(torch.rand(1, 30, 30, 3))) for _ in range(2)]
    assert unclip_conditioning(text, seen[0], 0.0) is text
    once = unclip_conditioning(text, seen[0], 1.0, 0.0)
    twice = unclip_conditioning(once, seen[1], 0.5, 0.2)
    noisy = unclip_conditioning(text, seen[0], 1.0, 0.9)
    assert [len(c[0][1].get("unclip_conditioning", ())) for c in (text, once, twice)] == [0, 1, 2]
    labels = [loaded.family.condition(*c[0], torch.zeros(1, 4, 8, 8))["labels"] for c in (text, once, twice, noisy)]
    assert labels[0].eq(0).all()
    exact = seen[0].image_embeds
    assert (labels[1][:, :32] - exact).norm() < 0.1 * exact.norm() + 0.5 < (labels[3][:, :32] - exact).norm()
    drawn = [
        ksampler(loaded.model, c, text, {"samples": torch.zeros(1, 4, 8, 8)}, seed=1, steps=2, cfg=3.0,
                 sampler_name="euler", scheduler="normal")["samples"]
        for c in (text, once, twice)
    ]  # fmt: skip
    assert all(torch.isfinite(latent).all() for latent in drawn)
    assert not torch.allclose(drawn[0], drawn[1])
    assert not torch.allclose(drawn[1], drawn[2])


def test_the_wrong_image_encoder_is_named(unclip: Path) -> None:
    loaded = load_checkpoint(unclip, PlaceOnCpu())
    seen = type("Seen", (), {"image_embeds": torch.zeros(1, 16)})
    entry = {"clip_vision_output": seen, "strength": 1.0, "noise_augmentation": 0.0}
    with pytest.raises(ValueError, match="has 16 numbers, but this unCLIP model wants 32: use the CLIP Vision of its own"):
        loaded.family.condition(torch.zeros(1, 77, 64), {"unclip_conditioning": [entry]}, torch.zeros(1, 4, 8, 8))


def test_the_cosine_schedule_goes_from_all_to_nothing() -> None:
    kept = [cosine_kept(level) for level in (0, 300, 600, 999)]
    assert kept[0] > 0.9999
    assert kept == sorted(kept, reverse=True)
    assert kept[-1] < 1e-6


def test_zero123_is_recognised_whole_and_turns(zero123: Path, tmp_path: Path) -> None:
    loaded = load_checkpoint(zero123, PlaceOnCpu())
    assert isinstance(loaded.family, Zero123)
    assert loaded.clip is None
    assert loaded.clip_vision is not None
    assert loaded.vae is not None
    write(tmp_path / "saved.safetensors", stream_checkpoint(loaded.model, None, loaded.vae))
    assert same(load_checkpoint(tmp_path / "saved.safetensors", PlaceOnCpu()), loaded)
    picture = Image(torch.rand(1, 40, 40, 3))
    prompt = stable_zero123_conditioning_batched(
        loaded.clip_vision, picture, loaded.vae, 64, 64, batch_size=3, elevation=10.0, azimuth=0.0, azimuth_batch_increment=90.0
    )
    tensor = prompt.positive[0][0]
    assert tensor.shape == (3, 1, 68)
    cameras = [(-math.radians(10), math.sin(a), math.cos(a), math.pi / 2) for a in (0.0, math.pi / 2, math.pi)]
    assert torch.allclose(tensor[:, 0, 64:], torch.tensor(cameras), atol=1e-6)
    assert prompt.latent["batch_index"] == [0, 0, 0]
    drawn = ksampler(loaded.model, prompt.positive, prompt.negative, prompt.latent, seed=1, steps=2, cfg=3.0,
                     sampler_name="euler", scheduler="normal")["samples"]  # fmt: skip
    assert drawn.shape == (3, 4, 8, 8)
    assert not torch.allclose(drawn[0], drawn[1]), "one noise, but another side"


def test_a_merge_keeps_the_image_encoder(unclip: Path, tmp_path: Path) -> None:
    """Of a model whose prompts are pictures nothing else would be left to prompt it with."""
    assert main(["models", "merge", str(unclip), str(unclip), str(tmp_path / "both.safetensors")]) == 0
    eyes = [load_checkpoint(path, PlaceOnCpu()).clip_vision for path in (unclip, tmp_path / "both.safetensors")]
    assert all(eye is not None for eye in eyes)
    before, after = (eye.part.stored for eye in eyes if eye is not None)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
