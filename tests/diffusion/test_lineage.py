"""Whose a file is, by names and shapes alone: networks of diffusers on the meta device, and LoRAs made of their names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from engine.diffusion.containers import CheckpointError
from engine.diffusion.families.sd1 import SD1
from engine.diffusion.families.sd2 import SD2
from engine.diffusion.families.sdxl import SDXL, SDXLRefiner
from engine.diffusion.lineage import FAMILIES, Lineage, Shapes, lineage, of_shapes
from tests.diffusion import originals

DEMO = Path(__file__).resolve().parents[2] / "models" / "checkpoints" / "loom-demo.safetensors"
UNETS = {
    "sd1": SD1(originals.SD1_FULL),
    "sd2": SD2(originals.SD2_FULL),
    "sdxl": SDXL(originals.SDXL_FULL),
    "sdxl_refiner": SDXLRefiner(originals.REFINER_FULL),
}
TRANSFORMERS = {
    "flux": "FluxTransformer2DModel",
    "sd3": "SD3Transformer2DModel",
    "qwen_image": "QwenImageTransformer2DModel",
    "hunyuan_video": "HunyuanVideoTransformer3DModel",
    "lumina2": "Lumina2Transformer2DModel",
    "chroma": "ChromaTransformer2DModel",
}
SMALL: dict[str, dict[str, Any]] = {family: {"num_layers": 2, "num_single_layers": 2} for family in ("flux", "chroma")}


def meta(build: Callable[[], nn.Module]) -> nn.Module:
    with torch.device("meta"):
        return build()


def shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def transformer(family: str) -> nn.Module:
    import diffusers

    options = SMALL.get(family, {"num_layers": 2})
    return meta(lambda: getattr(diffusers, TRANSFORMERS[family])(**options))


def adapter(module: nn.Module, prefix: str, joined: str, ends: tuple[str, str]) -> Shapes:
    """A LoRA of rank 4 on every linear layer, in somebody's spelling."""
    found: dict[str, tuple[int, ...]] = {}
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Linear):
            key = prefix + name.replace(".", joined)
            found[f"{key}.{ends[0]}.weight"] = (4, layer.in_features)
            found[f"{key}.{ends[1]}.weight"] = (layer.out_features, 4)
    return found


KOHYA, PEFT = ("lora_down", "lora_up"), ("lora_A", "lora_B")


@pytest.mark.parametrize("family", [*UNETS])
@pytest.mark.parametrize(("prefix", "kind"), [("", "denoiser"), ("model.diffusion_model.", "checkpoint")])
def test_unets_in_their_original_names(family: str, prefix: str, kind: str) -> None:
    tensors = {prefix + name: tuple(t.shape) for name, t in originals.denoiser(UNETS[family]).items()}
    if kind == "checkpoint":
        tensors |= {f"first_stage_model.{name}": tuple(t.shape) for name, t in originals.vae(originals.VAE_FULL).items()}
    assert of_shapes(tensors) == Lineage(kind, family, *FAMILIES[family])  # type: ignore[arg-type]


def test_the_x4_upscaler_is_no_stable_diffusion_2() -> None:
    for tensors in (originals.denoiser(originals.X4_FULL), originals.X4_FULL.build().state_dict()):
        found = of_shapes({name: tuple(tensor.shape) for name, tensor in tensors.items()})
        assert (found.family, found.title) == ("sd_x4", "Stable Diffusion x4 upscaler")


@pytest.mark.parametrize("family", [*UNETS])
def test_unets_and_their_loras_in_the_names_of_diffusers(family: str) -> None:
    module = meta(UNETS[family].build)
    assert of_shapes(shapes(module)).family == family
    for lora in (adapter(module, "lora_unet_", "_", KOHYA), adapter(module, "unet.", ".", PEFT)):
        assert of_shapes(lora) == Lineage("lora", family, *FAMILIES[family])


@pytest.mark.parametrize("family", [*TRANSFORMERS])
def test_transformers_in_the_names_of_diffusers(family: str) -> None:
    assert of_shapes(shapes(transformer(family))) == Lineage("denoiser", family, *FAMILIES[family])


@pytest.mark.parametrize("family", ["flux", "qwen_image"])
def test_loras_of_transformers(family: str) -> None:
    module = transformer(family)
    assert of_shapes(adapter(module, "transformer.", ".", PEFT)).family == family


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("lora_unet_double_blocks_0_img_attn_proj", "flux"),
        ("lora_unet_single_blocks_12_linear1", "flux"),
        ("diffusion_model.double_blocks.0.img_attn.proj", "flux"),
        ("diffusion_model.joint_blocks.3.x_block.attn.proj", "sd3"),
        ("diffusion_model.blocks.0.cross_attn.k", "wan"),
        ("lora_unet_blocks_0_self_attn_q", "wan"),
    ],
)
def test_loras_in_the_original_names(name: str, family: str) -> None:
    found = of_shapes({f"{name}.{end}.weight": (4, 3072) for end in KOHYA})
    assert (found.kind, found.family) == ("lora", family)


@pytest.mark.parametrize(("build", "channels"), [("AutoencoderKL", 4), ("AutoencoderKL", 16), ("AutoencoderKLWan", 16)])
def test_a_vae_says_how_many_channels_it_takes(build: str, channels: int) -> None:
    import diffusers

    options = {"latent_channels": channels} if build == "AutoencoderKL" else {}
    found = of_shapes(shapes(meta(lambda: getattr(diffusers, build)(**options))))
    assert found == Lineage("vae", channels=channels)


def test_a_controlnet_is_its_unets() -> None:
    import diffusers

    module = meta(lambda: diffusers.ControlNetModel(cross_attention_dim=2048))
    assert of_shapes(shapes(module)) == Lineage("controlnet", "sdxl", *FAMILIES["sdxl"])


def test_the_shipped_model_is_read_from_its_header() -> None:
    found = lineage(DEMO)
    assert (found.kind, found.channels) == ("checkpoint", 4)
    assert found.family == "sd1"


def test_what_says_nothing_is_other_and_what_is_no_model_is_refused(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(2, 2)}, tmp_path / "a.safetensors")
    assert lineage(tmp_path / "a.safetensors") == Lineage("other")
    (tmp_path / "b.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(CheckpointError):
        lineage(tmp_path / "b.safetensors")
