"""The VAE: what diffusers computes, whole pictures and tiles, odd sizes, wrong inputs."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.families.sd1 import LATENT
from engine.diffusion.parts import PlaceOnCpu
from engine.diffusion.sampling import RandomNoise, with_noise
from engine.diffusion.tiles import boxes, tiled
from engine.diffusion.vae import Vae
from engine.types import Image, Latent
from nodes.vae import vae_decode, vae_encode
from tests.diffusion.test_checkpoints import saved, sd1, sdxl

DEMO = Path(__file__).parents[2] / "models" / "checkpoints" / "loom-demo.safetensors"


@cache
def demo() -> Vae:
    vae = load_checkpoint(DEMO).vae
    assert vae is not None
    return vae


def picture(height: int, width: int, batch: int = 1) -> torch.Tensor:
    """Smooth colours in 0..1."""
    y, x = torch.meshgrid(torch.linspace(0, 3, height), torch.linspace(0, 3, width), indexing="ij")
    one = torch.stack([y.sin(), (x + y).cos(), (x * y).sin()], dim=-1) / 2 + 0.5
    return one.repeat(batch, 1, 1, 1)


def test_encode_and_decode_are_those_of_diffusers() -> None:
    network: Any = PlaceOnCpu()(demo().part)
    images = picture(64, 96, 2)
    theirs = network.encode(images.movedim(-1, 1) * 2 - 1).latent_dist.mode()
    ours = demo().encode(images)
    assert torch.allclose(ours, theirs, atol=1e-4)
    decoded = (network.decode(theirs).sample / 2 + 0.5).clamp(0, 1).movedim(1, -1)
    assert torch.allclose(demo().decode(theirs), decoded, atol=1e-4)


def test_a_picture_survives_the_round_trip() -> None:
    images = picture(128, 128)
    back = demo().decode(demo().encode(images))
    assert back.shape == images.shape
    assert (back - images).abs().mean() < 0.1


def test_encoding_twice_gives_the_same_bits() -> None:
    assert torch.equal(demo().encode(picture(64, 64)), demo().encode(picture(64, 64)))


def test_odd_sizes_are_cropped_around_the_middle_and_alpha_is_dropped() -> None:
    images = picture(77, 70)
    whole = torch.cat([images, torch.ones(1, 77, 70, 1)], dim=-1)
    assert torch.equal(demo().encode(whole), demo().encode(images[:, 2:74, 3:67]))


def test_wrong_inputs_are_sentences() -> None:
    with pytest.raises(ValueError, match=r"expected pictures \(batch, height, width, 3\), got \(1, 64, 64, 1\)"):
        demo().encode(torch.zeros(1, 64, 64, 1))
    with pytest.raises(ValueError, match="7x64 pixels are less than one 8x8 cell"):
        demo().encode(torch.zeros(1, 64, 7, 3))
    with pytest.raises(ValueError, match=r"takes latents \(batch, 4, height, width\), got \(1, 16, 8, 8\)"):
        demo().decode(torch.zeros(1, 16, 8, 8))


def test_results_may_be_written_to() -> None:
    """They are no inference tensors: later nodes change them in place."""
    demo().encode(picture(64, 64)).requires_grad_().sum().backward()
    demo().decode(torch.zeros(1, 4, 8, 8)).add_(1)


def test_bfloat16_is_close() -> None:
    z = demo().encode(picture(64, 64))
    assert (demo().with_dtype(torch.bfloat16).decode(z) - demo().decode(z)).abs().mean() < 0.01


def test_tiles_give_nearly_the_same_picture_without_seams() -> None:
    images = picture(256, 320)
    z = demo().encode(images)
    whole, parts = demo().decode(z), demo().decode_tiled(z, tile=128, overlap=64)
    assert parts.shape == whole.shape
    assert (whole - parts).abs().mean() < 0.05
    steps = (parts[:, :, 1:] - parts[:, :, :-1]).abs().amax(dim=(0, 1, 3))
    assert steps.max() < 3 * (whole[:, :, 1:] - whole[:, :, :-1]).abs().max()
    coded = demo().encode_tiled(images, tile=128, overlap=64)
    assert coded.shape == z.shape
    assert (demo().decode(coded) - whole).abs().mean() < 0.08


def test_one_tile_is_the_whole() -> None:
    z = demo().encode(picture(64, 64))
    assert torch.allclose(demo().decode_tiled(z, tile=512), demo().decode(z), atol=1e-5)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 16), st.integers(0, 8))
@settings(max_examples=60, deadline=None)
def test_tiling_a_local_function_changes_nothing(height: int, width: int, tile: int, overlap: int) -> None:
    overlap = min(overlap, tile // 2)
    x = torch.randn(1, 2, height, width)
    assert torch.allclose(tiled(lambda piece: piece * 2, x, tile, overlap), x * 2, atol=1e-5)
    doubled = x.repeat_interleave(2, -1).repeat_interleave(2, -2)
    enlarge = lambda piece: piece.repeat_interleave(2, -1).repeat_interleave(2, -2)  # noqa: E731
    assert torch.allclose(tiled(enlarge, x, tile, overlap, up=2), doubled, atol=1e-5)
    shrink = lambda piece: piece[..., ::2, ::2]  # noqa: E731
    assert torch.allclose(tiled(shrink, doubled, tile * 2, overlap * 2, down=2), x, atol=1e-5)


@given(st.integers(1, 100), st.integers(1, 20), st.integers(0, 10))
def test_every_cell_is_in_a_tile_and_no_tile_is_too_large(length: int, tile: int, overlap: int) -> None:
    overlap = min(overlap, tile // 2)
    seen = set()
    for rows, _, weights in boxes(length, 1, tile, overlap):
        assert rows.stop - rows.start <= tile
        assert (weights > 0).all()
        seen |= set(range(rows.start, rows.stop))
    assert seen == set(range(length))


def test_latent_format_is_undone_by_its_inverse_and_previews() -> None:
    z = demo().encode(picture(64, 64))
    assert torch.allclose(LATENT.outside(LATENT.inside(z)), z, atol=1e-6)
    assert LATENT.preview(LATENT.inside(z)).shape == (1, 8, 8, 3)
    assert LATENT.shape(520, 256, batch=3) == (3, 4, 32, 65)


def test_the_blend_is_as_smooth_in_an_enlarged_picture() -> None:
    """Two tiles of different brightness: no step is larger than the ramp's, a pixel of the overlap."""
    calls = iter([0.0, 1.0])
    x = torch.zeros(1, 1, 1, 24)
    row = tiled(lambda piece: torch.full((1, 1, 8, piece.shape[-1] * 8), next(calls)), x, 16, 8, up=8)[0, 0, 0]
    assert (row[0], row[-1]) == (0.0, 1.0)
    assert float(row.diff().max()) < 1.05 / (8 * 8)
    assert float(row.diff().min()) >= 0


def test_latents_of_another_family_are_refused_where_it_is_known(tmp_path: Path) -> None:
    """Their shapes are the same; what a checkpoint's VAE made and what its model sampled says whose it is."""
    one, other = (load_checkpoint(saved(tmp_path / f"{i}.safetensors", t)) for i, t in enumerate((sd1(), sdxl())))
    assert one.vae is not None
    assert other.vae is not None
    latent = vae_encode(Image(picture(64, 64)), other.vae)
    assert vae_decode(latent, other.vae).shape == vae_decode(latent, replace(one.vae, whose="")).shape == (1, 64, 64, 3)
    with pytest.raises(ValueError, match="this latent is Stable Diffusion XL's, the VAE is Stable Diffusion 1 and 2's"):
        vae_decode(latent, one.vae)
    empty: Latent = {"samples": torch.zeros(1, 4, 8, 8)}
    sigmas = torch.tensor([1.0, 0.0])
    sampled = with_noise(one.model, RandomNoise(1), sigmas, empty)
    vae_decode(sampled, one.vae)
    with pytest.raises(ValueError, match="this latent is Stable Diffusion 1 and 2's, the model is Stable Diffusion XL's"):
        with_noise(other.model, RandomNoise(1), sigmas, sampled)
