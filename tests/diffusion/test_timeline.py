"""A timeline changes what is asked of a model and never how the walk is made: its seams are exact."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.diffusion import parametrization
from engine.diffusion.diversity_run import Counter
from engine.diffusion.edits.attention import Nag
from engine.diffusion.formulas import apg
from engine.diffusion.guidance import cfg_guider
from engine.diffusion.journal import MemoryJournal
from engine.diffusion.model import Model
from engine.diffusion.patches import Adapter, LowRank
from engine.diffusion.sampling import RandomNoise, ksampler, named_sampler, sample, schedule
from engine.diffusion.timeline import (
    Point,
    Ramp,
    Segment,
    Timeline,
    TimelineError,
    at_timesteps,
    base_then_distilled,
    refine,
    sample_timeline,
)
from tests.diffusion.demo import demo_model, empty, prompt

POSITIVE, NEGATIVE = prompt(1), prompt(2)
STEPS = 5
SDXL = parametrization.discrete("eps")


def plain(model: Model, sampler: str = "euler", cfg: float = 3.0, steps: int = STEPS) -> Tensor:
    sigmas = schedule(model, "normal", steps)
    guider = cfg_guider(model, POSITIVE, NEGATIVE, cfg)
    return sample(guider, RandomNoise(7), named_sampler(sampler), sigmas, empty())[0]["samples"]


def along(timeline: Timeline, sampler: str = "euler", steps: int = STEPS, **more: Any) -> Tensor:
    sigmas = schedule(demo_model(), "normal", steps)
    done = sample_timeline(timeline, POSITIVE, NEGATIVE, RandomNoise(7), named_sampler(sampler), sigmas, empty(), **more)
    return done[0]["samples"]


def split(at: Point, cfg: float = 3.0, model: Model | None = None, **second: Any) -> Timeline:
    model = model or demo_model()
    return Timeline((Segment(model, cfg), Segment(model, **{"cfg": cfg, "start": at, **second})))


def adapter(seed: int = 1) -> Adapter:
    """A LoRA of rank 2 on the queries and the texts' keys of the middle block."""
    generator = torch.Generator().manual_seed(seed)
    deltas = {}
    for name in ("attn1.to_q", "attn2.to_k"):
        target = f"mid_block.attentions.0.transformer_blocks.0.{name}.weight"
        up, down = (torch.randn(*shape, generator=generator) * 0.3 for shape in ((128, 2), (2, 128)))
        deltas[target] = (LowRank(up, down),)
    return Adapter("denoiser", deltas)


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m", "lcm", "dpmpp_2m_sde", "euler_cfg_pp"])
def test_a_constant_timeline_is_the_plain_sampler_bit_for_bit(sampler: str) -> None:
    assert torch.equal(along(Timeline((Segment(demo_model(), 3.0),)), sampler), plain(demo_model(), sampler))


@pytest.mark.parametrize("sampler", ["heun", "dpmpp_2m_sde"])
@pytest.mark.parametrize("at", [Point(2.0), Point(0.4, "percent"), Point(2, "step")])
def test_a_seam_between_equals_is_none(sampler: str, at: Point) -> None:
    """Multistep samplers keep their history across it, stochastic ones their noise."""
    assert torch.equal(along(split(at), sampler), plain(demo_model(), sampler))


def test_what_a_model_remembers_crosses_a_seam() -> None:
    model = demo_model().with_before(apg(0.5, 5.0, -0.5))
    assert torch.equal(along(split(Point(2, "step"), model=model)), plain(model))


def test_a_seam_equals_two_advanced_samplers() -> None:
    base, other = demo_model(), demo_model().with_patches(adapter(), 1.0)
    options: dict[str, Any] = {"steps": STEPS, "sampler_name": "euler", "scheduler": "normal"}
    first = ksampler(base, POSITIVE, NEGATIVE, empty(), seed=7, cfg=3.0, last_step=2, **options)
    second = ksampler(other, POSITIVE, NEGATIVE, first, seed=7, cfg=1.0, start_step=2, add_noise=False, **options)
    ours = along(base_then_distilled(base, other, 3.0, Point(2, "step")))
    assert torch.allclose(ours, second["samples"], atol=1e-4)
    assert not torch.allclose(ours, plain(base), atol=1e-2)


def test_a_negative_inside_attention_holds_for_its_segment() -> None:
    """NAG on the second model only: two advanced samplers, and no second network call at cfg 1."""
    options: dict[str, Any] = {"steps": STEPS, "sampler_name": "euler", "scheduler": "normal"}
    nag = demo_model().with_edit(Nag(4.0, 0.5, 2.5))
    first = ksampler(demo_model(), POSITIVE, NEGATIVE, empty(), seed=7, cfg=3.0, last_step=2, **options)
    second = ksampler(nag, POSITIVE, NEGATIVE, first, seed=7, cfg=1.0, start_step=2, add_noise=False, **options)
    counter = Counter()
    ours = along(base_then_distilled(demo_model(), nag.with_edit(counter), 3.0, Point(2, "step")))
    assert torch.allclose(ours, second["samples"], atol=1e-4)
    assert counter.rows == STEPS - 2
    assert not torch.allclose(ours, along(base_then_distilled(demo_model(), demo_model(), 3.0, Point(2, "step"))), atol=1e-2)


def test_units_name_the_same_moment() -> None:
    sigmas = schedule(demo_model(), "normal", STEPS)
    level = float(sigmas[2])
    share = 1 - float(demo_model().sampling.timestep(sigmas[2])) / 999
    byte_equal = [along(split(at, last_cfg=5.0)) for at in (Point(2, "step"), Point(round(level, 3)), Point(share, "percent"))]
    assert torch.equal(byte_equal[0], byte_equal[1])
    assert torch.equal(byte_equal[0], byte_equal[2])


@pytest.mark.parametrize("steps", [4, 9, 30])
def test_a_seam_in_sigma_stays_where_it_is_whatever_the_steps(steps: int) -> None:
    """The cfg of each level is a function of the level alone, on every schedule."""
    timeline = Timeline((Segment(demo_model(), 7.0), Segment(demo_model(), 3.0, Point(2.0), last_cfg=1.0)))
    sigmas = schedule(demo_model(), "normal", steps)
    for stage in timeline.stages(sigmas):
        assert (stage.first, stage.last) in [(float("inf"), 2.0), (2.0, -1.0)]
    wanted = {level: timeline.stages(sigmas)[0 if level > 2 else 1].cfg(torch.tensor(level), sigmas) for level in (9.0, 2.0, 0.5)}
    assert wanted[9.0] == 7.0
    assert wanted[2.0] == pytest.approx(3.0)
    half, two = (float(SDXL.timestep(torch.tensor(level))) for level in (0.5, 2.0))
    assert wanted[0.5] == pytest.approx(1 + 2 * half / two, abs=0.02)


def test_finer_steps_converge_to_one_picture() -> None:
    timeline = split(Point(2.0), cfg=2.0, model=demo_model())
    coarse, fine, finest = (along(timeline, steps=n) for n in (6, 12, 24))
    assert (fine - finest).abs().mean() < (coarse - finest).abs().mean()


def test_the_segment_a_start_covers_begins_at_it() -> None:
    """At exactly sigma 4.08 the second holds; the first has what is above."""
    stages = split(Point(4.0816788)).stages(torch.tensor([14.6, 4.0816788, 1.6, 0.0]))
    assert [stage.covers(14.6) for stage in stages] == [True, False]
    assert [stage.covers(stages[1].first) for stage in stages] == [False, True]


def test_a_ramp_at_0_is_the_base_bit_for_bit_and_at_1_the_patched_model() -> None:
    ramp = adapter()
    for strength, model in ((0.0, demo_model()), (0.6, demo_model().with_patches(ramp, 0.6))):
        timeline = Timeline((Segment(demo_model(), 3.0),), (Ramp(ramp, ((Point(0, "percent"), strength),)),))
        assert torch.equal(along(timeline), plain(model))


def test_a_ramp_of_two_levels_is_two_segments() -> None:
    ramp, sigmas = adapter(), schedule(demo_model(), "normal", STEPS)
    keys = ((Point(float(sigmas[1])), 0.0), (Point(float(sigmas[2])), 1.0))
    ramped = along(Timeline((Segment(demo_model(), 3.0),), (Ramp(ramp, keys),)))
    cut = along(Timeline((Segment(demo_model(), 3.0), Segment(demo_model().with_patches(ramp), 3.0, Point(2, "step")))))
    assert torch.equal(ramped, cut)


def test_a_ramp_keeps_no_network() -> None:
    """Five strengths on the way, and nothing more resident than before."""
    residency: Any = demo_model().place
    plain(demo_model())
    before = residency.resident()
    along(Timeline((Segment(demo_model(), 3.0),), (Ramp(adapter(5), ((Point(0, "percent"), 0.1), (Point(1, "percent"), 1.0))),)))
    assert residency.resident() == before


def test_a_sampler_of_its_own_for_each_segment() -> None:
    sigmas = schedule(demo_model(), "normal", STEPS)
    timeline = split(Point(2, "step"), sampler=named_sampler("heun"))
    guider = cfg_guider(demo_model(), POSITIVE, NEGATIVE, 3.0)
    first = sample(guider, RandomNoise(7), named_sampler("euler"), sigmas[:3], empty())[0]
    options: dict[str, Any] = {"steps": STEPS, "sampler_name": "heun", "scheduler": "normal"}
    second = ksampler(demo_model(), POSITIVE, NEGATIVE, first, seed=7, cfg=3.0, start_step=2, add_noise=False, **options)
    assert torch.allclose(along(timeline), second["samples"], atol=1e-4)


def test_steps_are_counted_through() -> None:
    seen: list[tuple[int, int]] = []
    along(split(Point(2, "step"), sampler=named_sampler("lcm")), report=lambda done, total, draw: seen.append((done, total)))
    assert seen == [(i, STEPS) for i in range(1, STEPS + 1)]


def test_a_killed_run_goes_on_where_it_was() -> None:
    timeline = split(Point(2, "step"), sampler=named_sampler("euler_ancestral"), cfg=2.0)
    journal = MemoryJournal()

    def stop(done: int, total: int, draw: object) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        along(timeline, journal=journal, report=stop)
    assert len(journal.entries) == 3
    assert torch.equal(along(timeline, journal=journal), along(timeline))


def test_renewed_noise_keeps_the_noise_level() -> None:
    """A share of 0 is nothing; at 1 the picture is another, no noisier one."""
    timeline = [split(Point(2, "step"), renoise=share) for share in (0.0, 0.5, 1.0)]
    none, half, whole = (along(t, steps=8) for t in timeline)
    assert torch.equal(none, plain(demo_model(), steps=8))
    assert 0 < (half - none).std() < (whole - none).std()
    assert float(whole.std() / none.std()) == pytest.approx(1.0, abs=0.35)


def test_detail_0_is_nothing() -> None:
    assert torch.equal(along(split(Point(2, "step"), detail=0.0)), plain(demo_model()))
    assert not torch.equal(along(split(Point(2, "step"), detail=0.05)), plain(demo_model()))


def test_a_segment_s_own_prompt() -> None:
    swapped = Timeline((Segment(demo_model(), 3.0, positive=NEGATIVE, negative=POSITIVE),))
    sigmas = schedule(demo_model(), "normal", STEPS)
    guider = cfg_guider(demo_model(), NEGATIVE, POSITIVE, 3.0)
    assert torch.equal(along(swapped), sample(guider, RandomNoise(7), named_sampler("euler"), sigmas, empty())[0]["samples"])


def test_the_levels_distilled_models_were_trained_at() -> None:
    levels = at_timesteps([999, 749, 499, 249], SDXL)
    assert [round(float(s), 4) for s in levels] == [14.6146, 4.0817, 1.6129, 0.6932, 0.0]


def test_refining_the_first_step_keeps_both_ends() -> None:
    levels = at_timesteps([999, 749, 499, 249], SDXL)
    finer = refine(levels, 3, 1, SDXL)
    assert len(finer) == len(levels) + 2
    assert finer[0] == levels[0]
    assert torch.equal(finer[3:], levels[1:])
    assert all(a > b for a, b in pairwise(finer))
    assert torch.equal(refine(levels, 1, 1, SDXL), levels)
    assert torch.equal(refine(levels, 3, 0, SDXL), levels)
    with pytest.raises(TimelineError, match="at least one"):
        refine(levels, 3, 9, SDXL)


def test_what_cannot_be_sampled_says_so() -> None:
    with pytest.raises(TimelineError, match="no segment"):
        along(Timeline())
    flow = demo_model().with_sampling(parametrization.flow(3.0))
    with pytest.raises(TimelineError, match="flow"):
        along(base_then_distilled(demo_model(), flow, 3.0, Point(2.0)))
