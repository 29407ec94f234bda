"""Stable Video 3D: its two networks are told a camera a frame; beside diffusers' network where that is told one a film."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.families import FAMILIES
from engine.diffusion.families.sv3d import SV3D, WIDTHS, orbit
from engine.diffusion.families.svd import modules, network_config
from engine.diffusion.families.unet import UNetConfig
from engine.diffusion.inspection import inspect
from engine.diffusion.model import Model
from engine.diffusion.parts import Part, PlaceOnCpu
from engine.diffusion.residency import Residency
from engine.diffusion.sampling import ksampler
from engine.types import Image
from nodes.guidance import video_triangle_cfg_guidance
from nodes.picture_prompts import sv3d_conditioning
from tests.diffusion import originals
from tests.diffusion.test_film import CFG, EYE, FRAMES, STILL, by_converter, by_hand, film_of_diffusers, given, our_film, same


def unet(vector: int, config: UNetConfig = originals.SVD_TINY) -> tuple[SV3D, dict[str, Tensor]]:
    family = SV3D(replace(config, vector=vector))
    return family, originals.filled(originals.renamed(family.build(), modules(family.config)), 3)


def inputs(family: SV3D, frames: int, azimuths: list[float]) -> Any:
    generator = torch.Generator().manual_seed(1)
    seen, picture = torch.randn(1, 1, 64, generator=generator), torch.randn(1, 4, 8, 8, generator=generator)
    options = {"concat_latent_image": picture, "elevation": 20.0, "azimuth": azimuths, "augmentation_level": 0.01}
    return family.condition(seen, options, torch.zeros(frames, 4, 8, 8))


@pytest.mark.parametrize("vector", WIDTHS)
def test_the_full_network_is_recognised_by_one_family(vector: int) -> None:
    family = SV3D(replace(originals.SVD_FULL, vector=vector))
    tensors = originals.renamed(family.build(), modules(family.config))
    assert [bound for known in FAMILIES if (bound := known.recognise(tensors, {}, {})) is not None] == [family]
    Part("denoiser", family.build, family.keymap(tensors), tensors).module(device="meta")


@torch.no_grad()
@pytest.mark.parametrize("vector", WIDTHS)
def test_one_camera_for_all_frames_is_diffusers_network_told_it_at_once(vector: int) -> None:
    from diffusers import UNetSpatioTemporalConditionModel
    from diffusers.models.embeddings import get_timestep_embedding

    family, tensors = unet(vector)
    network = Part("denoiser", family.build, family.keymap(tensors), tensors).module()
    given = inputs(family, FRAMES, [40.0])
    x, t = torch.randn(FRAMES, 4, 8, 8, generator=torch.manual_seed(0)), torch.full((FRAMES,), 0.7)
    ours = family.forward(network, x, t, given)
    theirs: Any = UNetSpatioTemporalConditionModel(**network_config(family.config)).eval()
    theirs.load_state_dict({by_hand(name): tensor for name, tensor in tensors.items()})
    theirs.add_time_proj = nn.Identity()
    sines = {"flip_sin_to_cos": True, "downscale_freq_shift": 0}
    camera = [get_timestep_embedding(torch.tensor([0.01]), 256, **sines)]  # type: ignore[arg-type]
    if vector != WIDTHS[0]:
        for angle in (torch.deg2rad(torch.tensor([70.0])), torch.tensor([0.0])):  # azimuths count from the last frame's
            camera.append(get_timestep_embedding(angle, 512, **sines))  # type: ignore[arg-type]
    seen = torch.cat([x, given["concat"].expand(FRAMES, -1, -1, -1)], dim=1)[None]
    expected = theirs(seen, t[:1], given["context"][:1], torch.cat(camera, dim=1)).sample[0]
    assert torch.allclose(ours, expected, atol=1e-5)


class PerFrame(Tensor):
    """An embedding that diffusers' network takes for one of the whole film, and would repeat for each frame."""

    def repeat_interleave(self, *_: Any, **__: Any) -> Tensor:
        return self.as_subclass(Tensor)


def told_each_frame(network: Any) -> Any:
    """Diffusers' network, whose added_time_ids are now a whole film's cameras, (frames, vector)."""
    embed, vector = network.add_embedding.forward, network.config.projection_class_embeddings_input_dim
    network.add_time_proj = nn.Identity()
    network.add_embedding.forward = lambda told: embed(told.reshape(-1, vector)).as_subclass(PerFrame)
    return network


def cameras(vector: int) -> Tensor:
    """As the authors' script tells them: the noise on the picture; 90 - elevation; azimuths from the last frame's, in radians."""
    from diffusers.models.embeddings import get_timestep_embedding

    sines = {"flip_sin_to_cos": True, "downscale_freq_shift": 0}
    turns = torch.tensor(orbit(FRAMES))
    told = [get_timestep_embedding(torch.full((FRAMES,), 0.01), 256, **sines)]  # type: ignore[arg-type]
    if vector != WIDTHS[0]:
        for angles in (torch.full((FRAMES,), 90.0 - 20.0), (turns - turns[-1]) % 360):
            told.append(get_timestep_embedding(torch.deg2rad(angles), 512, **sines))  # type: ignore[arg-type]
    return torch.cat(told, dim=1)


@pytest.mark.parametrize("full", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("vector", WIDTHS)
@torch.no_grad()
def test_a_turn_is_that_of_diffusers_network(vector: int, full: bool) -> None:
    """A whole run with a camera a frame, guided most in the middle; at full width in 6 GB, which both sides share."""
    from diffusers import UNetSpatioTemporalConditionModel

    family, tensors = unet(vector, originals.SVD_FULL if full else originals.SVD_TINY)
    tensors["out.2.weight"] *= 0.1
    part = Part("denoiser", family.build, family.keymap(tensors), tensors)
    config = {"projection_class_embeddings_input_dim": vector} if full else network_config(family.config)
    with torch.device("meta"):
        theirs: Any = UNetSpatioTemporalConditionModel(**config).eval()
    theirs.load_state_dict(by_converter(tensors, theirs), assign=True)
    seen, picture = given(family.config.context)
    scale = torch.tensor([1.0, CFG, 1.0])
    expected = film_of_diffusers(told_each_frame(theirs), seen, picture, cameras(vector), scale)
    model = video_triangle_cfg_guidance(Model(part, family, Residency("cpu", dtype=torch.float32)), 1.0)
    told = {"elevation": 20.0, "azimuth": orbit(FRAMES), "augmentation_level": 0.01}
    same(our_film(model, seen, picture, FRAMES, **told), expected, f"sv3d {vector}")


@torch.no_grad()
def test_each_frame_is_told_its_own_camera() -> None:
    """With layers along time left out, a frame of a film is what it is in a film of two, told the same camera."""
    family, tensors = unet(WIDTHS[1])
    network = Part("denoiser", family.build, family.keymap(tensors), tensors).module()
    for name, mixer in network.named_modules():
        if name.endswith("time_mixer"):
            mixer.register_forward_hook(lambda module, args, kwargs, mixed: kwargs["x_spatial"], with_kwargs=True)
    x, azimuths = torch.randn(FRAMES, 4, 8, 8, generator=torch.manual_seed(0)), orbit(FRAMES)

    def film(chosen: list[int]) -> Tensor:
        cameras = inputs(family, len(chosen), [azimuths[i] for i in chosen])
        return family.forward(network, x[chosen], torch.full((len(chosen),), 0.7), cameras)

    whole = film([0, 1, 2])
    assert torch.allclose(film([0, 2])[0], whole[0], atol=1e-5)
    assert torch.allclose(film([1, 2])[0], whole[1], atol=1e-5)
    assert not torch.allclose(film([0, 0])[0], whole[0], atol=1e-3), "seen from where the picture was taken it is another"


def checkpoint(path: Path, vector: int = WIDTHS[1]) -> Path:
    """All that the published file holds, tiny: in the VAE's usual place a decoder alone, the whole one with the conditioner."""
    tensors = originals.with_prefix("model.diffusion_model.", unet(vector)[1])
    tensors["model.diffusion_model.out.2.weight"] *= 0.1
    vae = originals.filled(originals.vae(STILL))
    tensors |= originals.with_prefix("conditioner.embedders.1.encoder.", vae)
    decoder = {name: tensor.clone() for name, tensor in vae.items() if name.startswith("decoder.")}
    tensors |= originals.with_prefix("first_stage_model.", decoder)
    eye = originals.filled(originals.image_tower(EYE))
    tensors |= originals.with_prefix("conditioner.embedders.0.open_clip.model.visual.", eye)
    save_file(tensors, path)
    return path


def test_a_file_becomes_a_turn_around_the_object(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "sv3d_p.safetensors")
    report = inspect(path)
    assert (report.kind, report.unknown) == ("Stable Video 3D checkpoint", ())
    loaded = load_checkpoint(path, PlaceOnCpu())
    assert loaded.vae is not None
    assert loaded.clip_vision is not None
    picture = Image(torch.rand(1, 40, 70, 3, generator=torch.Generator().manual_seed(0)))
    films = []
    for elevation in (0.0, 30.0):
        prompt = sv3d_conditioning(loaded.clip_vision, picture, loaded.vae, 64, 64, video_frames=FRAMES, elevation=elevation)
        model = video_triangle_cfg_guidance(loaded.model, 1.0)
        films.append(
            ksampler(model, prompt.positive, prompt.negative, prompt.latent, seed=1, steps=2, cfg=2.5,
                     sampler_name="euler", scheduler="karras")["samples"]
        )  # fmt: skip
    assert films[0].shape == (FRAMES, 4, 8, 8)
    assert torch.isfinite(films[0]).all()
    assert not torch.allclose(*films)


def test_the_orbit_ends_where_the_picture_was_taken() -> None:
    """As numpy.linspace(0, 360, T + 1)[1:] % 360 in the authors' script."""
    expected = torch.linspace(0, 360, 22)[1:] % 360
    assert torch.allclose(torch.tensor(orbit(21)), expected, atol=1e-4)


pytestmark = pytest.mark.filterwarnings("ignore")
