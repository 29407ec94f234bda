"""The settings a file was made for, by its own words and by what is in it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.diffusion.families.family import Defaults
from engine.diffusion.inspection import inspect
from engine.diffusion.usage import adapter_settings, said, settings
from tests.diffusion import originals
from tests.diffusion.test_checkpoints import DEMO, saved, sd1

LCM = DEMO.parent.parent / "loras" / "loom-demo-lcm.safetensors"


@pytest.mark.parametrize(
    ("title", "steps", "sampler"),
    [
        ("LCM LoRA SDXL", 4, "lcm"),
        ("dmd2_sdxl_4step_lora_fp16", 4, "lcm"),
        ("SDXL-Lightning, 8 steps", 8, "euler"),
        ("sdxl_lightning_2step_unet", 2, "euler"),
        ("Hyper-SDXL-8steps-lora", 8, "euler"),
        ("SD-Turbo", 4, "euler_ancestral"),
    ],
)
def test_a_distilled_file_says_by_its_title_what_it_was_made_for(title: str, steps: int, sampler: str) -> None:
    found = said({"modelspec.title": title})
    assert (found.steps, found.cfg, found.sampler, found.scheduler) == (steps, 1.0, sampler, "sgm_uniform")
    assert found.few_steps


@pytest.mark.parametrize("title", ["hyperrealism", "Lightning storm", "turbo diesel style", "A cat in 40 steps"])
def test_a_word_that_only_looks_like_a_method_says_nothing(title: str) -> None:
    assert adapter_settings({"modelspec.title": title, "ss_output_name": title}) is None


def test_the_hint_for_usage_counts_over_the_title() -> None:
    hint = "30 steps, CFG 5.5, sampler dpmpp_2m, scheduler karras"
    told = {"modelspec.usage_hint": hint, "modelspec.title": "20 steps", "modelspec.resolution": "768x1024"}
    found = settings(Defaults(), told)
    assert found == Defaults(30, 5.5, "dpmpp_2m", "karras", 768, 1024)
    assert settings(Defaults(), {"modelspec.title": "A merge"}) == Defaults()


def test_an_lcm_network_is_known_by_its_input_for_the_guidance(tmp_path: Path) -> None:
    tensors = {**sd1(), "model.diffusion_model.time_embed.cond_proj.weight": torch.zeros(originals.SD1_TINY.channels[0], 256)}
    made = inspect(saved(tmp_path / "lcm.safetensors", tensors)).defaults
    assert made is not None
    assert (made["steps"], made["cfg"], made["sampler"], made["few_steps"]) == (4, 1.0, "lcm", True)
    plain = inspect(saved(tmp_path / "sd1.safetensors", sd1())).defaults
    assert plain is not None
    assert not plain["few_steps"]


def test_the_report_of_a_file_has_them() -> None:
    assert "  try 4 steps, cfg 1, lcm sgm_uniform" in inspect(LCM).lines()
    assert "  try 20 steps, cfg 4, euler normal, 128 x 128" in inspect(DEMO).lines()
