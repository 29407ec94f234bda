"""The Stable Diffusion x4 upscaler: beside diffusers' own pipeline, its file whole, its node."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.diffusion.autoencoder_kl import read_config
from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.edits.places import attentions
from engine.diffusion.families import unet
from engine.diffusion.families.x4_upscaler import LATENT, NOISIEST, X4Upscaler, noisy
from engine.diffusion.model import Model
from engine.diffusion.noise import starting_noise
from engine.diffusion.parts import Part, PlaceOnCpu
from engine.diffusion.residency import Residency
from engine.diffusion.sampling import ksampler
from engine.diffusion.saving import stream_checkpoint, write
from engine.diffusion.text.network import TextConfig
from engine.types import Conditioning, Image
from nodes.picture_prompts import sd_4xupscale_conditioning
from tests.diffusion import originals

STEPS, CFG, SEED = 4, 3.0, 5
SCHEDULE: Any = {"beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "scaled_linear"}
PUBLISHED: dict[str, Any] = {
    "in_channels": 7,
    "block_out_channels": (256, 512, 512, 1024),
    "down_block_types": ("DownBlock2D", *("CrossAttnDownBlock2D",) * 3),
    "up_block_types": (*("CrossAttnUpBlock2D",) * 3, "UpBlock2D"),
    "only_cross_attention": (True, True, True, False),
    "attention_head_dim": 8,
    "cross_attention_dim": 1024,
    "num_class_embeds": 1000,
    "use_linear_projection": True,
}
"""What the authors' ``unet/config.json`` says."""


TINY: dict[str, Any] = {
    "block_out_channels": (32, 64, 128),
    "down_block_types": PUBLISHED["down_block_types"][:3],
    "up_block_types": PUBLISHED["up_block_types"][1:],
    "only_cross_attention": (True, True, False),
    "cross_attention_dim": 128,
    "layers_per_block": 1,
}


def network(config: dict[str, Any]) -> Any:
    """Diffusers' own network, configured independently of ours."""
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        return UNet2DConditionModel(**{**PUBLISHED, **config}).eval()


def test_its_network_is_the_published_one() -> None:
    ours, theirs = originals.X4_FULL.build(), network({})
    assert {n: t.shape for n, t in ours.state_dict().items()} == {n: t.shape for n, t in theirs.state_dict().items()}
    heads = [[(n, m.heads) for n, m in one.named_modules() if hasattr(m, "heads")] for one in (ours, theirs)]
    assert heads[0] == heads[1]
    tensors = originals.vae(originals.VAE_X4)
    config = read_config(tensors)
    assert config == originals.VAE_X4
    assert config.spatial == LATENT.spatial == 4


def test_the_small_picture_is_made_noisy_as_diffusers_does() -> None:
    from diffusers import DDPMScheduler

    picture = torch.rand(2, 3, 8, 12) * 2 - 1
    for level in (0, 20, NOISIEST):
        noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(3))
        expected = DDPMScheduler(**SCHEDULE).add_noise(picture, noise, torch.tensor([level]))  # type: ignore[arg-type]
        assert torch.allclose(noisy(picture, level, 3), expected, atol=1e-5)  # theirs are differences from 1 in float32


def theirs(config: dict[str, Any], tensors: dict[str, Tensor], text: list[Tensor], images: Tensor, level: int) -> Tensor:
    """A run of diffusers' whole pipeline on a network of its own; the latent before the VAE."""
    from diffusers import AutoencoderKL, DDPMScheduler, EulerDiscreteScheduler, StableDiffusionUpscalePipeline
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    unet = network(config)
    named = {f"model.diffusion_model.{name}": tensor for name, tensor in tensors.items()}
    unet.load_state_dict(convert_ldm_unet_checkpoint(named, dict(unet.config)), assign=True)
    scheduler: Any = EulerDiscreteScheduler(**SCHEDULE, prediction_type="v_prediction", timestep_spacing="linspace")
    scheduler.set_timesteps(STEPS)
    top = float(scheduler.sigmas[0])
    noise = starting_noise((1, 4, *images.shape[1:3]), SEED) * (1 + top**-2) ** 0.5  # theirs starts with the noise alone
    pipeline: Any = StableDiffusionUpscalePipeline(
        AutoencoderKL(latent_channels=4), None, None, unet, DDPMScheduler(**SCHEDULE), scheduler  # type: ignore[arg-type]
    )
    pipeline.set_progress_bar_config(disable=True)
    latent: Tensor = pipeline(
        image=images.movedim(-1, 1), prompt_embeds=text[0], negative_prompt_embeds=text[1], guidance_scale=CFG,
        num_inference_steps=STEPS, noise_level=level, output_type="latent", return_dict=False,
        latents=noise, generator=torch.Generator().manual_seed((0 - 10) % (1 << 63)),
    )[0]  # fmt: skip
    return latent / 0.08333


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("family", "config"),
    [
        pytest.param(originals.X4_TINY, TINY, id="tiny"),
        pytest.param(originals.X4_FULL, {}, id="full", marks=pytest.mark.slow),  # 2 GB
    ],
)
@torch.no_grad()
def test_a_run_is_that_of_diffusers_pipeline(family: X4Upscaler, config: dict[str, Any]) -> None:
    tensors = originals.filled(originals.denoiser(family), 3)
    tensors["out.2.weight"] *= 0.1
    model = Model(Part("denoiser", family.build, family.keymap(tensors), tensors), family, Residency("cpu", dtype=torch.float32))
    text = list(torch.randn(2, 1, 77, family.config.context, generator=torch.Generator().manual_seed(1)))
    images = torch.rand(1, 16, 24, 3, generator=torch.Generator().manual_seed(2))
    prompts = [Conditioning([[one, {}]]) for one in text]
    told = sd_4xupscale_conditioning(Image(images), *prompts, scale_ratio=4.0, noise_augmentation=0.1)
    ours = ksampler(model, *told, seed=SEED, steps=STEPS, cfg=CFG, sampler_name="euler", scheduler="normal")["samples"]
    expected = theirs(config, tensors, text, images, level=35)
    apart, largest = float((ours - expected).abs().max()), float(expected.abs().max())
    print(f"{family.title}: {apart:.1e} of {largest:.0f}, relative {apart / largest:.1e}")
    assert apart < 1e-5 * largest


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As published, with the buffers of its noise."""
    words = originals.open_clip(originals.tower(TextConfig(128, 23, 64, "gelu", vocabulary=49408)))
    parts = {
        "model.diffusion_model.": originals.denoiser(originals.X4_TINY),
        "first_stage_model.": originals.vae(replace(originals.VAE_TINY, channels=(16, 16, 32))),
        "cond_stage_model.model.": words,
    }
    tensors = {"low_scale_model.betas": torch.zeros(1000), "low_scale_model.sqrt_alphas_cumprod": torch.zeros(1000)}
    for prefix, part in parts.items():
        tensors |= originals.with_prefix(prefix, originals.filled(part))
    path = tmp_path_factory.mktemp("x4") / "x4-upscaler-ema.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


def test_a_file_is_recognised_whole_draws_four_times_as_large_and_is_saved(file: Path, tmp_path: Path) -> None:
    loaded = load_checkpoint(file, PlaceOnCpu())
    assert loaded.family == originals.X4_TINY
    assert loaded.clip is not None
    assert loaded.vae is not None
    prompts = [Conditioning(loaded.clip.encode(words)) for words in ("fur", "")]
    told = sd_4xupscale_conditioning(Image(torch.rand(2, 8, 16, 3)), *prompts)
    latent = ksampler(loaded.model, *told, seed=1, steps=2, cfg=3.0, sampler_name="euler", scheduler="normal")["samples"]
    assert loaded.vae.decode(latent).shape == (2, 32, 64, 3)
    write(tmp_path / "saved.safetensors", stream_checkpoint(loaded.model, loaded.clip, loaded.vae))
    again = load_checkpoint(tmp_path / "saved.safetensors", PlaceOnCpu())
    ours, theirs = loaded.denoiser.weights(), again.denoiser.weights()
    assert again.family == loaded.family
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_node_fits_the_pictures_to_the_latent() -> None:
    nothing = Conditioning([[torch.zeros(1, 77, 128), {}]])
    pictures = torch.rand(2, 30, 50, 3)
    for ratio, cells in ((4.0, (30, 50)), (2.0, (15, 25)), (0.0, (1, 1))):
        told = sd_4xupscale_conditioning(Image(pictures), nothing, nothing, ratio, 0.3)
        assert told.latent["samples"].shape == (2, 4, *cells)
        for conditioning in (told.positive, told.negative):
            assert conditioning[0][1]["concat_image"].shape == (2, 3, *cells)
            assert conditioning[0][1]["noise_augmentation"] == 0.3
    same = sd_4xupscale_conditioning(Image(pictures), nothing, nothing).positive[0][1]["concat_image"]
    assert torch.allclose(same, pictures.movedim(-1, 1) * 2 - 1)


def test_without_a_picture_it_says_what_to_connect() -> None:
    config, family, x = originals.X4_FULL.config, originals.X4_FULL, torch.zeros(2, 4, 8, 12)
    words = unet.overlooked(config, {}, masked=False)
    assert words is not None
    assert "SD_4XUpscale_Conditioning" in words
    assert unet.overlooked(config, {"concat_image": torch.zeros(1, 3, 8, 8)}, masked=False) is None
    inputs = family.condition(torch.zeros(1, 77, 1024), {}, x)
    assert inputs["concat"].shape == (2, 3, 8, 12)
    assert inputs["labels"].tolist() == [0, 0]
    told = {"concat_image": torch.zeros(1, 3, 4, 6), "noise_augmentation": 0.5}
    assert family.condition(torch.zeros(1, 77, 1024), told, x)["labels"].tolist() == [175, 175]


def test_edits_of_self_attention_leave_alone_what_reads_the_text() -> None:
    """Two levels of four look at the text only; the lowest and the middle see the picture."""
    seen = {name.split(".attentions")[0] for name, _ in attentions(originals.X4_FULL.build(), "attn1")}
    assert seen == {"down_blocks.3", "mid_block", "up_blocks.0"}
