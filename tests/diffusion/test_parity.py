"""Whole pictures, equal to those of diffusers' own pipelines with weights brought in by its own converters.

Step counts divide the 999 timesteps, for between them ComfyUI (and we) take the nearest level, diffusers the fraction.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.diffusion.checkpoints import Checkpoint, load_checkpoint
from engine.diffusion.containers import read_tensors
from engine.diffusion.families.sdxl import SDXL
from engine.diffusion.parts import under
from engine.diffusion.sampling import ksampler
from engine.diffusion.text.bpe import VOCABULARY
from engine.diffusion.text.network import TextConfig
from tests.diffusion import originals

DEMO = Path(__file__).parents[2] / "models" / "checkpoints" / "loom-demo.safetensors"
L = TextConfig(width=64, layers=3, hidden=128, activation="quick_gelu")
G = TextConfig(width=128, layers=3, hidden=128, activation="gelu", projection=128)


def tokenizer(pad: str | None = None) -> Any:
    from transformers import CLIPTokenizer

    made = CLIPTokenizer(str(VOCABULARY / "vocab.json"), str(VOCABULARY / "merges.txt"), model_max_length=77)
    if pad is not None:
        made.pad_token = pad
    return made


def scheduler() -> Any:
    from diffusers import EulerDiscreteScheduler

    return EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="linspace")


def text_encoder(config: TextConfig, tensors: dict[str, Tensor], *, projected: bool) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    settings = CLIPTextConfig(
        hidden_size=config.width,
        intermediate_size=config.hidden,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        hidden_act=config.activation,
        projection_dim=config.projection or config.width,
        eos_token_id=49407,
    )
    network = (CLIPTextModelWithProjection if projected else CLIPTextModel)(settings).eval()
    flat = "text_model.final_layer_norm.weight" not in network.state_dict()
    names = {name.removeprefix("text_model.") if flat else name: tensor.float() for name, tensor in tensors.items()}
    assert not network.load_state_dict(names, strict=False).unexpected_keys
    return network


def unet_and_vae(loaded: Checkpoint, tensors: dict[str, Tensor]) -> tuple[Any, Any]:
    """The networks with weights through diffusers' converters."""
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint

    assert loaded.vae is not None
    unet: Any = loaded.denoiser.build().to_empty(device="cpu")
    vae: Any = loaded.vae.part.build().to_empty(device="cpu")
    layers = {"layers_per_block": len(loaded.family.config.down[0])}  # type: ignore[attr-defined]
    full = {name: tensor.float() for name, tensor in tensors.items()}
    unet.load_state_dict(convert_ldm_unet_checkpoint(dict(full), {**unet.config, **layers}))
    vae.load_state_dict(convert_ldm_vae_checkpoint(dict(full), dict(vae.config)))  # type: ignore[call-overload]
    return unet.eval(), vae.eval()


@cache
def demo_pipeline() -> Any:
    from diffusers import StableDiffusionPipeline

    file = read_tensors(DEMO)
    unet, vae = unet_and_vae(load_checkpoint(DEMO), file.tensors)
    config = TextConfig(width=128, layers=2, hidden=512, activation="quick_gelu")
    text = text_encoder(config, under(file.tensors, "cond_stage_model.transformer."), projected=False)
    vae.register_to_config(scaling_factor=0.18215)
    pipeline = StableDiffusionPipeline(vae, text, tokenizer(), unet, scheduler(), None, None, None, requires_safety_checker=False)  # type: ignore[arg-type]
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def noise(seed: int, pipeline: Any, steps: int, shape: tuple[int, ...]) -> Tensor:
    """The engine's start, divided by what the pipeline will multiply with: it lacks the clean picture's share of the variance."""
    pipeline.scheduler.set_timesteps(steps)
    sigma = pipeline.scheduler.sigmas.max()
    return torch.randn(shape, generator=torch.manual_seed(seed)) * (1 + sigma**2) ** 0.5 / sigma


@torch.no_grad()
def test_a_picture_of_the_shipped_model_is_that_of_diffusers() -> None:
    pipeline = demo_pipeline()
    steps, seed, prompt, negative = 10, 7, "a photo of a red car on a beach", "blurry"
    theirs = pipeline(
        prompt,
        height=128,
        width=128,
        num_inference_steps=steps,
        guidance_scale=5.0,
        negative_prompt=negative,
        latents=noise(seed, pipeline, steps, (1, 4, 16, 16)),
        output_type="latent",
    ).images
    loaded = load_checkpoint(DEMO)
    assert loaded.clip is not None
    assert loaded.vae is not None
    positive, unwanted = loaded.clip.encode_many([prompt, negative])
    ours = ksampler(
        loaded.model, positive, unwanted, {"samples": torch.zeros(1, 4, 16, 16)}, seed=seed, steps=steps, cfg=5.0,
        sampler_name="euler", scheduler="normal",
    )["samples"]  # fmt: skip
    assert torch.allclose(ours * 0.18215, theirs, atol=1e-4), (ours * 0.18215 - theirs).abs().max()
    pixels = (pipeline.vae.decode(theirs / 0.18215).sample / 2 + 0.5).clamp(0, 1).movedim(1, -1)
    assert torch.allclose(loaded.vae.decode(ours), pixels, atol=1e-3)


@torch.no_grad()
def test_a_latent_of_a_random_sdxl_is_that_of_diffusers(tmp_path: Path) -> None:
    from diffusers import StableDiffusionXLPipeline

    small, big = originals.filled(originals.tower(L), 1), originals.filled(originals.tower(G), 2)
    tensors = originals.with_prefix("model.diffusion_model.", originals.filled(originals.denoiser(SDXL(originals.SDXL_TINY)), 3))
    tensors["model.diffusion_model.out.2.weight"] *= 0.1  # a random network would else drive the latent to hundreds
    tensors |= originals.with_prefix("first_stage_model.", originals.filled(originals.vae(originals.VAE_TINY), 4))
    tensors |= originals.with_prefix("conditioner.embedders.0.transformer.", small)
    tensors |= originals.with_prefix("conditioner.embedders.1.model.", originals.open_clip(big))
    path = tmp_path / "xl.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    loaded = load_checkpoint(path)
    unet, vae = unet_and_vae(loaded, tensors)
    encoders = text_encoder(L, small, projected=False), text_encoder(G, big, projected=True)
    pipeline = StableDiffusionXLPipeline(vae, *encoders, tokenizer(), tokenizer("!"), unet, scheduler(), add_watermarker=False)  # type: ignore[arg-type]
    pipeline.set_progress_bar_config(disable=True)
    pipeline.default_sample_size = 16
    steps, seed, prompt, negative = 4, 3, "a photo of a red car on a beach", "a blurry dog"
    theirs = pipeline(
        prompt,
        height=128,
        width=64,
        num_inference_steps=steps,
        guidance_scale=4.0,
        negative_prompt=negative,
        latents=noise(seed, pipeline, steps, (1, 4, 16, 8)),
        output_type="latent",
    ).images
    assert loaded.clip is not None
    positive, unwanted = loaded.clip.encode_many([prompt, negative])
    ours = ksampler(
        loaded.model, positive, unwanted, {"samples": torch.zeros(1, 4, 16, 8)}, seed=seed, steps=steps, cfg=4.0,
        sampler_name="euler", scheduler="normal",
    )["samples"]  # fmt: skip
    assert torch.allclose(ours * 0.13025, theirs, atol=1e-4, rtol=1e-4), (ours * 0.13025 - theirs).abs().max()


def test_the_independent_path_is_independent() -> None:
    """The pipeline's networks share no memory with the engine's."""
    unet: Any = demo_pipeline().unet
    stored = next(iter(load_checkpoint(DEMO).denoiser.weights().values()))
    assert all(p.untyped_storage().data_ptr() != stored.untyped_storage().data_ptr() for p in unet.parameters())


pytestmark = pytest.mark.filterwarnings("ignore")
