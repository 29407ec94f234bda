"""The workflow of each model family runs from its first node to its last on tiny models of that family, laid out as published."""

from __future__ import annotations

import functools
import json
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from engine.cache import Cache
from engine.commands.run import read_workflow
from engine.executors.local import LocalExecutor
from engine.folders import Folders
from engine.graph import build
from engine.prompt import Prompt, parse
from engine.registry import Registry, load
from engine.run import Job
from engine.settings import Settings
from tests.diffusion import originals
from tests.diffusion.test_film import checkpoint as film_checkpoint
from tests.diffusion.test_orbit import checkpoint as orbit_checkpoint

PROJECT = Path(__file__).resolve().parents[1]
SHIPPED = sorted((PROJECT / "workflows" / "families").glob("*.json"))


def unet(folder: Path, name: str, family: Any, extra: dict[str, Tensor] | None = None, **parts: dict[str, Tensor]) -> None:
    """A file of a tiny random denoiser in its original names, with what else is in it under the prefix of each part."""
    tensors = originals.with_prefix("model.diffusion_model.", originals.denoiser(family))
    for prefix, part in parts.items():
        tensors |= originals.with_prefix(prefix.replace("__", "."), part)
    values = originals.filled(tensors, dtype=torch.float16)
    values["model.diffusion_model.out.2.weight"] *= 0.1
    put(folder / name, values | (extra or {}))


def put(path: Path, tensors: dict[str, Tensor]) -> None:
    """In the container the name promises."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".ckpt":
        torch.save({"state_dict": tensors}, path)
    else:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


VAE = {"first_stage_model__": originals.vae(originals.VAE_TINY)}
WORDS = {"cond_stage_model__transformer__": originals.tower(originals.TextConfig(64, 2, 128, "quick_gelu"))}
EYE = originals.VisionConfig(width=64, layers=2, hidden=128, heads=1, activation="quick_gelu", patch=14, size=28, projection=32)


def sd1_models(folder: Path) -> None:
    for name, channels in (("sd-v1-5-inpainting.ckpt", 9), ("instruct-pix2pix-00-22000.safetensors", 8)):
        family = originals.SD1(originals.replace(originals.SD1_TINY, in_channels=channels))
        unet(folder / "checkpoints", name, family, **WORDS, **VAE)
    for name in ("EasyFluffV11.2.safetensors", "v1-5-pruned-emaonly.safetensors"):
        unet(folder / "checkpoints", name, originals.SD1(originals.SD1_TINY), **WORDS, **VAE)
    module = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    lora = {f"{module}.lora_up.weight": torch.randn(32, 4), f"{module}.lora_down.weight": torch.randn(4, 32)}
    put(folder / "loras" / "lcm-lora-sdv1-5.safetensors", lora)
    pipeline(folder / "diffusers" / "LCM_Dreamshaper_v7", originals.SD1(originals.replace(originals.SD1_TINY, time_cond=256)))
    eye = originals.image_tower(originals.replace(EYE, projection=64))
    projection = {"cc_projection.weight": torch.randn(64, 68), "cc_projection.bias": torch.zeros(64)}
    zero = originals.SD1(originals.replace(originals.SD1_TINY, in_channels=8))
    unet(folder / "checkpoints", "stable_zero123.ckpt", zero, projection, **VAE, cond_stage_model__model__visual__=eye)


def pipeline(folder: Path, family: Any) -> None:
    """A diffusers folder with a UNet, a VAE and CLIP L."""
    vae = originals.filled(originals.vae(originals.VAE_TINY))
    put(folder / "vae" / "diffusion_pytorch_model.safetensors", vae)
    put(folder / "text_encoder" / "model.safetensors", originals.filled(WORDS["cond_stage_model__transformer__"]))
    unet = originals.filled(family.build().state_dict())
    unet["conv_out.weight"] *= 0.1
    put(folder / "unet" / "diffusion_pytorch_model.fp16.safetensors", unet)
    (folder / "model_index.json").write_text('{"_class_name": "LatentConsistencyModelPipeline"}')


def sd2_models(folder: Path) -> None:
    from engine.diffusion.families.sd2 import SD2
    from engine.diffusion.families.unclip import UnCLIP

    words = {"cond_stage_model__model__": originals.open_clip(originals.tower(originals.TextConfig(64, 23, 64, "gelu")))}
    two = originals.replace(originals.SD1_TINY, channels=(64, 128), linear=True)
    unet(folder / "checkpoints", "v2-1_768-ema-pruned.safetensors", SD2(two), **words, **VAE)
    stats = {"noise_augmentor.data_mean": torch.zeros(1, 32), "noise_augmentor.data_std": torch.ones(1, 32)}
    eye = originals.image_tower(EYE)
    unet(folder / "checkpoints", "sd21-unclip-h.ckpt", UnCLIP(originals.UNCLIP_TINY), stats, **words, **VAE,
         embedder__model__visual__=eye)  # fmt: skip
    words = {"cond_stage_model__model__": originals.open_clip(originals.tower(originals.TextConfig(128, 23, 64, "gelu")))}
    vae = {"first_stage_model__": originals.vae(originals.replace(originals.VAE_TINY, channels=(16, 16, 32)))}
    unet(folder / "checkpoints", "x4-upscaler-ema.safetensors", originals.X4_TINY, **words, **vae)
    film_checkpoint(folder / "checkpoints" / "svd.safetensors")
    orbit_checkpoint(folder / "checkpoints" / "sv3d_p.safetensors")


def sdxl_models(folder: Path) -> None:
    from engine.diffusion.families.sdxl import SDXL, SDXLRefiner

    g = originals.tower(originals.TextConfig(128, 2, 128, "gelu", projection=128))
    words = {"conditioner__embedders__0__transformer__": WORDS["cond_stage_model__transformer__"],
             "conditioner__embedders__1__model__": originals.open_clip(g)}  # fmt: skip
    flags = {"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}
    mean, std = [-1.6574, 1.886, -1.383, 2.5155], [8.4927, 5.9022, 6.5498, 5.2299]
    spread = {"edm_mean": torch.tensor(mean), "edm_std": torch.tensor(std)}
    named = {"sd_xl_base_1.0": {}, "sd_xl_turbo_1.0_fp16": {}, "NoobAI-XL-Vpred-v1.0": flags}
    named["playground-v2.5-1024px-aesthetic.fp16"] = spread
    for name, extra in named.items():
        unet(folder / "checkpoints", f"{name}.safetensors", SDXL(originals.SDXL_TINY), extra, **words, **VAE)
    unet(folder / "checkpoints", "sd_xl_refiner_1.0.safetensors", SDXLRefiner(originals.REFINER_TINY), **VAE,
         conditioner__embedders__0__model__=originals.open_clip(g))  # fmt: skip
    edit = SDXL(originals.replace(originals.SDXL_TINY, in_channels=8))
    ends = {"edm_vpred.sigma_min": torch.tensor(0.002), "edm_vpred.sigma_max": torch.tensor(120.0)}
    unet(folder / "checkpoints", "cosxl_edit.safetensors", edit, ends, **words, **VAE)
    depths = {"down": ((0, 0), (1, 1), (2, 2)), "middle": -1, "up": ((2, 2, 4), (2, 1, 1), (0, 0, 0))}
    uneven = originals.replace(originals.SDXL_TINY, **depths)
    unet(folder / "checkpoints", "SSD-1B-A1111.safetensors", SDXL(uneven), **words, **VAE)
    own = originals.filled(SDXL(originals.SDXL_TINY).build().state_dict(), dtype=torch.float16)
    own["conv_out.weight"] *= 0.1
    for name in ("sdxl_lightning_4step_unet.safetensors", "Hyper-SDXL-1step-unet.safetensors"):
        put(folder / "diffusion_models" / name, own)
    torch.save(own, folder / "diffusion_models" / "dmd2_sdxl_4step_unet_fp16.bin")
    torch.save({"head": torch.randn(32, 5, 3, 3)}, mkdir(folder / "inpaint") / "fooocus_inpaint_head.pth")
    change = (torch.zeros(32, 4, 3, 3, dtype=torch.uint8), -0.1, 0.1)
    torch.save({"diffusion_model.input_blocks.0.0.weight": change}, folder / "inpaint" / "inpaint_v26.fooocus.patch")


def split_models(folder: Path) -> None:
    """A GGUF UNet, both text encoders and the VAE in files of their own. A tower alone is told by its width, so G has its own."""
    from engine.diffusion.families.sdxl import SDXL

    config = originals.replace(originals.SDXL_TINY, context=64 + 1280, vector=1280 + 6 * 256)
    writer = gguf.GGUFWriter(mkdir(folder / "diffusion_models") / "sdxl-base-Q4_K.gguf", "sdxl")
    for name, tensor in originals.filled(originals.denoiser(SDXL(config))).items():
        packs = tensor.ndim == 2 and tensor.shape[1] % 32 == 0
        kind = gguf.GGMLQuantizationType.Q5_0 if packs else gguf.GGMLQuantizationType.F16
        writer.add_tensor(name, gguf.quants.quantize(tensor.numpy(), kind) if packs else tensor.half().numpy(), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    towers = {"clip_l": originals.TextConfig(64, 2, 128, "quick_gelu"), "clip_g": originals.TextConfig(1280, 2, 64, "gelu", 1280)}
    for name, shape in towers.items():
        put(folder / "text_encoders" / f"{name}.safetensors", originals.filled(originals.tower(shape), dtype=torch.float16))
    put(folder / "vae" / "sdxl_vae.safetensors", originals.filled(originals.vae(originals.VAE_TINY)))


def mkdir(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


class Studio:
    def __init__(self, base: Path) -> None:
        from engine.diffusion.residency import Residency

        for make in (sd1_models, sd2_models, sdxl_models, split_models):
            make(mkdir(base / "models" / "checkpoints").parent)
        shutil.copytree(PROJECT / "input", base / "input")
        self.registry: Registry = load()
        self.folders = Folders(base=base)
        self.executor = LocalExecutor(self.registry.specs, Cache(500_000_000))
        self.residency = functools.cache(Residency)

    def run(self, prompt: Prompt) -> list[Path]:
        job = Job(id=uuid.uuid4().hex, prompt=prompt.raw, extra=prompt.extra, folders=self.folders, residency=self.residency)
        results = self.executor.run_sync(build(prompt, self.registry.specs, self.folders), job)
        shown = [image for ui in results.ui.values() for image in ui.get("images", [])]
        return [self.folders.work(image["type"]) / image["subfolder"] / image["filename"] for image in shown]


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    made = Studio(tmp_path_factory.mktemp("studio"))
    with made.executor:
        yield made


SMALL = {"width": 96, "height": 64, "steps": 2, "video_frames": 3, "start_at_step": 1, "end_at_step": 1, "x": 0, "y": 0}


def small(raw: Any) -> Any:
    """The same prompt for a small picture in two steps; a run in two halves still is one."""
    for node in raw.values():
        inputs = node["inputs"]
        for name, value in SMALL.items():
            if isinstance(inputs.get(name), int) and inputs[name] not in (0, 10000):
                inputs[name] = value
        if node["class_type"] == "FeatherMask":
            inputs.update(dict.fromkeys(("left", "top", "right", "bottom"), 8))
    return raw


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_familys_workflow_runs_on_its_family(path: Path, studio: Studio) -> None:
    written = read_workflow(path, Settings(base_directory=studio.folders.base), studio.registry, studio.folders)
    pictures = studio.run(parse(small(written.raw), written.extra))
    assert pictures, "it saves nothing"
    for picture in pictures:
        image = Image.open(picture)
        assert image.size[0] >= 64
        assert getattr(image, "n_frames", 1) == (3 if path.stem.startswith(("svd", "sv3d")) else 1)
        assert np.asarray(image.convert("RGB")).std() > 1, "flat: nothing was drawn"


def test_the_files_are_what_the_tool_writes() -> None:
    from engine.workflow.definitions import describe_all
    from tools import family_workflows

    definitions = describe_all(load().specs, Folders())
    made = {name: family_workflows.written(make(), definitions) for name, make in family_workflows.WORKFLOWS.items()}
    assert made == {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in SHIPPED}
