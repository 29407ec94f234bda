"""Two models in one guidance, a scale set on the model, another temperature, exponential Heun: laws and plain cases of each."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.diffusion.conditioning import zero_out
from engine.diffusion.families.sdxl import SDXL
from engine.diffusion.guidance import Guider, cfg_guider
from engine.diffusion.journal import MemoryJournal
from engine.diffusion.lora import apply_lora
from engine.diffusion.model import Model, differential
from engine.diffusion.rules import Parts
from engine.diffusion.samplers.seeds import seeds_2
from engine.diffusion.sampling import RandomNoise, named_sampler, sample, schedule
from engine.diffusion.temperature import rescaled_score
from engine.diffusion.two_models import two_model_guider
from nodes.schedules import manual_sigmas
from tests.diffusion import originals
from tests.diffusion.demo import demo_model, empty, prompt
from tests.diffusion.gaussian import Gaussian, S, deterministic, levels
from tests.diffusion.test_hooks import lora

A, B = prompt(1), prompt(2)


@cache
def other() -> Model:
    changed = apply_lora(demo_model(), None, lora(), 1.0, 0.0)[0]
    assert changed is not None
    return changed


def run(guider: Guider, **more: Any) -> Tensor:
    sigmas = schedule(demo_model(), "normal", 3)
    return sample(guider, RandomNoise(5), named_sampler("euler"), sigmas, empty(), **more)[0]["samples"]


def test_twice_one_model_is_plain_guidance() -> None:
    plain = run(cfg_guider(demo_model(), A, B, 3.0))
    assert torch.equal(run(two_model_guider(demo_model(), None, A, B, 3.0)), plain)
    assert torch.allclose(run(two_model_guider(demo_model(), replace(demo_model()), A, B, 3.0)), plain, atol=1e-3)
    without = run(cfg_guider(demo_model(), A, zero_out(A), 3.0))
    assert torch.equal(run(two_model_guider(demo_model(), None, A, None, 3.0)), without)


def test_each_model_makes_its_own_prediction() -> None:
    """At scale 1 the first alone, at scale 0 the second alone: u + w (c - u)."""
    assert torch.allclose(run(two_model_guider(demo_model(), other(), A, B, 1.0)), run(cfg_guider(demo_model(), A, B, 1.0)))
    second = run(cfg_guider(other(), B, A, 1.0))
    assert torch.allclose(run(two_model_guider(demo_model(), other(), A, B, 0.0)), second, atol=1e-3)
    assert not torch.allclose(run(cfg_guider(demo_model(), B, A, 1.0)), second, atol=1e-2)


def test_a_run_of_two_models_resumes_in_the_same_bits() -> None:
    guider, journal, calls = two_model_guider(demo_model(), other(), A, B, 3.0), MemoryJournal(), []
    whole = run(guider, journal=journal)
    handles = [m.network().register_forward_pre_hook(lambda *_: calls.append(1)) for m in (demo_model(), other())]
    assert torch.equal(run(guider, journal=journal), whole)
    assert not calls
    for handle in handles:
        handle.remove()


def test_models_of_other_latents_are_refused() -> None:
    config = replace(originals.SD1_TINY, linear=True, vector=6 * 256 + 64)
    large = replace(demo_model(), family=SDXL(config))
    with pytest.raises(ValueError, match="different latents: Stable Diffusion 1 and Stable Diffusion XL"):
        two_model_guider(demo_model(), large, A, B, 3.0)


def test_a_scale_of_the_model_is_that_of_the_guider() -> None:
    model = demo_model()
    plain = run(cfg_guider(model, A, B, 3.0))
    assert torch.equal(run(cfg_guider(model.with_scale(3.0, 0.0, 1.0), A, B, 9.0)), plain)
    assert torch.equal(run(cfg_guider(model.with_scale(9.0, 0.0, 1.0).with_scale(3.0, 0.0, 1.0), A, B, 1.0)), plain)
    assert torch.equal(run(cfg_guider(model.with_scale(9.0, 0.5, 0.5), A, B, 3.0)), plain)
    halves = model.with_scale(3.0, 0.0, 0.4).with_scale(3.0, 0.4, 1.0)
    assert torch.equal(run(cfg_guider(halves, A, B, 7.0)), plain)


def test_at_scale_1_the_negative_is_not_asked() -> None:
    asked: list[int] = []
    model = demo_model().with_scale(1.0, 0.0, 1.0)
    handle = model.network().register_forward_pre_hook(lambda module, args: asked.append(len(args[0])))
    run(cfg_guider(model, A, B, 5.0))
    handle.remove()
    assert asked == [1, 1, 1]


def test_differential_diffusion_at_strength_0_is_the_mask_itself() -> None:
    sampling, levels, mask = demo_model().sampling, schedule(demo_model(), "normal", 4), torch.rand(1, 1, 8, 8)
    for sigma in levels[:-1]:
        hard = differential(sampling, sigma, mask, levels)
        assert torch.equal(differential(sampling, sigma, mask, levels, 0.0), mask)
        assert torch.allclose(differential(sampling, sigma, mask, levels, 0.25), 0.75 * mask + 0.25 * hard)


def test_levels_written_down_are_read_whatever_stands_between() -> None:
    assert manual_sigmas("14.6, 6.5; 2 | .5 1e-2 0.").tolist() == pytest.approx([14.6, 6.5, 2, 0.5, 0.01, 0])
    with pytest.raises(ValueError, match="no noise level in 'none'"):
        manual_sigmas("none")


@pytest.mark.parametrize("flow", [False, True])
@pytest.mark.parametrize("k", [0.5, 1.0, 3.0])
def test_a_rescaled_score_is_that_of_data_with_another_variance(k: float, flow: bool) -> None:
    """For Gaussian data of the very spread: S^2 becomes S^2 / k."""
    x = torch.randn(1, 4, 4, 4, dtype=torch.float64)
    rescale = rescaled_score(k, S, flow)
    for sigma in torch.tensor([0.9, 0.5, 0.1], dtype=torch.float64):
        alpha = 1 - sigma if flow else 1.0
        parts = Parts(x, sigma, {}, 1.0, {}, lambda *_: x)
        expected = x * (alpha * S**2 / k) / ((alpha * S) ** 2 / k + sigma**2)
        assert torch.allclose(rescale(parts, Gaussian(flow)(x, sigma)), expected)


@pytest.mark.parametrize("flow", [False, True])
@pytest.mark.parametrize("r", [0.5, 1.0])
def test_exponential_heun_is_of_second_order(r: float, flow: bool) -> None:
    x = torch.ones(1, dtype=torch.float64)

    def error(n: int) -> float:
        model, sigmas = Gaussian(flow), levels(flow, n)
        end = deterministic("seeds_2", solver_type="phi_2", r=r)(model, x, sigmas)
        return float((end - model.path(x, sigmas[0], sigmas[-1])).abs())

    assert math.log2(error(40) / error(80)) > 1.8


def test_stochastic_exponential_heun_draws_once_a_step() -> None:
    draws: list[tuple[float, float]] = []

    def noise(sigma: Tensor, sigma_next: Tensor) -> Tensor:
        draws.append((float(sigma), float(sigma_next)))
        return torch.zeros(1, dtype=torch.float64)

    sigmas = levels(False, 4)
    seeds_2(Gaussian(), torch.ones(1, dtype=torch.float64), sigmas, noise=noise, solver_type="phi_2", r=1.0)
    assert [first for first, _ in draws] == pytest.approx(sigmas[:-1].tolist())
