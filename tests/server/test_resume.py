"""A job that is killed in mid-sampling goes on where it was and ends in the same picture."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from engine.diffusion.journal import numbers
from tests.server.process import PROJECT, Process

MODEL = PROJECT / "models" / "checkpoints" / "loom-demo.safetensors"
pytestmark = pytest.mark.skipif(not MODEL.is_file(), reason="the demo model is not here")
STEPS = 150


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    found = Process(tmp_path, "--models-directory", str(PROJECT / "models"), "--cache-none")
    yield found
    if found.alive:
        found.end()


def drawing(sampler: str, prefix: str) -> dict[str, Any]:
    return {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": MODEL.name}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat", "clip": ["1", 1]}},
        "3": {"class_type": "EmptyLatentImage", "inputs": {"width": 128, "height": 128, "batch_size": 1}},
        "4": {
            "class_type": "KSampler",
            "inputs": {
                "model": ["1", 0], "positive": ["2", 0], "negative": ["2", 0], "latent_image": ["3", 0], "seed": 5,
                "steps": STEPS, "cfg": 3.0, "sampler_name": sampler, "scheduler": "karras", "denoise": 1.0,
            },
        },
        "5": {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0], "vae": ["1", 2]}},
        "6": {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": prefix}},
    }  # fmt: skip


def wait(process: Process, prompt_id: str) -> Any:
    deadline = time.monotonic() + 600
    while not (entry := process.get(f"/history/{prompt_id}")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert entry[prompt_id]["status"]["status_str"] == "success", entry
    return entry[prompt_id]


def noted(journal: Path) -> int:
    """How many evaluations a journal holds."""
    return sum(len(numbers(path)) for path in journal.rglob("*.safetensors"))


@pytest.mark.parametrize("sampler", ["dpmpp_2m", pytest.param("dpmpp_2m_sde", marks=pytest.mark.slow)])
def test_a_killed_sampling_ends_in_the_same_bits(process: Process, sampler: str) -> None:
    process.start()
    prompt_id = process.post("/prompt", {"prompt": drawing(sampler, "killed")})["prompt_id"]
    journal = process.base / "user" / "journals" / prompt_id
    deadline = time.monotonic() + 600
    while noted(journal) < STEPS // 10:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.end()
    assert STEPS // 10 <= noted(journal) < STEPS
    process.start()
    wait(process, prompt_id)
    assert process.get(f"/api/jobs/{prompt_id}")["attempts"] == 2
    wait(process, process.post("/prompt", {"prompt": drawing(sampler, "whole")})["prompt_id"])
    killed, whole = (Image.open(process.base / "output" / f"{name}_00001_.png").tobytes() for name in ("killed", "whole"))
    assert killed == whole
    while list((process.base / "user" / "journals").iterdir()):
        assert time.monotonic() < deadline + 120
        time.sleep(0.05)


def test_nothing_is_gone_on_with_that_began_differently(process: Process) -> None:
    """A job that was parked in mid-sampling gets another prompt before it goes on: the picture is the new prompt's alone."""
    process.start()
    prompt_id = process.post("/prompt", {"prompt": drawing("dpmpp_2m", "first")})["prompt_id"]
    journal = process.base / "user" / "journals" / prompt_id
    deadline = time.monotonic() + 600
    while noted(journal) < 4:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.post("/api/queue/pause")
    assert process.end(signal.SIGINT) == 0
    assert 4 <= noted(journal) < STEPS
    process.start()
    other = drawing("dpmpp_2m", "edited")
    other["2"]["inputs"]["text"] = "a red car"
    process.request("PATCH", f"/api/jobs/{prompt_id}", {"prompt": other})
    process.post("/api/queue/resume")
    wait(process, prompt_id)
    other["6"]["inputs"]["filename_prefix"] = "plain"
    wait(process, process.post("/prompt", {"prompt": other})["prompt_id"])
    edited, plain = (Image.open(process.base / "output" / f"{name}_00001_.png").tobytes() for name in ("edited", "plain"))
    assert edited == plain
