"""Seams: with every sampler there is, equals on both sides are the unsplit run, and others are two runs one after the other."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.diffusion import parametrization
from engine.diffusion.guidance import cfg_guider
from engine.diffusion.model import Model
from engine.diffusion.noise import Draws
from engine.diffusion.parametrization import Parametrization
from engine.diffusion.samplers import SAMPLERS, Sampler
from engine.diffusion.samplers.lcm_upscale import LcmUpscale
from engine.diffusion.samplers.tcd import Tcd
from engine.diffusion.sampling import NoNoise, RandomNoise, sample, schedule
from engine.diffusion.schedules import sigmas_for
from engine.diffusion.timeline import Point, Segment, Timeline, refine, sample_timeline
from engine.diffusion.timeline_presets import PRESETS, Plan
from engine.diffusion.timeline_run import TimelineSampler, Turn
from tests.diffusion.demo import demo_model, empty, prompt
from tests.diffusion.gaussian import Gaussian
from tests.diffusion.test_timeline import adapter

POSITIVE, NEGATIVE = prompt(1), prompt(2)
SIGMAS = schedule(demo_model(), "normal", 4)
EVERY: dict[str, Sampler] = {
    **{name: sampler for name, sampler in SAMPLERS.items() if not name.endswith("_gpu")},  # these are the same ones
    "tcd": Tcd(),
    "lcm_upscale": LcmUpscale.made(2.0, None, "bislerp"),
}
KINDS = (
    "euler", "heun", "dpm_2_ancestral", "lms", "dpmpp_2m_cfg_pp", "dpmpp_3m_sde", "lcm", "er_sde", "sa_solver", "uni_pc", "tcd",
    "lcm_upscale",
)  # fmt: skip
ALL = [name if name in KINDS else pytest.param(name, marks=pytest.mark.slow) for name in EVERY]
"""One of each kind in every run of the tests, the rest in slow ones."""
OTHER = demo_model().with_patches(adapter(), 1.0)


def along(timeline: Timeline, sampler: Sampler, sigmas: Tensor = SIGMAS) -> Tensor:
    return sample_timeline(timeline, POSITIVE, NEGATIVE, RandomNoise(7), sampler, sigmas, empty(size=8))[0]["samples"]


def plain(sampler: Sampler, cfg: float = 1.0, sigmas: Tensor = SIGMAS) -> Tensor:
    guider = cfg_guider(demo_model(), POSITIVE, NEGATIVE, cfg)
    return sample(guider, RandomNoise(7), sampler, sigmas, empty(size=8))[0]["samples"]


@pytest.mark.parametrize("name", ALL)
def test_equals_on_both_sides_of_a_seam_are_the_plain_sampler_bit_for_bit(name: str) -> None:
    """Also when it splits a step, and when it is no seam at all."""
    wanted = plain(EVERY[name])
    for starts in ((), (Point(2, "step"), Point(float(SIGMAS[3]) * 1.1))):
        segments = [Segment(demo_model(), 1.0), *(Segment(demo_model(), 1.0, start) for start in starts)]
        assert torch.equal(along(Timeline(tuple(segments)), EVERY[name]), wanted)


@dataclass(frozen=True)
class Shared(Sampler):
    """A sampler whose noise is that of the whole run: the first part of it leaves it in ``draws`` for the second."""

    inner: Sampler = SAMPLERS["euler"]
    draws: list[Draws] = field(default_factory=list)

    def walk(self, sampling: Any, draws: Draws) -> Any:
        if not self.draws:
            self.draws.append(Draws(draws.x, SIGMAS, draws.seed))
        return self.inner.walk(sampling, self.draws[0])


@pytest.mark.parametrize("name", [one for one in ALL if one != "lcm_upscale"])
def test_a_seam_is_two_advanced_samplers_with_leftover_noise(name: str) -> None:
    """The second network has no part in the steps before it, nor the first one's history in those after it; noise goes on."""
    sampler = Shared(EVERY[name].function, inner=EVERY[name])
    first, second = (cfg_guider(model, POSITIVE, NEGATIVE, 1.0) for model in (demo_model(), OTHER))
    half = sample(first, RandomNoise(7), sampler, SIGMAS[:3], empty(size=8))[0]
    both = sample(second, NoNoise(7), sampler, SIGMAS[2:], half)[0]["samples"]
    ours = along(Timeline((Segment(demo_model(), 1.0), Segment(OTHER, 1.0, Point(2, "step")))), EVERY[name])
    assert torch.allclose(ours, both, atol=2e-4 * float(both.abs().max()))


class Changing(Gaussian):
    """Data of one spread above the seam and of another below it, as two models of different things are."""

    def __init__(self, turn: Turn) -> None:
        super().__init__()
        self.turn = turn

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        spread = (0.7, 2.0)[self.turn.at(float(sigma))]
        return x * spread**2 / (spread**2 + sigma**2)


@pytest.mark.parametrize(
    ("name", "order"),
    [("euler", 1), ("heun", 2), ("dpm_2", 2), ("dpmpp_2m", 2), ("res_multistep", 2), ("lms", 2), ("ipndm", 2), ("uni_pc", 2)],
)
def test_a_seam_on_a_step_costs_no_order_of_convergence(name: str, order: int) -> None:
    """Against the closed form. A history of the model before the seam would make multistep samplers first order."""
    seam, ends = 1.0, (5.0, 0.2)
    errors = []
    for n in (24, 96):
        u = torch.linspace(0, 1, n + 1, dtype=torch.float64)
        halves = [torch.exp(math.log(a) + math.log(b / a) * u) for a, b in ((ends[0], seam), (seam, ends[1]))]
        sigmas = torch.cat([halves[0], halves[1][1:]])
        sigmas[n] = seam
        stages = Timeline((Segment(demo_model(), 1.0), Segment(OTHER, 1.0, Point(seam)))).stages(sigmas)
        turn, x = Turn(stages), torch.ones(1, 1, dtype=torch.float64)
        walker = TimelineSampler.made(turn, SAMPLERS[name])
        found = float(walker.walk(demo_model().sampling, Draws(x, sigmas, 0))(Changing(turn), x, sigmas))
        exact = math.sqrt((0.49 + seam**2) / (0.49 + ends[0] ** 2) * (4 + ends[1] ** 2) / (4 + seam**2))
        errors.append(abs(found - exact))
    assert math.log(errors[0] / errors[1], 4) > order - 0.3


def test_where_nothing_jumps_a_multistep_sampler_remembers() -> None:
    """A scale that goes on moving where it was, cut in two by a preset, is one walk; one that jumps there is two."""
    sampler, whole = SAMPLERS["dpmpp_2m"], Timeline((Segment(demo_model(), 4.0, last_cfg=1.0),))
    given: dict[str, Any] = {"base": demo_model(), "sigmas": SIGMAS, "timeline": whole, "amount": 0.0, "start": 0.2, "end": 0.6}
    cut, _ = PRESETS["detail"](Plan(**given))
    runs = [TimelineSampler.made(Turn(t.stages(SIGMAS)), sampler).runs(SIGMAS) for t in (whole, cut)]
    assert runs == [[(0, 4)], [(0, 4)]]
    assert torch.allclose(along(cut, sampler), along(whole, sampler), atol=0.02)
    jump = Timeline((Segment(demo_model(), 4.0), Segment(demo_model(), 1.0, Point(2, "step"))))
    assert TimelineSampler.made(Turn(jump.stages(SIGMAS)), sampler).runs(SIGMAS) == [(0, 2), (2, 4)]


def test_a_step_belongs_to_the_segment_it_begins_in() -> None:
    """Heun evaluates both ends of the step before the seam on the first model, wherever in the step the seam lies."""
    for seam in (float(SIGMAS[2]), float(SIGMAS[2]) * 1.2, float(SIGMAS[1]) * 0.9):
        ours = along(Timeline((Segment(demo_model(), 1.0), Segment(OTHER, 1.0, Point(seam)))), SAMPLERS["heun"])
        exact = along(Timeline((Segment(demo_model(), 1.0), Segment(OTHER, 1.0, Point(2, "step")))), SAMPLERS["heun"])
        assert torch.equal(ours, exact)


@pytest.mark.parametrize("own", [2, 3, 5])
def test_finer_steps_of_the_base_model_end_exactly_at_the_seam(own: int) -> None:
    """Base first with m steps of its own: the same levels from the seam on, and two runs that share it."""
    plan = Plan(demo_model(), SIGMAS, OTHER, base_cfg=1.0, seam=1, base_steps=own, base_sampler=SAMPLERS["heun"])
    timeline, levels = PRESETS["base first"](plan)
    assert torch.equal(levels[own:], SIGMAS[1:])
    assert torch.equal(levels, refine(SIGMAS, own, 1, demo_model().sampling))
    base = cfg_guider(demo_model(), POSITIVE, NEGATIVE, 1.0)
    first = sample(base, RandomNoise(7), SAMPLERS["heun"], levels[: own + 1], empty(size=8))[0]
    second = sample(cfg_guider(OTHER, POSITIVE, NEGATIVE, 1.0), NoNoise(7), SAMPLERS["euler"], SIGMAS[1:], first)[0]["samples"]
    assert torch.allclose(along(timeline, SAMPLERS["euler"], levels), second, atol=1e-4 * float(second.abs().max()))


def test_a_sampler_that_enlarges_may_come_first_or_last() -> None:
    """The noise of what follows is as large as the latent."""
    grows, stays = EVERY["lcm_upscale"], SAMPLERS["euler_ancestral"]
    for before, after in ((grows, stays), (stays, grows)):
        first, second = Segment(demo_model(), 1.0, sampler=before), Segment(demo_model(), 1.0, Point(3, "step"), sampler=after)
        assert along(Timeline((first, second)), stays).shape == (1, 4, 16, 16)


@pytest.mark.parametrize(
    "sampling",
    [parametrization.discrete("eps"), parametrization.discrete("v", zsnr=True), parametrization.flow(3.0), parametrization.edm()],
    ids=["eps", "zero terminal v", "flow", "edm"],
)  # fmt: skip
def test_a_moment_in_any_unit_is_one_level_on_every_kind_of_model(sampling: Parametrization) -> None:
    """Step k, its sigma in four digits, and the share of the schedule are the same stages; the last two on any schedule."""
    model, sigmas = demo_model().with_sampling(sampling), sigmas_for(sampling, "normal", 6)
    for k in (1, 3, 5):
        low, high = 0.0, 1.0
        for _ in range(60):
            share = (low + high) / 2
            low, high = (share, high) if sampling.percent_to_sigma(share) > float(sigmas[k]) else (low, share)
        moments = Point(k, "step"), Point(float(f"{float(sigmas[k]):.4g}")), Point(low, "percent")
        for levels in (sigmas, sigmas_for(sampling, "karras", 17)):
            first, *others = ([s.first for s in segmented(model, at).stages(levels)] for at in moments[levels is not sigmas :])
            assert all(other == pytest.approx(first, rel=2e-3) for other in others)
        owners = [[Turn(segmented(model, at).stages(sigmas)).owner(float(sigma)) for sigma in sigmas[:-1]] for at in moments]
        assert owners == [[0] * k + [1] * (6 - k)] * 3


def segmented(model: Model, at: Point) -> Timeline:
    return Timeline((Segment(model, 4.0), Segment(model, 1.0, at)))
