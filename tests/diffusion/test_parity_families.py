"""Each UNet family through a whole sampling run, beside a loop written with diffusers' scheduler, converter and network."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.diffusion.families.family import Family, Prediction
from engine.diffusion.families.sd1 import SD1
from engine.diffusion.families.sd2 import SD2
from engine.diffusion.families.sdxl import SDXL, SDXLRefiner
from engine.diffusion.families.unclip import UnCLIP
from engine.diffusion.families.zero123 import Zero123
from engine.diffusion.model import Model
from engine.diffusion.parts import Part
from engine.diffusion.residency import Residency
from engine.diffusion.sampling import ksampler
from tests.diffusion import originals

STEPS, CFG, SEED = 4, 3.0, 5  # three intervals: they divide the 999 timesteps
SIZES = {"width": 96, "height": 64, "crop_w": 8, "crop_h": 16, "target_width": 128, "target_height": 80}
TINY_SD2 = replace(originals.SD1_TINY, channels=(64, 128), linear=True)

FAMILIES: dict[str, Family] = {
    "sd1": SD1(originals.SD1_TINY),
    "sd1 velocity": SD1(originals.SD1_TINY, v=True),
    "sd1 inpaint": SD1(replace(originals.SD1_TINY, in_channels=9)),
    "sd1 edit": SD1(replace(originals.SD1_TINY, in_channels=8)),
    "sd2": SD2(TINY_SD2),
    "sd2 velocity": SD2(TINY_SD2, v=True),
    "sdxl": SDXL(originals.SDXL_TINY),
    "sdxl velocity": SDXL(originals.SDXL_TINY, prediction=replace(SDXL(originals.SDXL_TINY).prediction, kind="v")),
    "sdxl inpaint": SDXL(replace(originals.SDXL_TINY, in_channels=9)),
    "refiner": SDXLRefiner(originals.REFINER_TINY),
    "playground": SDXL(originals.SDXL_TINY, prediction=Prediction("edm", sigma_data=0.5, sigma_min=0.002, sigma_max=80.0)),
    "cosxl": SDXL(originals.SDXL_TINY, prediction=Prediction("edm_v", sigma_data=1.0, sigma_min=0.002, sigma_max=120.0)),
    "lcm": SD1(replace(originals.SD1_TINY, time_cond=256)),
    "unclip": UnCLIP(originals.UNCLIP_TINY, v=True, mean=torch.linspace(-1, 1, 32), spread=torch.linspace(0.5, 1, 32)),
    "zero123": Zero123(replace(originals.SD1_TINY, in_channels=8), weight=torch.eye(64, 68), bias=torch.linspace(-1, 1, 64)),
}


def prompts(family: Family, width: int) -> tuple[list[Any], list[Any]]:
    """A positive and a negative conditioning with everything any family looks at."""
    generator = torch.Generator().manual_seed(1)
    options = {
        "concat_latent_image": torch.randn(1, 4, 8, 12, generator=generator) * 3,
        "concat_mask": (torch.rand(1, 1, 8, 12, generator=generator) > 0.5).float(),
        **SIZES,
    }
    config: Any = family.config  # type: ignore[attr-defined]
    pooled_width = (config.vector or 0) - 256 * len(getattr(family, "ids", ())) if family.name.startswith("sdxl") else 128
    if family.name == "unclip":
        half = config.vector // 2
        pictures = [SimpleNamespace(image_embeds=torch.randn(1, half, generator=generator)) for _ in range(2)]
        options["unclip_conditioning"] = [
            {"clip_vision_output": seen, "strength": strength, "noise_augmentation": 0.3}
            for seen, strength in zip(pictures, (1.0, 0.5), strict=True)
        ]
    entries = []
    for _ in range(2):
        tokens, wide = (1, width + 4) if family.name == "zero123" else (77, width)
        tensor, pooled = torch.randn(1, tokens, wide, generator=generator), torch.randn(1, pooled_width, generator=generator)
        entries.append([[tensor, {"pooled_output": pooled, **options}]])
    return entries[0], entries[1]


def theirs(family: Family, tensors: dict[str, Tensor], positive: list[Any], negative: list[Any], network: Any = None) -> Tensor:
    """The run in diffusers' terms, in its ``network`` if that is configured independently of ours."""
    from diffusers import EDMEulerScheduler, EulerDiscreteScheduler, LatentConsistencyModelPipeline
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    config: Any = family.config  # type: ignore[attr-defined]
    unet: Any = (family.build() if network is None else network).eval()
    named = {f"model.diffusion_model.{name}": tensor for name, tensor in tensors.items()}
    converted = convert_ldm_unet_checkpoint(named, {**unet.config, "layers_per_block": len(config.down[0])})
    if "time_embed.cond_proj.weight" in tensors:  # which the converter leaves out
        converted["time_embedding.cond_proj.weight"] = tensors["time_embed.cond_proj.weight"]
    unet.load_state_dict(converted, assign=True)
    kind = {"eps": "epsilon", "v": "v_prediction", "edm": "epsilon", "edm_v": "v_prediction"}[family.prediction.kind]
    scheduler: Any = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="linspace", prediction_type=kind
    )
    if family.prediction.kind in ("edm", "edm_v"):
        data, top = {"edm": (0.5, 80.0), "edm_v": (1.0, 120.0)}[family.prediction.kind]
        scheduler = EDMEulerScheduler(sigma_min=0.002, sigma_max=top, sigma_data=data, prediction_type=kind)
    scheduler.set_timesteps(STEPS)
    scale = 0.13025 if family.name.startswith("sdxl") else 0.18215
    options = positive[0][1]
    picture, mask = options["concat_latent_image"], options["concat_mask"]
    beside = {4: [], 8: [picture], 9: [mask, picture * scale]}[config.in_channels]
    ids = [64.0, 96.0, 16.0, 8.0]
    top = scheduler.sigmas.max()
    eps = torch.randn(1, 4, 8, 12, generator=torch.manual_seed(SEED))
    x = eps * (1 + top**2) ** 0.5
    for t in scheduler.timesteps:
        outputs = []
        for (context, entry), aesthetic in ((positive[0], 6.0), (negative[0], 2.5)):
            tail = [aesthetic] if family.name == "sdxl_refiner" else [80.0, 128.0]
            added = {"text_embeds": entry["pooled_output"], "time_ids": torch.tensor([ids + tail])}
            seen = torch.cat([scheduler.scale_model_input(x, t), *beside], dim=1)
            more: dict[str, Any] = {"added_cond_kwargs": added} if config.vector else {}
            if config.time_cond:
                more["timestep_cond"] = LatentConsistencyModelPipeline.get_guidance_scale_embedding(
                    None, torch.tensor([7.5]), embedding_dim=256  # type: ignore[arg-type]
                )
            if isinstance(family, UnCLIP):
                more = {"class_labels": pictures(family, entry)}
            if isinstance(family, Zero123):
                context = torch.nn.functional.linear(context, family.weight, family.bias)
            outputs.append(unet(seen, t, encoder_hidden_states=context, **more).sample)
        x = scheduler.step(outputs[1] + CFG * (outputs[0] - outputs[1]), t, x).prev_sample
    return x / scale


def pictures(family: UnCLIP, options: dict[str, Any]) -> Tensor:
    """The two pictures' class labels by diffusers' parts: normalised, made noisy, added up, made noisy a little."""
    from diffusers import DDPMScheduler
    from diffusers.models.embeddings import get_timestep_embedding

    scheduler = DDPMScheduler(1000, beta_schedule="squaredcos_cap_v2")

    def noisy(embedding: Tensor, level: int) -> Tensor:
        noise = torch.randn(embedding.shape, generator=torch.Generator().manual_seed((0 - 10) % (1 << 63)))
        mixed = scheduler.add_noise((embedding - family.mean) / family.spread, noise, torch.tensor([level]))
        width = embedding.shape[1]
        level_embedding = get_timestep_embedding(torch.tensor([level]), width, flip_sin_to_cos=True, downscale_freq_shift=0)
        return torch.cat([mixed * family.spread + family.mean, level_embedding], dim=1)

    entries = options["unclip_conditioning"]
    total = sum(one["strength"] * noisy(one["clip_vision_output"].image_embeds, round(999 * 0.3)) for one in entries)
    return noisy(total[:, : total.shape[1] // 2], round(999 * 0.05))


@pytest.mark.parametrize("name", [*FAMILIES])
def test_a_run_is_that_of_diffusers(name: str) -> None:
    compare(FAMILIES[name], name=name)


PUBLISHED: dict[str, dict[str, Any]] = {
    "sdxl": {
        "block_out_channels": (320, 640, 1280),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": (1, 2, 10),
        "attention_head_dim": (5, 10, 20),
        "cross_attention_dim": 2048,
        "projection_class_embeddings_input_dim": 2816,
    },
    "refiner": {
        "block_out_channels": (384, 768, 1536, 1536),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": 4,
        "attention_head_dim": (6, 12, 24, 24),
        "cross_attention_dim": 1280,
        "projection_class_embeddings_input_dim": 2560,
    },
}
"""What the authors' ``unet/config.json`` says, so that at full width our reading of the configuration is judged, too."""


def published(name: str, in_channels: int) -> Any:
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        return UNet2DConditionModel(
            in_channels=in_channels, use_linear_projection=True, addition_embed_type="text_time", addition_time_embed_dim=256,
            layers_per_block=2, **PUBLISHED[name],
        )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "sd1", "sd1 inpaint", "sd2 velocity", "unclip", "ssd-1b", "vega", "koala",
        "sdxl", "sdxl velocity", "sdxl inpaint", "playground", "cosxl", "refiner",
    ],
)  # fmt: skip
def test_a_run_at_full_width_is_that_of_diffusers(name: str) -> None:
    """3 to 11 GB of weights, which both sides share."""
    ones = torch.zeros(1024)
    full: dict[str, Family] = {
        "sd1": SD1(originals.SD1_FULL),
        "sd1 inpaint": SD1(originals.SD1_INPAINT),
        "sd2 velocity": SD2(originals.SD2_FULL, v=True),
        "unclip": UnCLIP(originals.UNCLIP_FULL, v=True, mean=ones, spread=ones + 1),
        "ssd-1b": SDXL(originals.SSD_1B),
        "vega": SDXL(originals.VEGA),
        "koala": SDXL(originals.KOALA),
        "refiner": SDXLRefiner(originals.REFINER_FULL),
    }
    for other in ("sdxl", "sdxl velocity", "playground", "cosxl"):
        full[other] = replace(FAMILIES[other], config=originals.SDXL_FULL)  # type: ignore[type-var]
    full["sdxl inpaint"] = SDXL(replace(originals.SDXL_FULL, in_channels=9))
    family = full[name]
    own = {SDXLRefiner: "refiner", SDXL: "sdxl"}.get(type(family)) if name not in ("ssd-1b", "vega", "koala") else None
    network = None if own is None else published(own, family.config.in_channels)  # type: ignore[attr-defined]
    compare(family, network, name)


@torch.no_grad()
def compare(family: Family, network: Any = None, name: str = "") -> None:
    """Both runs on the same random weights, noise and prompts: equal to 1e-5 of the largest number. ``-s`` shows how equal."""
    tensors = originals.filled(originals.denoiser(family), 3)
    tensors["out.2.weight"] *= 0.1  # a random network would else drive the latent to hundreds
    part = Part("denoiser", family.build, family.keymap(tensors), tensors)
    prediction = replace(family.prediction, zero_terminal_snr=False)
    model = Model(part, family, Residency("cpu", dtype=torch.float32))
    if family.prediction.zero_terminal_snr:
        from engine.diffusion.model import parametrization_of

        model = model.with_sampling(parametrization_of(prediction))
    positive, negative = prompts(family, family.config.context)  # type: ignore[attr-defined]
    ours = ksampler(
        model, positive, negative, {"samples": torch.zeros(1, 4, 8, 12)}, seed=SEED, steps=STEPS, cfg=CFG,
        sampler_name="euler", scheduler="karras" if family.prediction.kind.startswith("edm") else "normal",
    )["samples"]  # fmt: skip
    expected = theirs(family, tensors, positive, negative, network)
    apart, largest = float((ours - expected).abs().max()), float(expected.abs().max())
    print(f"{name or family.title}: {apart:.1e} of {largest:.0f}, relative {apart / largest:.1e}")
    assert apart < 1e-5 * largest


pytestmark = pytest.mark.filterwarnings("ignore")
