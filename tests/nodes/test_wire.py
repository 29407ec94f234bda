"""Node types as saved workflows know them: names, inputs in order, widgets in order, outputs."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import pytest

from engine.registry import Registry, load
from engine.spec import NodeSpec

# type: (inputs in order, those that are widgets, outputs). What ComfyUI's files and clients rely on.
KNOWN = {
    "CheckpointLoaderSimple": ("ckpt_name", "ckpt_name", "MODEL CLIP VAE"),
    "CLIPTextEncode": ("text clip", "text", "CONDITIONING"),
    "CLIPSetLastLayer": ("clip stop_at_clip_layer", "stop_at_clip_layer", "CLIP"),
    "EmptyLatentImage": ("width height batch_size", "width height batch_size", "LATENT"),
    "KSampler": (
        "model seed steps cfg sampler_name scheduler positive negative latent_image denoise",
        "seed steps cfg sampler_name scheduler denoise",
        "LATENT",
    ),
    "KSamplerAdvanced": (
        "model add_noise noise_seed steps cfg sampler_name scheduler positive negative latent_image start_at_step end_at_step"
        " return_with_leftover_noise",
        "add_noise noise_seed steps cfg sampler_name scheduler start_at_step end_at_step return_with_leftover_noise",
        "LATENT",
    ),
    "SamplerCustom": (
        "model add_noise noise_seed cfg positive negative sampler sigmas latent_image",
        "add_noise noise_seed cfg",
        "LATENT LATENT",
    ),
    "SamplerCustomAdvanced": ("noise guider sampler sigmas latent_image", "", "LATENT LATENT"),
    "BasicScheduler": ("model scheduler steps denoise", "scheduler steps denoise", "SIGMAS"),
    "SplitSigmas": ("sigmas step", "step", "SIGMAS SIGMAS"),
    "VAEDecode": ("samples vae", "", "IMAGE"),
    "VAEDecodeTiled": (
        "samples vae tile_size overlap temporal_size temporal_overlap",
        "tile_size overlap temporal_size temporal_overlap",
        "IMAGE",
    ),
    "VAEEncode": ("pixels vae", "", "LATENT"),
    "VAEEncodeForInpaint": ("pixels vae mask grow_mask_by", "grow_mask_by", "LATENT"),
    "LoadImage": ("image", "image", "IMAGE MASK"),
    "LoadImageMask": ("image channel", "image channel", "MASK"),
    "SaveImage": ("images filename_prefix", "filename_prefix", ""),
    "PreviewImage": ("images", "", ""),
    "ImageScale": ("image upscale_method width height crop", "upscale_method width height crop", "IMAGE"),
    "ImageScaleBy": ("image upscale_method scale_by", "upscale_method scale_by", "IMAGE"),
    "ImagePadForOutpaint": ("image left top right bottom feathering", "left top right bottom feathering", "IMAGE MASK"),
    "ImageCompositeMasked": ("destination source x y resize_source mask", "x y resize_source", "IMAGE"),
    "LatentUpscale": ("samples upscale_method width height crop", "upscale_method width height crop", "LATENT"),
    "LatentUpscaleBy": ("samples upscale_method scale_by", "upscale_method scale_by", "LATENT"),
    "LatentComposite": ("samples_to samples_from x y feather", "x y feather", "LATENT"),
    "SetLatentNoiseMask": ("samples mask", "", "LATENT"),
    "LoraLoader": ("model clip lora_name strength_model strength_clip", "lora_name strength_model strength_clip", "MODEL CLIP"),
    "LoraLoaderModelOnly": ("model lora_name strength_model", "lora_name strength_model", "MODEL"),
    "ControlNetApplyAdvanced": (
        "positive negative control_net image strength start_percent end_percent vae",
        "strength start_percent end_percent",
        "CONDITIONING CONDITIONING",
    ),
    "ConditioningSetArea": ("conditioning width height x y strength", "width height x y strength", "CONDITIONING"),
    "ConditioningSetMask": ("conditioning mask strength set_cond_area", "strength set_cond_area", "CONDITIONING"),
    "ConditioningAverage": (
        "conditioning_to conditioning_from conditioning_to_strength",
        "conditioning_to_strength",
        "CONDITIONING",
    ),
    "MaskComposite": ("destination source x y operation", "x y operation", "MASK"),
    "GrowMask": ("mask expand tapered_corners", "expand tapered_corners", "MASK"),
    "ModelSamplingDiscrete": ("model sampling zsnr", "sampling zsnr", "MODEL"),
    "RescaleCFG": ("model multiplier", "multiplier", "MODEL"),
}


@cache
def registry() -> Registry:
    return load()


def spec(kind: str) -> NodeSpec:
    return registry().specs[kind]


@pytest.mark.parametrize("kind", KNOWN)
def test_a_node_is_what_saved_workflows_expect(kind: str) -> None:
    inputs, widgets, outputs = (words.split() for words in KNOWN[kind])
    assert [port.name for port in spec(kind).inputs] == inputs
    assert [port.name for port in spec(kind).inputs if port.widget] == widgets
    assert [output.type for output in spec(kind).outputs] == outputs


def test_every_node_module_loads() -> None:
    assert registry().failures == []


def test_every_node_says_what_it_does() -> None:
    assert [kind for kind, found in registry().specs.items() if found.module.startswith("nodes") and not found.description] == []


def test_the_names_of_samplers_and_schedulers_are_the_tables() -> None:
    from engine.diffusion.samplers import SAMPLERS
    from engine.diffusion.schedules import SCHEDULERS

    ports = {port.name: port.choices for port in spec("KSampler").inputs}
    assert set(ports["sampler_name"]) == set(SAMPLERS)
    assert set(ports["scheduler"]) == set(SCHEDULERS)
    assert next(iter(ports["sampler_name"])) == "euler"
    assert next(iter(ports["scheduler"])) == "simple"


def test_reading_all_nodes_needs_no_torch() -> None:
    code = "import sys; from engine.registry import load; load(); print([m for m in ('torch', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
