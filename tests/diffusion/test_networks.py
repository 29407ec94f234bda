"""Diffusers by the shortest path: what stays out, and that it leaves no trace for those who import it whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

DRAW = """
import sys
import torch
from pathlib import Path

import pytest
from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.sampling import ksampler
from engine.diffusion.residency import Residency
loaded = load_checkpoint(Path("models/checkpoints/loom-demo.safetensors"), Residency("cpu"))
positive, negative = loaded.clip.encode_many(["a (cat:1.2)", ""])
latent = ksampler(loaded.model, positive, negative, {"samples": torch.zeros(1, 4, 8, 8)}, seed=1, steps=2, cfg=4.0,
                  sampler_name="euler", scheduler="normal")
assert loaded.vae.decode(latent["samples"]).shape == (1, 64, 64, 3)
heavy = {"transformers", "scipy", "torch._dynamo", "sympy", "peft", "accelerate", "diffusers.pipelines", "diffusers.schedulers"}
print(sorted(heavy & set(sys.modules)))
"""

WHOLE = """
from engine.diffusion import networks
ours = {name: networks.network_class(name) for name in networks.CLASSES}
import torch._dynamo
assert torch._dynamo.__file__
import diffusers
from diffusers import FluxTransformer2DModel, StableDiffusionPipeline, EulerDiscreteScheduler
from diffusers.loaders.lora_base import PreTrainedModel
assert EulerDiscreteScheduler(use_beta_sigmas=True)
assert all(getattr(diffusers, name, cls) is cls for name, cls in ours.items())
import importlib
assert all(getattr(importlib.import_module(networks.CLASSES[name]), name) is cls for name, cls in ours.items())
print("whole")
"""

AFTER = """
import diffusers.schedulers
from engine.diffusion import networks
networks.network_class("UNet2DConditionModel")
from diffusers import LMSDiscreteScheduler
scheduler = LMSDiscreteScheduler()
scheduler.set_timesteps(4)
print(scheduler.get_lms_coefficient(1, 0, 0) < 0)
"""

TOGETHER = """
import sys, threading
from engine.diffusion import networks
begun, got = threading.Event(), []
def late():
    while networks.CLASSES["AutoencoderKL"] not in sys.modules:
        pass
    begun.set()
    got.append(networks.network_class("AutoencoderKL"))
thread = threading.Thread(target=late)
thread.start()
assert networks.network_class("AutoencoderKL") is networks.network_class("AutoencoderKL")
thread.join()
print(begun.is_set(), len(got))
"""


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=300).stdout


def test_a_picture_needs_neither_transformers_nor_scipy_nor_the_compiler() -> None:
    assert run(DRAW).strip() == "[]"


def test_a_thread_may_ask_while_another_imports() -> None:
    """As when a workflow loads three checkpoints at once on a server just started."""
    assert run(TOGETHER).strip() == "True 1"


def test_what_was_imported_of_diffusers_before_stays_whole() -> None:
    """Its scheduler package hands out classes when asked; those asked for in the meantime saw no scipy."""
    assert run(AFTER).strip() == "True"


@pytest.mark.slow
def test_diffusers_is_whole_for_whoever_imports_it_later() -> None:
    assert run(WHOLE).strip().endswith("whole")


def test_reading_the_list_of_families_imports_no_network_library() -> None:
    code = "import sys, engine.diffusion.checkpoints; print('diffusers' in sys.modules, 'tokenizers' in sys.modules)"
    assert run(code).strip() == "False False"
