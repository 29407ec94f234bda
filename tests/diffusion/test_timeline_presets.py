"""Every preset is, at some setting, a run that other parts of the engine make; and it is keyed by noise, not by step."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from engine.diffusion.model import Model
from engine.diffusion.samplers.tcd import Tcd
from engine.diffusion.sampling import RandomNoise, ksampler, named_sampler, schedule
from engine.diffusion.timeline import Point, Segment, Timeline, TimelineError, at_timesteps, sample_timeline
from engine.diffusion.timeline_presets import PRESETS, Plan
from engine.diffusion.variety import VariationNoise, cads, embedding_noise
from nodes.timeline import PresetName
from tests.diffusion.demo import demo_model, empty, prompt
from tests.diffusion.test_timeline import adapter

POSITIVE, NEGATIVE = prompt(1), prompt(2)
STEPS = 5
ADAPTER = adapter()


def distilled() -> Model:
    return demo_model().with_patches(ADAPTER)


def levels(steps: int = STEPS) -> Tensor:
    return schedule(demo_model(), "normal", steps)


def drawn(made: tuple[Timeline, Tensor], positive: Any = POSITIVE, noise: Any = None, batch: int = 1) -> Tensor:
    timeline, sigmas = made
    noise = noise or RandomNoise(7)
    return sample_timeline(timeline, positive, NEGATIVE, noise, named_sampler("euler"), sigmas, empty(batch))[0]["samples"]


def preset(name: str, **numbers: Any) -> tuple[Timeline, Tensor]:
    return PRESETS[name](Plan(**{"base": demo_model(), "sigmas": levels(), "base_cfg": 3.0, **numbers}))


def constant(model: Model, cfg: float = 3.0) -> tuple[Timeline, Tensor]:
    return Timeline((Segment(model, cfg),)), levels()


def test_the_node_offers_every_preset() -> None:
    assert get_args(PresetName) == tuple(PRESETS)


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("cfg interval", {"start": 0.0, "end": 1.0}),
        ("detail", {"amount": 0.0}),
        ("seed variance", {"amount": 0.0}),
        ("CADS", {"amount": 0.0}),
        ("variation seed", {"amount": 0.0, "seed": 3}),
    ],
)
def test_at_its_identity_a_preset_is_the_plain_run_bit_for_bit(name: str, numbers: dict[str, Any]) -> None:
    assert torch.equal(drawn(preset(name, **numbers)), drawn(constant(demo_model())))


def test_base_first_is_two_advanced_samplers() -> None:
    made = preset("base first", distilled=distilled(), seam=2, base_steps=0)
    options: dict[str, Any] = {"steps": STEPS, "sampler_name": "euler", "scheduler": "normal"}
    first = ksampler(demo_model(), POSITIVE, NEGATIVE, empty(), seed=7, cfg=3.0, last_step=2, **options)
    second = ksampler(distilled(), POSITIVE, NEGATIVE, first, seed=7, cfg=1.0, start_step=2, add_noise=False, **options)
    assert torch.allclose(drawn(made), second["samples"], atol=1e-4)
    sampled = preset("base first", distilled=distilled(), seam=2, base_steps=0, base_sampler=named_sampler("dpmpp_2m"))
    options["sampler_name"] = "dpmpp_2m"
    finer = ksampler(demo_model(), POSITIVE, NEGATIVE, empty(), seed=7, cfg=3.0, last_step=2, **options)
    options["sampler_name"] = "euler"
    second = ksampler(distilled(), POSITIVE, NEGATIVE, finer, seed=7, cfg=1.0, start_step=2, add_noise=False, **options)
    assert torch.allclose(drawn(sampled), second["samples"], atol=1e-4)
    nothing = preset("base first", distilled=distilled(), seam=0)
    assert torch.equal(drawn(nothing), drawn(constant(distilled(), 1.0)))


def test_the_base_in_high_noise_ends_at_its_share_whatever_the_steps() -> None:
    for steps in (4, 9, 30):
        timeline, sigmas = preset("base in high noise", distilled=distilled(), end=0.125, sigmas=levels(steps))
        boundary = demo_model().sampling.percent_to_sigma(0.125)
        assert timeline.stages(sigmas)[0].last == pytest.approx(boundary, rel=1e-3)


def test_a_lora_at_full_strength_is_the_distilled_model() -> None:
    whole = preset("LoRA at part strength", distilled=distilled(), amount=1.0)
    assert torch.equal(drawn(whole), drawn(constant(distilled(), 1.0)))
    part = preset("LoRA at part strength", distilled=distilled(), amount=0.4, distilled_cfg=3.0)
    assert torch.equal(drawn(part), drawn(constant(demo_model().with_patches(ADAPTER, 0.4))))


def test_a_ramp_that_never_rises_is_the_base() -> None:
    made = preset("LoRA ramp", distilled=distilled(), amount=0.0, distilled_cfg=3.0)
    assert torch.equal(drawn(made), drawn(constant(demo_model())))


def test_a_ramp_between_two_steps_is_base_first() -> None:
    """From 0 at a share just above a level of the schedule to 1 just below it: a switch at that level."""
    sigmas = levels()
    share = 1 - float(demo_model().sampling.timestep(sigmas[2])) / 999
    ramped = preset("LoRA ramp", distilled=distilled(), amount=1.0, start=share - 0.02, end=share)
    assert torch.allclose(drawn(ramped), drawn(preset("base first", distilled=distilled(), seam=2, base_steps=0)), atol=1e-4)


def test_guidance_in_an_interval_is_cfg_1_outside_it() -> None:
    sigmas = levels()
    inside = [1 - float(demo_model().sampling.timestep(sigma)) / 999 for sigma in sigmas[1:3]]
    timeline, _ = preset("cfg interval", start=inside[0] - 0.02, end=inside[1] + 0.02)
    stages = timeline.stages(sigmas)
    scales = [next(s.cfg(sigma, sigmas) for s in stages if s.covers(float(sigma))) for sigma in sigmas[:-1]]
    assert scales == [1.0, 3.0, 3.0, 1.0, 1.0]


def test_a_piece_of_a_moving_scale_moves_as_the_whole_did() -> None:
    sigmas = levels()
    moving = Timeline((Segment(demo_model(), 7.0, last_cfg=1.0),))
    cut, _ = preset("detail", timeline=moving, amount=0.0, start=0.2, end=0.6)
    assert len(cut.segments) == 3
    for sigma in sigmas[:-1]:
        whole, piece = (next(s for s in t.stages(sigmas) if s.covers(float(sigma))) for t in (moving, cut))
        assert piece.cfg(sigma, sigmas) == pytest.approx(whole.cfg(sigma, sigmas), abs=1e-3)


def test_detail_holds_within_its_shares_only() -> None:
    timeline, sigmas = preset("detail", amount=0.05, start=0.3, end=0.7)
    high, low = (demo_model().sampling.percent_to_sigma(share) for share in (0.3, 0.7))
    for stage in timeline.stages(sigmas):
        assert stage.segment.detail == (0.05 if high >= stage.first and stage.last >= low else 0.0)
    assert not torch.equal(drawn((timeline, sigmas)), drawn(constant(demo_model())))


@pytest.mark.parametrize("name", ["seed variance", "CADS"])
def test_readings_are_those_of_the_conditioning_nodes(name: str) -> None:
    """Of the noise's own seed and a batch's pictures."""
    made = preset(name, amount=0.5, start=0.1, end=0.4, seed=2)
    changed = {
        "seed variance": embedding_noise(POSITIVE, 0.5, 0.5, 0.4, 9, 2),
        "CADS": cads(POSITIVE, 0.5, 0.6, 0.9, seed=9, batch=2),
    }
    assert torch.equal(drawn(made, batch=2), drawn(constant(demo_model()), changed[name], batch=2))
    assert not torch.equal(drawn(made, batch=2), drawn(constant(demo_model()), batch=2))


def test_a_segment_s_own_prompt_is_read_so_too() -> None:
    own = Timeline((Segment(demo_model(), 3.0, positive=POSITIVE),))
    made = preset("seed variance", timeline=own, amount=0.5, end=0.4)
    assert torch.equal(drawn(made, NEGATIVE), drawn(preset("seed variance", amount=0.5, end=0.4)))


def test_tcd_and_variation_are_the_sampler_and_the_noise() -> None:
    timeline, sigmas = constant(distilled(), 1.0)
    tcd = sample_timeline(timeline, POSITIVE, NEGATIVE, RandomNoise(7), Tcd(options={"eta": 0.4}), sigmas, empty())
    assert torch.equal(drawn(preset("TCD", distilled=distilled(), amount=0.4)), tcd[0]["samples"])
    assert torch.allclose(drawn(preset("TCD", amount=0.0)), drawn(constant(demo_model())), atol=1e-4)
    noise = VariationNoise(RandomNoise(7), RandomNoise(3), 0.2)
    varied = preset("variation seed", amount=0.2, seed=3)
    assert torch.equal(drawn(varied), drawn(constant(demo_model()), noise=noise))


def test_presets_are_put_on_one_another() -> None:
    first = preset("base first", distilled=distilled(), sigmas=at_timesteps([999, 749, 499, 249], demo_model().sampling))
    both, sigmas = preset("seed variance", timeline=first[0], sigmas=first[1], amount=0.5, end=0.4)
    assert [segment.cfg for segment in both.segments] == [3.0, 1.0]
    changed = embedding_noise(POSITIVE, 0.5, 0.5, 0.4, 7, 1)
    assert torch.equal(drawn((both, sigmas)), drawn(first, changed))


def test_what_is_missing_is_said() -> None:
    with pytest.raises(TimelineError, match="none is connected"):
        preset("base first")
    with pytest.raises(TimelineError, match="not `base` with a LoRA"):
        preset("LoRA ramp", distilled=demo_model())
    assert Point(0.3, "percent").sigma(demo_model().sampling, levels()) > 1
