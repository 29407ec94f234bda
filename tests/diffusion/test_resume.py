"""A run that is cut off goes on from its journal and ends in the same bits: every sampler, whatever it remembers or draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.diffusion.journal import FolderJournal
from engine.diffusion.samplers import SAMPLERS
from engine.diffusion.sampling import ksampler
from tests.diffusion.demo import demo_model, empty, prompt

STEPS = 5


def run(name: str, **options: Any) -> Tensor:
    latent = empty(size=8)
    settings: dict[str, Any] = {"seed": 7, "steps": STEPS, "cfg": 4.0, "sampler_name": name, "scheduler": "karras", **options}
    return ksampler(demo_model(), prompt(1), prompt(2), latent, **settings)["samples"]


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_goes_on_to_the_same_bits(name: str, tmp_path: Path) -> None:
    """Cut off after step 3 of 5, when multistep methods have a history and stochastic ones have drawn noise.

    dpm_fast makes 5 evaluations in two steps and is cut off after the first.
    """

    class Cut(Exception):
        pass

    def cut(done: int, total: int, draw: Any) -> None:
        if done >= (1 if name == "dpm_fast" else 3):
            raise Cut

    with pytest.raises(Cut):
        run(name, report=cut, journal=FolderJournal(tmp_path))
    kept = len(list(tmp_path.glob("*.safetensors")))
    assert kept >= 1
    resumed = run(name, journal=FolderJournal(tmp_path))
    assert torch.equal(resumed, run(name))
    assert len(list(tmp_path.glob("*.safetensors"))) >= kept
