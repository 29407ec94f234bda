"""The MODEL value: every change makes another, and nothing is copied."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch

from engine.diffusion import parametrization
from engine.diffusion.families.family import Prediction
from engine.diffusion.model import parametrization_of
from engine.diffusion.patches import Adapter
from tests.diffusion.demo import demo_model


def test_each_change_makes_another_model_on_the_same_part() -> None:
    model = demo_model()
    changed = [
        model.with_patches(Adapter("denoiser", {}), 0.5),
        model.with_sampling(parametrization.discrete("v")),
        model.with_rule(lambda parts: parts.positive),
        model.with_before(lambda parts: parts),
        model.with_after(lambda parts, result: result),
        model.with_edit(lambda network: nullcontext()),
        model.with_options(key=1),
    ]
    assert all(other is not model and other.part is model.part and other.place is model.place for other in changed)
    assert (model.patches, model.guidance.before, model.edits, dict(model.options)) == ((), (), (), {})


def test_changes_add_up() -> None:
    a, b = Adapter("denoiser", {}), Adapter("denoiser", {})
    model = demo_model().with_patches(a, 1.0).with_patches(b, -0.5).with_patches(a, 0.0)
    assert [(patch.adapter, patch.strength) for patch in model.patches] == [(a, 1.0), (b, -0.5)]
    assert model.with_after(lambda parts, result: result, needs_negative=True).with_rule(lambda p: p.x).guidance.needs_negative


@pytest.mark.parametrize(
    ("prediction", "highest", "is_flow"),
    [
        (Prediction("eps"), 14.6146, False),
        (Prediction("v", zero_terminal_snr=True), 4518.9, False),
        (Prediction("flow", shift=3.0), 1.0, True),
        (Prediction("edm", sigma_max=80.0), 80.0, False),
        (Prediction("edm_v", sigma_max=700.0), 700.0, False),
    ],
)
def test_a_family_s_plain_numbers_make_its_parametrization(prediction: Prediction, highest: float, is_flow: bool) -> None:
    sampling = parametrization_of(prediction)
    assert sampling.sigma_max == pytest.approx(highest, rel=1e-3)
    assert sampling.flow == is_flow


def test_edits_are_on_the_network_during_a_run_only() -> None:
    from contextlib import contextmanager

    from engine.diffusion.sampling import ksampler
    from tests.diffusion.demo import empty, prompt

    seen: list[str] = []

    @contextmanager
    def edit(network: torch.nn.Module):  # type: ignore[no-untyped-def]
        seen.append("on")
        yield
        seen.append("off")

    def report(done: int, total: int, draw: object) -> None:
        seen.append("step")

    ksampler(
        demo_model().with_edit(edit), prompt(1), prompt(2), empty(),
        seed=1, steps=1, cfg=1.0, sampler_name="euler", scheduler="normal", report=report,
    )  # fmt: skip
    assert seen == ["on", "step", "off"]
