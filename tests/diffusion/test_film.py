"""Stable Video Diffusion beside diffusers: its names, whole runs, its autoencoder, its files and nodes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.diffusion import autoencoder_film
from engine.diffusion.autoencoder_film import FilmConfig
from engine.diffusion.checkpoints import load_checkpoint, load_vae
from engine.diffusion.families import FAMILIES, in_known_names
from engine.diffusion.families.svd import SVD, modules, network_config
from engine.diffusion.families.unet import UNetConfig
from engine.diffusion.inspection import inspect
from engine.diffusion.model import Model
from engine.diffusion.parts import Part, PlaceOnCpu
from engine.diffusion.residency import Residency
from engine.diffusion.sampling import ksampler
from engine.diffusion.vision.network import VisionConfig
from engine.folders import Folders
from engine.run import Job, Run
from engine.types import Image
from nodes.guidance import video_linear_cfg_guidance
from nodes.loaders import image_only_checkpoint_loader
from nodes.model_files import image_only_checkpoint_save
from nodes.picture_prompts import svd_img2vid_conditioning
from tests.diffusion import originals

STEPS, CFG, SEED, FRAMES = 4, 3.0, 5, 3
KINDS = ("weight", "bias")
STILL = replace(originals.VAE_TINY, channels=(32, 32, 64, 64))
EYE = VisionConfig(width=64, layers=2, hidden=128, heads=1, activation="quick_gelu", patch=14, size=28, projection=64)


def by_hand(name: str) -> str:
    """A UNet's original name as diffusers calls it: two levels of one residual block, written out."""
    blocks = {
        "input_blocks.0.0": "conv_in",
        "input_blocks.1.0": "down_blocks.0.resnets.0",
        "input_blocks.1.1": "down_blocks.0.attentions.0",
        "input_blocks.2.0.op": "down_blocks.0.downsamplers.0.conv",
        "input_blocks.3.0": "down_blocks.1.resnets.0",
        "middle_block.0": "mid_block.resnets.0",
        "middle_block.1": "mid_block.attentions.0",
        "middle_block.2": "mid_block.resnets.1",
        "output_blocks.0.0": "up_blocks.0.resnets.0",
        "output_blocks.1.0": "up_blocks.0.resnets.1",
        "output_blocks.1.1.conv": "up_blocks.0.upsamplers.0.conv",
        "output_blocks.2.0": "up_blocks.1.resnets.0",
        "output_blocks.2.1": "up_blocks.1.attentions.0",
        "output_blocks.3.0": "up_blocks.1.resnets.1",
        "output_blocks.3.1": "up_blocks.1.attentions.1",
        "time_embed.0": "time_embedding.linear_1",
        "time_embed.2": "time_embedding.linear_2",
        "label_emb.0.0": "add_embedding.linear_1",
        "label_emb.0.2": "add_embedding.linear_2",
        "out.0": "conv_norm_out",
        "out.2": "conv_out",
    }
    start = max((block for block in blocks if name.startswith(block + ".")), key=len)
    target, rest = blocks[start], name[len(start) :]
    if ".resnets." in target and "time_mixer" not in rest:
        rest = ".temporal_res_block" + rest.removeprefix(".time_stack") if ".time_stack" in rest else ".spatial_res_block" + rest
        for side, number in (("in", 1), ("out", 2)):
            rest = rest.replace(f"{side}_layers.0", f"norm{number}").replace(f"{side}_layers.{1 + number}", f"conv{number}")
        rest = rest.replace("emb_layers.1", "time_emb_proj").replace("skip_connection", "conv_shortcut")
    rest = rest.replace("time_stack", "temporal_transformer_blocks")
    return target + re.sub(r"time_pos_embed\.([02])", lambda m: f"time_pos_embed.linear_{int(m[1]) // 2 + 1}", rest)


def unet(config: UNetConfig = originals.SVD_TINY) -> tuple[SVD, dict[str, Tensor]]:
    family = SVD(config)
    tensors = originals.filled(originals.renamed(family.build(), modules(family.config)), 3)
    tensors["out.2.weight"] *= 0.1
    return family, tensors


def test_the_full_network_is_recognised_with_its_size_and_named_as_the_converter_does() -> None:
    family = SVD(originals.SVD_FULL)
    network = family.build()
    tensors = originals.renamed(network, modules(family.config))
    assert [bound for known in FAMILIES if (bound := known.recognise(tensors, {}, {})) is not None] == [family]
    part = Part("denoiser", family.build, family.keymap(tensors), tensors)
    assert part.parameters == 1_524_623_082
    network.load_state_dict(part.weights(), strict=True, assign=True)
    converted = by_converter(tensors, network)
    assert len(converted) == len(tensors)
    assert all(converted[row.target] is tensors[row.source] for row in part.keymap)


def test_names_are_those_written_out_by_hand() -> None:
    family, tensors = unet()
    assert {row.source: row.target for row in family.keymap(tensors)} == {name: by_hand(name) for name in tensors}
    own = in_known_names({by_hand(name): tensor for name, tensor in tensors.items()})
    assert own.keys() == tensors.keys()
    assert all(own[name] is tensor for name, tensor in tensors.items())


def by_converter(tensors: dict[str, Tensor], network: Any) -> dict[str, Tensor]:
    """The same at any size: diffusers' converter of image UNets, and what stands along time renamed after it."""
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    named = {f"model.diffusion_model.{name}": tensor for name, tensor in tensors.items()}
    renamed = {f"add_embedding.linear_{1 + i // 2}.{kind}": tensors[f"label_emb.0.{i}.{kind}"] for i in (0, 2) for kind in KINDS}
    for name, tensor in convert_ldm_unet_checkpoint(named, network.config).items():
        if ".attentions." in name:
            name = name.replace("time_stack", "temporal_transformer_blocks")
            name = name.replace("embed.0", "embed.linear_1").replace("embed.2", "embed.linear_2")
        elif ".time_stack." in name:
            name = name.replace("time_stack", "temporal_res_block")
        elif ".time_mixer." not in name:
            name = re.sub(r"(\.resnets\.\d+)\.", r"\1.spatial_res_block.", name)
        renamed[name] = tensor
    return renamed


def film_of_diffusers(network: Any, seen: Tensor, picture: Tensor, told: Tensor, scale: Tensor) -> Tensor:
    """The loop of its pipeline, guided by one ``scale`` a frame; ``told`` is its added_time_ids."""
    from diffusers import EulerDiscreteScheduler

    scheduler = EulerDiscreteScheduler(
        beta_schedule="scaled_linear", prediction_type="v_prediction", timestep_type="continuous", use_karras_sigmas=True,
        sigma_min=0.002, sigma_max=700.0,
    )  # fmt: skip
    scheduler.set_timesteps(STEPS)
    frames = len(scale)
    x = torch.randn(frames, *picture.shape[1:], generator=torch.manual_seed(SEED)) * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        scaled = scheduler.scale_model_input(x, t)
        outputs = []
        for context, image in ((seen, picture), (seen * 0, picture * 0)):
            sample = torch.cat([scaled, image.expand(frames, -1, -1, -1)], dim=1)[None]
            outputs.append(network(sample, t, encoder_hidden_states=context, added_time_ids=told).sample[0])
        x = scheduler.step(outputs[1] + scale.view(-1, 1, 1, 1) * (outputs[0] - outputs[1]), t, x).prev_sample
    return x / 0.18215


def our_film(model: Model, seen: Tensor, picture: Tensor, frames: int, **options: Any) -> Tensor:
    positive = [[seen, {**options, "concat_latent_image": picture}]]
    negative = [[seen * 0, {**options, "concat_latent_image": picture * 0}]]
    empty = {"samples": torch.zeros(frames, *picture.shape[1:])}
    return ksampler(
        model, positive, negative, empty, seed=SEED, steps=STEPS, cfg=CFG, sampler_name="euler", scheduler="karras"
    )["samples"]  # fmt: skip


def given(width: int) -> tuple[Tensor, Tensor]:
    """A picture as the image encoder sees it, and as the VAE made it."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(1, 1, width, generator=generator), torch.randn(1, 4, 8, 12, generator=generator)


def same(ours: Tensor, expected: Tensor, what: str) -> None:
    """Equal to 1e-5 of the largest number. ``-s`` shows how equal."""
    apart, largest = float((ours - expected).abs().max()), float(expected.abs().max())
    print(f"{what}: {apart:.1e} of {largest:.0f}, relative {apart / largest:.1e}")
    assert apart < 1e-5 * largest


@pytest.mark.parametrize("full", [False, pytest.param(True, marks=pytest.mark.slow)])
@torch.no_grad()
def test_a_film_is_that_of_diffusers(full: bool) -> None:
    """Stable Video Diffusion, guided from 1 at the first frame to more at the last, as its pipeline does.

    At full width in 6 GB, which both sides share, and with the authors' configuration, which is diffusers' default.
    """
    from diffusers import UNetSpatioTemporalConditionModel

    family, tensors = unet(originals.SVD_FULL if full else originals.SVD_TINY)
    part = Part("denoiser", family.build, family.keymap(tensors), tensors)
    with torch.device("meta"):
        theirs: Any = UNetSpatioTemporalConditionModel(**({} if full else network_config(family.config))).eval()
    theirs.load_state_dict(by_converter(tensors, theirs), assign=True)
    seen, picture = given(family.config.context)
    expected = film_of_diffusers(theirs, seen, picture, torch.tensor([[5.0, 127.0, 0.1]]), torch.linspace(1.0, CFG, FRAMES))
    model = video_linear_cfg_guidance(Model(part, family, Residency("cpu", dtype=torch.float32)), 1.0)
    ours = our_film(model, seen, picture, FRAMES, motion_bucket_id=127, fps=6, augmentation_level=0.1)
    same(ours, expected, "svd")


def film_vae(quant_conv: bool = True) -> dict[str, Tensor]:
    config = FilmConfig(replace(STILL, quant_conv=quant_conv))
    return originals.filled(originals.renamed(config.build(), autoencoder_film.modules(STILL)), 1)


@pytest.mark.parametrize("quant_conv", [True, False])
@torch.no_grad()
def test_frames_are_decoded_together_as_diffusers_does(quant_conv: bool, tmp_path: Path) -> None:
    from diffusers import AutoencoderKLTemporalDecoder

    tensors = film_vae(quant_conv)
    save_file({f"first_stage_model.{name}": tensor for name, tensor in tensors.items()}, tmp_path / "vae.safetensors")
    vae = load_vae(tmp_path / "vae.safetensors")
    theirs: Any = AutoencoderKLTemporalDecoder(
        block_out_channels=STILL.channels, layers_per_block=1, down_block_types=["DownEncoderBlock2D"] * 4
    ).eval()
    weights = vae.part.weights()
    if not quant_conv:
        weights |= {"quant_conv.weight": torch.eye(8)[..., None, None], "quant_conv.bias": torch.zeros(8)}
    theirs.load_state_dict(weights)
    z, pictures = torch.randn(10, 4, 4, 6), torch.rand(2, 32, 48, 3)
    expected = torch.cat([theirs.decode(z[:8], 8).sample, theirs.decode(z[8:], 2).sample]) / 2 + 0.5
    assert torch.allclose(vae.decode(z), expected.clamp(0, 1).movedim(1, -1), atol=1e-5)
    assert torch.allclose(vae.decode_tiled(z, 512, 64), vae.decode(z), atol=1e-5)
    encoded = theirs.encode(pictures.movedim(-1, 1) * 2 - 1).latent_dist.mode()
    assert torch.allclose(vae.encode(pictures), encoded, atol=1e-4)
    alone = torch.cat([vae.decode(one[None]) for one in z])
    assert not torch.allclose(vae.decode(z), alone, atol=1e-3), "the frames do not see each other"


def checkpoint(path: Path) -> Path:
    """All that the published file holds, tiny."""
    tensors = originals.with_prefix("model.diffusion_model.", unet()[1])
    tensors |= originals.with_prefix("first_stage_model.", film_vae(False))
    eye = originals.filled(originals.image_tower(EYE))
    tensors |= originals.with_prefix("conditioner.embedders.0.open_clip.model.visual.", eye)
    strays = ("conditioner.embedders.0.open_clip.model.ln_final.weight", "conditioner.embedders.3.encoder.quant_conv.weight")
    save_file(tensors | {name: torch.zeros(2) for name in strays}, path)
    return path


def test_a_whole_file_loads_saves_and_loads(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "checkpoints"
    folder.mkdir(parents=True)
    report = inspect(checkpoint(folder / "svd.safetensors"))
    assert (report.kind, report.unknown) == ("Stable Video Diffusion checkpoint", ())
    assert {part.role for part in report.parts} == {"denoiser", "vae", "clip_vision"}
    run = Run(job=Job(folders=Folders(base=tmp_path)))
    model, eye, vae = image_only_checkpoint_loader("svd.safetensors", run=run)
    image_only_checkpoint_save(model, eye, vae, "again", run=run)  # type: ignore[arg-type]
    again = load_checkpoint(next((tmp_path / "output").glob("again*.safetensors")), PlaceOnCpu())
    assert again.clip is None
    assert again.family == model.family
    assert again.vae is not None
    assert again.clip_vision is not None
    assert all(torch.equal(t, again.denoiser.weights()[n]) for n, t in model.part.weights().items())


def test_a_film_grows_out_of_a_picture(tmp_path: Path) -> None:
    """The nodes end to end: as many frames as asked for, and the first picture matters."""
    loaded = load_checkpoint(checkpoint(tmp_path / "svd.safetensors"), PlaceOnCpu())
    assert loaded.clip_vision is not None
    assert loaded.vae is not None
    films = []
    for seed in (0, 1):
        picture = Image(torch.rand(1, 40, 70, 3, generator=torch.Generator().manual_seed(seed)))
        prompt = svd_img2vid_conditioning(loaded.clip_vision, picture, loaded.vae, 96, 64, video_frames=3, augmentation_level=0.1)
        assert prompt.latent["samples"].shape == (3, 4, 8, 12)
        model = video_linear_cfg_guidance(Model(loaded.denoiser, loaded.family, loaded.place), 1.0)
        films.append(
            ksampler(model, prompt.positive, prompt.negative, prompt.latent, seed=1, steps=2, cfg=2.5,
                     sampler_name="euler", scheduler="karras")["samples"]
        )  # fmt: skip
    assert films[0].shape == (3, 4, 8, 12)
    assert torch.isfinite(films[0]).all()
    assert not torch.allclose(films[0], films[1])


pytestmark = pytest.mark.filterwarnings("ignore")
