"""Names in LoRA files, at full size: the module diffusers finds behind each is ours, and what nobody knows is told."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers.loaders.lora_pipeline import StableDiffusionLoraLoaderMixin, StableDiffusionXLLoraLoaderMixin
from torch import Tensor

from engine.diffusion.families.sd1 import SD1
from engine.diffusion.families.sdxl import SDXL
from engine.diffusion.lora_names import modules, spellings
from engine.diffusion.parts import Part
from engine.diffusion.text import towers
from engine.diffusion.text.network import ClipText, TextConfig
from tests.diffusion import originals

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2")
TEXT = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")


def denoiser(family: Any) -> Part:
    tensors = originals.denoiser(family)
    return Part("denoiser", family.build, family.keymap(tensors), tensors)


def tower(width: int, layers: int, kind: str) -> Part:
    with torch.device("meta"):
        network = ClipText(TextConfig(width, layers, width * 4, "gelu", None, 49408, 77))
    part = towers.part(network.state_dict(), kind)
    assert part is not None
    return part


def lora(part: Part, prefixes: tuple[str, ...], endings: tuple[str, ...]) -> dict[str, str]:
    """Every name with these prefixes of modules that diffusers knows LoRAs of, and the module."""
    found = {}
    for name, (row, *_) in spellings(part).items():
        target = row.target.removesuffix(".weight")
        doubtful = name.endswith("_to_out")  # diffusers takes it for a module named "to.out"
        if name.startswith(prefixes) and target.endswith(endings) and not doubtful:
            found[name] = target
    return found


SD1_TEXT = [("l", "lora_te_text", 768, 12)]
SDXL_TEXT = [("l", "lora_te1_text", 768, 12), ("g", "lora_te2_text", 1280, 32)]
ORIGINAL = ("lora_unet_input_blocks", "lora_unet_middle_block", "lora_unet_output_blocks")
DIFFUSERS = ("lora_unet_down_blocks", "lora_unet_mid_block", "lora_unet_up_blocks")
CASES: dict[str, tuple[Any, Any, tuple[str, ...], list[tuple[str, str, int, int]], int]] = {
    "SD 1": (SD1(originals.SD1_FULL), StableDiffusionLoraLoaderMixin, DIFFUSERS, SD1_TEXT, 264),
    "SDXL": (SDXL(originals.SDXL_FULL), StableDiffusionXLLoraLoaderMixin, DIFFUSERS, SDXL_TEXT, 986),
    "SDXL, the original's blocks": (SDXL(originals.SDXL_FULL), StableDiffusionXLLoraLoaderMixin, ORIGINAL, SDXL_TEXT, 986),
}


@pytest.mark.parametrize("case", CASES)
def test_what_diffusers_makes_of_kohya_s_names_is_the_same_modules(case: str) -> None:
    """Kohya's name -> diffusers' converter -> its name: both are one module here. Attention and text, every layer of both."""
    family, mixin, prefixes, texts, number = CASES[case]
    unet = denoiser(family)
    names, tables = lora(unet, prefixes, ATTENTION), [spellings(unet)]
    for kind, prefix, width, layers in texts:
        reader = tower(width, layers, kind)
        names |= lora(reader, (prefix,), TEXT)
        tables.append(spellings(reader))
    assert len(names) == number
    file: dict[str, Tensor] = {}
    whose: dict[int, str] = {}
    for name, target in names.items():
        down, up = torch.zeros(2, 8, device="meta"), torch.zeros(8, 2, device="meta")
        file |= {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up, f"{name}.alpha": torch.tensor(1.0)}
        whose[id(down)] = target
    read, _ = mixin.lora_state_dict(dict(file), unet_config=type("Config", (), {"layers_per_block": 2})())
    found, strange = modules(read)
    assert not strange
    for module, pieces in found.items():
        rows = [row for table in tables for row in table.get(module, ())]
        assert [row.target for row in rows] == [whose[id(pieces["down"])] + ".weight"], module
    assert len(found) == number
