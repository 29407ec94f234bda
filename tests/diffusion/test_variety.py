"""Each way to variety has a setting at which it is nothing, and keeps the statistics it must keep."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.diffusion import parametrization, variety
from engine.diffusion.areas import resolve
from engine.diffusion.guidance import cfg_guider
from engine.diffusion.noise import fresh
from engine.diffusion.rules import Cfg, Parts
from engine.diffusion.samplers.lcm import lcm
from engine.diffusion.samplers.ode import euler
from engine.diffusion.samplers.tcd import Tcd, tcd
from engine.diffusion.sampling import RandomNoise, named_sampler, sample, schedule
from engine.diffusion.variety import (
    VariationNoise,
    annealing,
    cads,
    detailed,
    embedding_noise,
    share_of_run,
    skimmed,
)
from tests.diffusion.demo import demo_model, empty, prompt
from tests.diffusion.gaussian import Gaussian

A, B = prompt(1), prompt(2)
POOLED = prompt(1, pooled_output=torch.randn(1, 64, generator=torch.Generator().manual_seed(4)))
LEVELS = parametrization.discrete("eps")
SIGMAS = torch.cat([LEVELS.sigma(torch.linspace(999, 99, 10)), torch.zeros(1)])


def run(positive: Any = A, cfg: float = 1.0, sampler: Any = None, noise: Any = None, steps: int = 4, batch: int = 1) -> Tensor:
    model = demo_model()
    guider = cfg_guider(model, positive, B, cfg)
    sigmas = schedule(model, "normal", steps)
    return sample(guider, noise or RandomNoise(5), sampler or named_sampler("euler"), sigmas, empty(batch))[0]["samples"]


def at(conditioning: list[list[Any]], sigma: float) -> list[Tensor]:
    """The embeddings that apply at a noise level."""
    x = torch.zeros(1, 4, 16, 16)
    return [e.inputs["context"] for e in resolve(demo_model(), {"positive": conditioning}, x, {})["positive"] if e.applies(sigma)]


@pytest.mark.parametrize(
    "none", [embedding_noise(A, 0.0), embedding_noise(A, 0.1, 0.0), embedding_noise(A, end=0.0), cads(A, 0.0)]
)
def test_at_strength_0_the_prompt_is_the_prompt(none: list[list[Any]]) -> None:
    assert len(none) == 1
    assert torch.equal(none[0][0], A[0][0])
    assert none[0][1] == A[0][1]
    assert torch.equal(run(none), run())


def test_seed_variance_moves_a_share_of_the_numbers_within_its_strength() -> None:
    noisy = embedding_noise(A, 0.2, 0.3, 1.0, seed=3)[0][0]
    moved = (noisy - A[0][0]).abs()
    assert float((moved > 0).float().mean()) == pytest.approx(0.3, abs=0.02)
    assert moved.max() <= 0.2 * A[0][0].std() + 1e-5
    assert torch.equal(noisy, embedding_noise(A, 0.2, 0.3, 1.0, seed=3)[0][0])
    assert not torch.equal(noisy, embedding_noise(A, 0.2, 0.3, 1.0, seed=4)[0][0])


def test_seed_variance_ends_where_it_is_told_to() -> None:
    noisy = embedding_noise(A, 0.5, 1.0, 0.3)
    early, late = at(noisy, LEVELS.percent_to_sigma(0.1)), at(noisy, LEVELS.percent_to_sigma(0.5))
    assert [len(early), len(late)] == [1, 1]
    assert not torch.equal(early[0], A[0][0])
    assert torch.equal(late[0], A[0][0])


def test_every_picture_of_a_batch_reads_its_own_prompt() -> None:
    noisy = embedding_noise(POOLED, 0.5, 1.0, 0.5, batch=3)
    assert noisy[0][0].shape[0] == noisy[0][1]["pooled_output"].shape[0] == 3
    assert not torch.equal(noisy[0][0][0], noisy[0][0][1])
    pictures = run(embedding_noise(A, 2.0, 1.0, 1.0, batch=2), noise=_Same(), batch=2)
    assert not torch.allclose(pictures[0], pictures[1], atol=1e-2)


class _Same:
    seed = 1

    def generate_noise(self, input_latent: Any) -> Tensor:
        return RandomNoise(1).generate_noise(empty()).expand(input_latent["samples"].shape)


def test_annealing_is_the_paper_s_line() -> None:
    """At the timesteps of a four-step model: nothing, half, all, all."""
    shares = [annealing(t / 999, 0.6, 0.9) for t in (999, 749, 499, 249)]
    assert shares == pytest.approx([0.0, 0.5, 1.0, 1.0], abs=0.01)


def test_cads_fades_from_noise_to_the_prompt() -> None:
    noisy = cads(POOLED, 0.25, 0.6, 0.9, seed=2)
    start, middle, end = (at(noisy, LEVELS.percent_to_sigma(p)) for p in (0.05, 0.25, 0.5))
    assert [len(part) for part in (start, middle, end)] == [1, 1, 1]
    assert float(start[0].std()) == pytest.approx(0.25, rel=0.05)
    assert float((start[0] * A[0][0]).mean()) == pytest.approx(0.0, abs=0.01)
    assert float((middle[0] * A[0][0]).mean() / (A[0][0] ** 2).mean()) == pytest.approx(math.sqrt(0.5), abs=0.05)
    assert torch.equal(end[0], A[0][0])
    assert not torch.equal(noisy[0][1]["pooled_output"], POOLED[0][1]["pooled_output"])


def test_at_every_level_of_a_run_one_prompt_applies() -> None:
    for conditioning in (cads(A, 0.25, 0.3, 0.95), embedding_noise(A, end=0.4), cads(A, 0.25, 0.0, 1.0)):
        for sigma in SIGMAS[:-1]:
            assert len(at(conditioning, float(sigma))) == 1


def test_rescaling_keeps_mean_and_spread() -> None:
    noisy = cads(A, 0.8, 0.6, 0.9, psi=1.0)[0][0]
    assert float(noisy.std()) == pytest.approx(float(A[0][0].std()), rel=1e-4)
    assert float(noisy.mean()) == pytest.approx(float(A[0][0].mean()), abs=1e-4)


def test_a_prompt_s_own_range_is_kept() -> None:
    late = [[A[0][0], {"start_percent": 0.5, "end_percent": 0.9}]]
    assert [options["start_percent"] for _, options in embedding_noise(late, end=0.3)] == [0.5]
    assert at(cads(late, t1=0.2, t2=0.4), LEVELS.percent_to_sigma(0.95)) == []


def test_variations_lie_on_the_sphere_between_two_seeds() -> None:
    a, b = RandomNoise(1).generate_noise(empty(2)), RandomNoise(2).generate_noise(empty(2))
    at_0, half, at_1 = (VariationNoise(RandomNoise(1), RandomNoise(2), s).generate_noise(empty(2)) for s in (0.0, 0.5, 1.0))
    assert torch.equal(at_0, a)
    assert torch.allclose(at_1, b, atol=1e-5)
    assert float(half.std()) == pytest.approx(1.0, abs=0.05)
    assert float(torch.cosine_similarity(half.flatten(), a.flatten(), 0)) == pytest.approx(math.sqrt(0.5), abs=0.03)
    assert VariationNoise(RandomNoise(1), RandomNoise(2), 0.5).seed == 1


def parts(w: float) -> Parts:
    generator = torch.Generator().manual_seed(6)
    x, c, u = (torch.randn(2, 4, 8, 8, generator=generator) for _ in range(3))
    return Parts(x, torch.tensor(2.0), {"positive": c, "negative": u}, w, {}, lambda *args: c)


def test_skimming_at_the_scale_itself_is_plain_guidance() -> None:
    plain = parts(6.0)
    assert torch.equal(Cfg(6.0)(skimmed(6.0)(plain)), Cfg(6.0)(plain))
    alone = Parts(plain.x, plain.sigma, {"positive": plain.positive}, 6.0, {}, plain.again)
    assert skimmed(3.0)(alone) is alone


def test_skimmed_guidance_is_that_of_the_lower_scale_where_it_runs_away_and_nowhere_larger() -> None:
    high, w, k = parts(10.0), 10.0, 3.0
    c, u = high.positive, high.negative
    only_c = variety._skim(high.x, c, u, w, k)
    touched = only_c != c
    assert 0.05 < touched.float().mean() < 0.9
    assert torch.allclose((u + w * (only_c - u))[touched], (u + k * (c - u))[touched], atol=1e-4)
    assert Cfg(w)(skimmed(k)(high)).abs().mean() < Cfg(w)(high).abs().mean()


def test_no_detail_is_the_sampler_itself() -> None:
    sampler = named_sampler("dpmpp_2m")
    assert detailed(sampler, 0.0) is sampler
    assert torch.equal(run(sampler=detailed(sampler, 0.1, 0.9, 0.91)), run(sampler=sampler))
    assert not torch.equal(run(sampler=detailed(sampler, 0.1)), run(sampler=sampler))


def test_the_hidden_noise_rises_and_falls_over_the_run() -> None:
    told: list[float] = []

    class Listening(Gaussian):
        def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
            told.append(float(sigma))
            return super().__call__(x, sigma)

    function = detailed(named_sampler("euler"), 0.1, 0.0, 1.0, 0.5, smooth=False).of(LEVELS)
    function(Listening(), torch.randn(1, 4, 4, 4), SIGMAS, noise=fresh(SIGMAS, 1))
    hidden = [1 - t / float(sigma) for t, sigma in zip(told, SIGMAS, strict=False)]
    expected = [0.2 * min(i, 9 - i) / 9 for i in range(10)]
    assert hidden == pytest.approx(expected, abs=1e-5)
    assert [share_of_run(SIGMAS, float(s)) for s in (SIGMAS[0], SIGMAS[-2], 99.0, 0.0)] == [0.0, 1.0, 0.0, 1.0]


def test_detail_on_detail_adds_up_and_on_tcd_too() -> None:
    once = detailed(Tcd(options={"eta": 0.0}), 0.1)
    assert not torch.equal(run(sampler=once), run(sampler=Tcd(options={"eta": 0.0})))
    assert not torch.equal(run(sampler=detailed(once, 0.1)), run(sampler=once))


@pytest.mark.parametrize("flow", [False, True])
def test_tcd_without_new_noise_is_euler_and_with_all_of_it_nearly_lcm(flow: bool) -> None:
    levels = parametrization.flow(3.0) if flow else LEVELS
    sigmas = torch.linspace(0.95, 0.0, 6) if flow else SIGMAS
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1)) * sigmas[0]
    model = Gaussian(flow)
    plain = tcd(model, x, sigmas, noise=fresh(x, 1), sampling=levels, eta=0.0)
    assert torch.allclose(plain, euler(model, x, sigmas, noise=fresh(x, 1)), atol=1e-5)
    anew = tcd(model, x, sigmas, noise=fresh(x, 1), sampling=levels, eta=1.0)
    assert torch.allclose(anew, lcm(model, x, sigmas, noise=fresh(x, 1)), atol=0.15)


@pytest.mark.parametrize("flow", [False, True])
@pytest.mark.parametrize("eta", [0.0, 0.3, 0.7, 1.0])
def test_tcd_keeps_the_noise_level_of_each_step(eta: float, flow: bool) -> None:
    """Where every picture is the same, what is left of x is noise, and its spread is each step's sigma."""
    levels = parametrization.flow(3.0) if flow else LEVELS
    sigmas = torch.linspace(1.0, 0.1, 8) if flow else SIGMAS
    spreads: list[float] = []
    x = torch.randn(4, 4, 32, 32, generator=torch.Generator().manual_seed(1)) * sigmas[0]
    options: dict[str, Any] = {"sampling": levels, "eta": eta, "on_step": lambda i, x, d: spreads.append(float(x.std()))}
    tcd(_Blank(flow), x, sigmas, noise=fresh(x, 3), **options)
    assert spreads == pytest.approx([float(sigma) for sigma in sigmas[:-1]], rel=0.03)


class _Blank(Gaussian):
    """Data that is 0 everywhere."""

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        return torch.zeros_like(x)
