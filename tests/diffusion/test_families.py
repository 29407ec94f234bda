"""Every family is recognised from names and shapes alone, and its key map agrees with diffusers' converters, at full size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.diffusion import autoencoder_kl
from engine.diffusion.families import FAMILIES, beside, unet
from engine.diffusion.families.family import Family, Residuals
from engine.diffusion.families.sd1 import SD1
from engine.diffusion.families.sd2 import SD2
from engine.diffusion.families.sdxl import SDXL, SDXLRefiner
from engine.diffusion.families.unclip import UnCLIP
from engine.diffusion.parts import Part
from tests.diffusion import originals

FULL: dict[str, Family] = {
    "sd1": SD1(originals.SD1_FULL),
    "sd1 inpaint": SD1(originals.SD1_INPAINT),
    "sd2": SD2(originals.SD2_FULL),
    "unclip": UnCLIP(originals.UNCLIP_FULL),
    "x4 upscaler": originals.X4_FULL,
    "sdxl": SDXL(originals.SDXL_FULL),
    "ssd-1b": SDXL(originals.SSD_1B),
    "vega": SDXL(originals.VEGA),
    "koala": SDXL(originals.KOALA),
    "sdxl refiner": SDXLRefiner(originals.REFINER_FULL),
}
PARAMETERS = {"sd1": 859_520_964, "sd2": 865_910_724, "sdxl": 2_567_463_684}
TINY: dict[str, Family] = {
    "sd1": SD1(originals.SD1_TINY),
    "sdxl": SDXL(originals.SDXL_TINY),
    "sdxl refiner": SDXLRefiner(originals.REFINER_TINY),
}


@pytest.mark.parametrize("name", [*FULL])
def test_a_file_is_recognised_by_one_family_with_its_configuration(name: str) -> None:
    tensors = originals.denoiser(FULL[name])
    found = [bound for family in FAMILIES if (bound := family.recognise(tensors, {}, {})) is not None]
    assert found == [FULL[name]]


@pytest.mark.parametrize("name", [*FULL])
def test_the_key_map_is_that_of_diffusers_converter(name: str) -> None:
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    family = FULL[name]
    tensors = originals.denoiser(family)
    config: dict[str, Any] = {**family.build().config, "layers_per_block": len(family.config.down[0])}  # type: ignore[attr-defined]
    ours = {row.target: tensors[row.source] for row in family.keymap(tensors)}
    theirs = convert_ldm_unet_checkpoint({f"model.diffusion_model.{n}": t for n, t in tensors.items()}, config)
    assert ours.keys() == theirs.keys() == family.build().state_dict().keys()
    assert all(ours[key] is theirs[key] for key in ours)


@pytest.mark.parametrize("name", [*PARAMETERS])
def test_full_networks_have_the_published_size(name: str) -> None:
    tensors = originals.denoiser(FULL[name])
    part = Part("denoiser", FULL[name].build, FULL[name].keymap(tensors), tensors)
    assert part.parameters == PARAMETERS[name]
    part.build().load_state_dict(part.weights(), strict=True, assign=True)


def test_the_vae_key_map_is_that_of_diffusers_converter() -> None:
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    tensors = originals.vae(originals.VAE_FULL)
    found = autoencoder_kl.part(tensors)
    assert found is not None
    config, part = found
    assert config == originals.VAE_FULL
    assert part.parameters == 83_653_863
    theirs = convert_ldm_vae_checkpoint(dict(tensors), dict(config.build().config))  # type: ignore[call-overload]
    ours = part.weights()
    assert ours.keys() == theirs.keys()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}
    assert all(theirs[row.target] is tensors[row.source] for row in part.keymap if row.transform == "same")


def test_a_vae_in_diffusers_layout_loads_with_old_and_new_attention_names() -> None:
    network = originals.VAE_TINY.build()
    names = dict(network.state_dict())
    old = {n.replace("to_q", "query").replace("to_k", "key").replace("to_v", "value"): t for n, t in names.items()}
    old = {n.replace("to_out.0", "proj_attn"): t for n, t in old.items()}
    for tensors in (names, old):
        found = autoencoder_kl.part(tensors)
        assert found is not None
        assert found[0] == originals.VAE_TINY
        assert found[1].weights().keys() == names.keys()


def test_flags_beside_the_weights_say_what_is_predicted() -> None:
    tensors = originals.denoiser(TINY["sdxl"])
    flag = torch.zeros(0)

    def read(**loose: Tensor) -> SDXL:
        found = SDXL.recognise(tensors, loose, {})
        assert found is not None
        return found

    assert read().prediction.kind == "eps"
    assert read(v_pred=flag).prediction.kind == "v"
    assert not read(v_pred=flag).prediction.zero_terminal_snr
    assert read(v_pred=flag, ztsnr=flag).prediction.zero_terminal_snr
    playground = read(
        edm_mean=torch.tensor([-1.6574, 1.886, -1.383, 2.5155]), edm_std=torch.tensor([8.4927, 5.9022, 6.5498, 5.2299])
    )
    assert playground.prediction.kind == "edm"
    assert playground.prediction.sigma_data == 0.5
    z = torch.randn(1, 4, 2, 2)
    assert torch.allclose(playground.latent.outside(playground.latent.inside(z)), z, atol=1e-5)
    cosxl = read(**{"edm_vpred.sigma_max": torch.tensor(120.0), "edm_vpred.sigma_min": torch.tensor(0.002)})
    assert cosxl.prediction.kind == "edm_v"
    assert cosxl.prediction.sigma_max == 120.0


def test_sd2_predicts_velocity_where_one_bias_is_wide() -> None:
    tensors = dict(originals.denoiser(FULL["sd2"]))
    name = "output_blocks.11.1.transformer_blocks.0.norm1.bias"
    for spread, kind in ((0.05, "eps"), (0.2, "v")):
        tensors[name] = torch.linspace(-1, 1, 320) * spread * 3**0.5
        found = SD2.recognise(tensors, {}, {})
        assert found is not None
        assert found.prediction.kind == kind


def test_time_ids_default_to_the_latents_size_and_obey_options() -> None:
    x = torch.zeros(2, 4, 16, 24)
    options = {"pooled_output": torch.ones(1, 128)}
    inputs = TINY["sdxl"].condition(torch.zeros(1, 77, 192), options, x)
    assert inputs["time_ids"].tolist() == [[128, 192, 0, 0, 128, 192]] * 2
    assert inputs["pooled"].shape == (2, 128)
    sizes = {"width": 640, "height": 512, "crop_w": 8, "crop_h": 16, "target_width": 1024, "target_height": 768}
    inputs = TINY["sdxl"].condition(torch.zeros(1, 77, 192), {**options, **sizes}, x)
    assert inputs["time_ids"][0].tolist() == [512, 640, 16, 8, 768, 1024]
    refiner = TINY["sdxl refiner"]
    assert refiner.condition(torch.zeros(1, 77, 128), {}, x)["time_ids"][0, -1] == 6.0
    assert refiner.condition(torch.zeros(1, 77, 128), {}, x, negative=True)["time_ids"][0, -1] == 2.5


def test_inpainting_networks_see_mask_and_kept_picture() -> None:
    family = SD1(originals.SD1_INPAINT)
    x = torch.zeros(2, 4, 8, 8)
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 32:] = 1
    picture = torch.full((1, 4, 8, 8), 2.0)
    concat = family.condition(torch.zeros(1, 77, 768), {"concat_mask": mask, "concat_latent_image": picture}, x)["concat"]
    assert concat.shape == (2, 5, 8, 8)
    assert concat[:, 0, :, 4:].eq(1).all()
    assert concat[:, 0, :, :4].eq(0).all()
    assert torch.allclose(concat[:, 1:], torch.tensor(2 * 0.18215))
    known = family.condition(torch.zeros(1, 77, 768), {"denoise_mask": mask, "latent_image": picture}, x)["concat"]
    assert torch.allclose(known[:, 1:], torch.tensor(2.0))
    assert "concat" not in SD1(originals.SD1_FULL).condition(torch.zeros(1, 77, 768), {"concat_mask": mask}, x)


@pytest.mark.parametrize("name", [*TINY])
def test_calls_sharing_a_batch_say_what_they_say_alone(name: str) -> None:
    """Also when their contexts differ in length: 77 and 154 tokens."""
    family = TINY[name]
    tensors = originals.filled(originals.denoiser(family))
    network = Part("denoiser", family.build, family.keymap(tensors), tensors).module()
    width = family.config.context  # type: ignore[attr-defined]
    x = torch.randn(1, 4, 8, 8)
    t = torch.tensor([500.0])
    calls = [family.condition(torch.randn(1, n, width), {"pooled_output": torch.randn(1, 128)}, x) for n in (77, 154, 77)]
    alone = torch.cat([family.forward(network, x, t, call) for call in calls])
    together = family.batch(calls)
    assert together is not None
    assert torch.allclose(family.forward(network, x.repeat(3, 1, 1, 1), t.repeat(3), together), alone, atol=1e-5)


def test_contexts_of_very_different_length_do_not_share_a_batch() -> None:
    family = TINY["sd1"]
    x = torch.randn(1, 4, 8, 8)
    calls = [family.condition(torch.randn(1, n, 64), {}, x) for n in (77, 77 * 5)]
    assert family.batch(calls) is None


def test_residuals_of_a_controlnet_reach_the_network() -> None:
    family = TINY["sd1"]
    tensors = originals.filled(originals.denoiser(family))
    network = Part("denoiser", family.build, family.keymap(tensors), tensors).module()
    x, t = torch.randn(1, 4, 8, 8), torch.tensor([10.0])
    inputs = family.condition(torch.randn(1, 77, 64), {}, x)
    plain = family.forward(network, x, t, inputs)
    changed = family.forward(network, x, t, inputs, Residuals(mid=torch.ones(1, 64, 4, 4)))
    assert not torch.allclose(plain, changed)


def test_a_video_unet_is_not_taken_for_an_image_one() -> None:
    tensors = {**originals.denoiser(TINY["sd1"]), "input_blocks.1.1.time_stack.0.norm1.weight": torch.zeros(1)}
    assert unet.read_config(tensors) is None


@pytest.mark.parametrize("name", [*FULL])
def test_diffusers_layout_is_the_same_network(name: str) -> None:
    """As Lightning, LCM and DMD2 publish their UNets."""
    family = FULL[name]
    tensors = family.build().state_dict()
    renamed = unet.in_original_names(tensors)
    assert renamed is not None
    assert type(family).recognise(renamed, {}, {}) == family
    assert {row.target: renamed[row.source] for row in family.keymap(renamed)} == tensors


def test_editing_networks_see_the_picture_as_the_vae_made_it() -> None:
    family = SD1(replace(originals.SD1_FULL, in_channels=8))
    x, picture = torch.zeros(2, 4, 8, 8), torch.full((1, 4, 8, 8), 2.0)
    inputs = family.condition(torch.zeros(1, 77, 768), {"concat_latent_image": picture}, x)
    assert torch.equal(inputs["concat"], torch.full((2, 4, 8, 8), 2.0))
    assert family.condition(torch.zeros(1, 77, 768), {}, x)["concat"].eq(0).all()


def test_guidance_of_a_distilled_network_is_embedded_as_diffusers_does() -> None:
    from diffusers import LatentConsistencyModelPipeline

    theirs = LatentConsistencyModelPipeline.get_guidance_scale_embedding(None, torch.tensor([7.5]), embedding_dim=256)  # type: ignore[arg-type]
    assert torch.allclose(beside.guidance_embedding(7.5, 256), theirs, atol=1e-5)
    family = SD1(replace(originals.SD1_TINY, time_cond=256))
    tensors = originals.filled(originals.denoiser(family))
    assert SD1.recognise(tensors, {}, {}) == family
    network = Part("denoiser", family.build, family.keymap(tensors), tensors).module()
    x, t, context = torch.randn(1, 4, 8, 8), torch.tensor([10.0]), torch.randn(1, 77, 64)
    calls = [family.condition(context, {"guidance": value}, x) for value in (1.0, 9.0)]
    one, two = (family.forward(network, x, t, call) for call in calls)
    assert not torch.allclose(one, two)
