"""Every sampler of the table against the closed form of the Gaussian, and the promises all of them make."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from engine.diffusion import noise as noises
from engine.diffusion.parametrization import discrete, flow
from engine.diffusion.samplers import SAMPLERS
from engine.diffusion.schedules import SCHEDULERS, sigmas_for
from engine.types import SamplerName, SchedulerName
from tests.diffusion.gaussian import Gaussian, deterministic, even, graded, levels, options, silent

NAMES = list(SAMPLERS)
Spacing = Callable[[Tensor], Tensor]
DISTILLED = {"lcm"}
"""Not solvers of the ODE: they take the denoiser for a consistency function."""
PLANNED = {"dpm_fast", "dpm_adaptive"}
"""These lay out levels of their own between the ends."""

ORDER = {
    "euler": 1, "euler_cfg_pp": 1, "euler_ancestral": 1, "euler_ancestral_cfg_pp": 1, "ddpm": 1, "ddim": 1, "heunpp2": 1,
    "gradient_estimation": 1, "gradient_estimation_cfg_pp": 1, "heun": 2, "dpm_2": 2, "dpm_2_ancestral": 2,
    "dpmpp_2s_ancestral": 2, "dpmpp_2s_ancestral_cfg_pp": 2, "dpmpp_sde": 2, "dpmpp_sde_gpu": 2, "dpmpp_2m": 2,
    "dpmpp_2m_cfg_pp": 2, "dpmpp_2m_sde": 2, "dpmpp_2m_sde_gpu": 2, "dpmpp_2m_sde_heun": 2, "dpmpp_2m_sde_heun_gpu": 2,
    "res_multistep": 2, "res_multistep_cfg_pp": 2, "res_multistep_ancestral": 2, "res_multistep_ancestral_cfg_pp": 2,
    "seeds_2": 2, "seeds_3": 3, "sa_solver": 4, "sa_solver_pece": 4, "lms": 4, "deis": 3, "uni_pc": 3, "uni_pc_bh2": 3,
    # Order 2 as published: 3M takes its curvature at half weight, ipndm at equal steps only, ipndm_v with one coefficient
    # for equal steps, er_sde with a first-order quadrature that shows at many steps.
    "dpmpp_3m_sde": 2, "dpmpp_3m_sde_gpu": 2, "ipndm": 2, "ipndm_v": 2, "er_sde": 2,
}
STARTED = {
    "sa_solver", "sa_solver_pece", "lms", "deis", "uni_pc", "uni_pc_bh2", "dpmpp_3m_sde", "dpmpp_3m_sde_gpu", "ipndm_v", "er_sde",
}
"""Multistep methods whose Euler steps at the start or the end would hold them to order 2 on an even schedule."""


def error(name: str, is_flow: bool, n: int, spacing: Spacing = even, **more: Any) -> float:
    model = Gaussian(is_flow)
    sigmas = levels(is_flow, n, spacing)
    x = torch.ones(1, 1, dtype=torch.float64)
    found = deterministic(name, **more)(model, x, sigmas)
    return abs(float(found - model.path(x, sigmas[0], sigmas[-1])))


def slope(name: str, is_flow: bool, few: int, many: int, spacing: Spacing) -> float:
    errors = [error(name, is_flow, n, spacing) for n in (few, many)]
    return math.log(errors[0] / errors[1]) / math.log(many / few)


@pytest.mark.parametrize("is_flow", [False, True], ids=["exploding", "flow"])
@pytest.mark.parametrize("name", [name for name in NAMES if name not in DISTILLED | PLANNED])
def test_the_error_falls_with_the_order(name: str, is_flow: bool) -> None:
    measured = slope(name, is_flow, 48, 192, graded if name in STARTED else even)
    assert measured > ORDER[name] - 0.3
    if ORDER[name] == 1:
        assert measured < 1.3


@pytest.mark.parametrize("is_flow", [False, True], ids=["exploding", "flow"])
def test_dpm_fast_converges_and_spends_the_calls_it_was_given(is_flow: bool) -> None:
    assert math.log2(error("dpm_fast", is_flow, 17) / error("dpm_fast", is_flow, 68)) / 2 > 1.8
    for n in range(1, 12):
        model = Gaussian(is_flow)
        deterministic("dpm_fast")(model, torch.ones(1, 1), levels(is_flow, n).float())
        assert model.calls == n


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("is_flow", [False, True], ids=["exploding", "flow"])
def test_dpm_adaptive_meets_the_tolerance_it_was_given(is_flow: bool, order: int) -> None:
    errors = [error("dpm_adaptive", is_flow, 10, order=order, rtol=tol, atol=tol / 10) for tol in (1e-1, 1e-2, 1e-3)]
    assert errors[0] > 3 * errors[1] > 9 * errors[2]
    assert errors[2] < 1e-3


@pytest.mark.parametrize("broken", [{"rtol": 0.0, "atol": 0.0}, {"rtol": math.nan}])
def test_dpm_adaptive_gives_up_where_no_step_is_small_enough(broken: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="raise rtol or atol"):
        error("dpm_adaptive", False, 10, **broken)


@pytest.mark.parametrize("name", NAMES)
def test_without_steps_x_is_returned(name: str) -> None:
    x = torch.randn(2, 3)
    for sigmas in (torch.zeros(0), torch.ones(1)):
        assert SAMPLERS[name].function(Gaussian(), x, sigmas, noise=silent, **SAMPLERS[name].options) is x


@pytest.mark.parametrize("name", [name for name in NAMES if name not in PLANNED and not name.startswith("uni_pc")])
@pytest.mark.parametrize("is_flow", [False, True], ids=["exploding", "flow"])
def test_a_step_to_zero_gives_what_the_model_saw_last(name: str, is_flow: bool) -> None:
    seen: list[Tensor] = []

    class Watched(Gaussian):
        def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
            seen.append(super().__call__(x, sigma))
            return seen[-1]

    sigmas = torch.cat([levels(is_flow, 6).float(), torch.zeros(1)])
    x = torch.randn(1, 8)
    function = SAMPLERS[name].of(flow() if is_flow else discrete())
    found = function(Watched(is_flow), x, sigmas, noise=noises.fresh(x, 0))
    assert torch.allclose(found, seen[-1], atol=1e-6)


@pytest.mark.parametrize("scheduler", ["simple", "karras"])
@pytest.mark.parametrize("parametrization", [discrete(), discrete("v", zsnr=True), flow(3.0)], ids=["eps", "v-zsnr", "flow"])
@pytest.mark.parametrize("name", NAMES)
def test_a_real_schedule_ends_in_the_data(name: str, parametrization, scheduler: str) -> None:
    """From pure noise, at the top of a real model's levels: finite, and spread as the data is."""
    sampler = SAMPLERS[name]
    sigmas = sigmas_for(parametrization, scheduler, 24, drop_penultimate=sampler.drops_penultimate)
    x0 = torch.zeros(1, 4000)
    x = parametrization.noise_scaling(sigmas[0], noises.starting_noise(x0.shape, 1), x0, max_denoise=True)
    source = noises.fresh(x, 1)
    found = sampler.of(parametrization)(Gaussian(parametrization.flow), x, sigmas, noise=source)
    assert (found.shape, found.dtype) == (x.shape, x.dtype)
    assert 0.4 < float(found.std()) < 1.2


@pytest.mark.parametrize("name", NAMES)
def test_it_reports_the_steps_in_order_and_may_be_cancelled(name: str) -> None:
    x = torch.randn(1, 4)
    steps: list[int] = []

    def on_step(i: int, x: Tensor, denoised: Tensor) -> None:
        assert x.shape == denoised.shape
        steps.append(i)
        if len(steps) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SAMPLERS[name].of(discrete())(Gaussian(), x, levels(False, 12).float(), noise=noises.fresh(x, 0), on_step=on_step)
    assert steps == [0, 1, 2]


@pytest.mark.parametrize("name", NAMES)
def test_replayed_network_results_give_the_same_bits(name: str) -> None:
    """A killed run is resumed by answering its network calls from a record, the noise drawn again from the seed."""
    record: list[Tensor] = []
    sigmas = torch.cat([levels(False, 8).float(), torch.zeros(1)])

    class Recorded(Gaussian):
        def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
            record.append(super().__call__(x, sigma))
            return record[-1]

    class Replayed(Gaussian):
        def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
            self.calls += 1
            return record[self.calls - 1] if self.calls <= 5 else Gaussian(self.flow)(x, sigma)

    def run(model: Gaussian) -> Tensor:
        x = noises.starting_noise((1, 16), 3) * sigmas[0]
        source = noises.brownian(x, 0.1, 5.0, 3) if SAMPLERS[name].noise == "brownian" else noises.fresh(x, 3)
        return SAMPLERS[name].of(discrete())(model, x, sigmas, noise=source)

    assert torch.equal(run(Recorded()), run(Replayed()))


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("_cfg_pp")])
@pytest.mark.parametrize("is_flow", [False, True], ids=["exploding", "flow"])
def test_cfg_pp_without_guidance_is_the_plain_sampler(name: str, is_flow: bool) -> None:
    plain = name.removesuffix("_cfg_pp")
    plain = "ddpm" if plain == "euler_ancestral" and is_flow else plain
    sigmas = torch.cat([levels(is_flow, 9), torch.zeros(1)])
    x = torch.randn(1, 8, dtype=torch.float64)
    found, wanted = (
        SAMPLERS[which].function(Gaussian(is_flow), x, sigmas, noise=noises.fresh(x, 5), **SAMPLERS[which].options)
        for which in (name, plain)
    )
    assert torch.allclose(found, wanted, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("_cfg_pp")])
def test_cfg_pp_renoises_along_the_unconditional(name: str) -> None:
    """One Euler step of CFG++ is D + (x - U) sigma_next / sigma."""

    class Guided(Gaussian):
        def split(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
            return x * 0 + 1.0, x * 0 + 0.25

    x, sigmas = torch.full((1, 1), 2.0), torch.tensor([4.0, 1.0])
    if not name.startswith("dpmpp_2s"):  # whose step is not Euler's
        assert torch.allclose(deterministic(name)(Guided(), x, sigmas), torch.tensor(1.0 + (2.0 - 0.25) / 4))


def test_ancestral_euler_is_ddpm_on_a_variance_exploding_model() -> None:
    x, sigmas = torch.randn(1, 8, dtype=torch.float64), levels(False, 9)
    functions = SAMPLERS["ddpm"].function, SAMPLERS["euler_ancestral"].function
    found, wanted = (function(Gaussian(), x, sigmas, noise=noises.fresh(x, 5)) for function in functions)
    assert torch.allclose(found, wanted, atol=1e-12)


@pytest.mark.parametrize("name", ["euler", "heun", "dpm_2", "heunpp2"])
def test_churn_draws_noise_only_between_its_bounds(name: str) -> None:
    drawn: list[float] = []
    x, sigmas = torch.randn(1, 8), levels(False, 10).float()

    def noise(sigma: Tensor, sigma_hat: Tensor) -> Tensor:
        assert sigma_hat > sigma
        drawn.append(float(sigma))
        return torch.zeros_like(x)

    SAMPLERS[name].function(Gaussian(), x, sigmas, noise=noise, s_churn=2.0, s_tmin=0.5, s_tmax=2.0)
    assert drawn == [float(sigma) for sigma in sigmas[:-1] if 0.5 <= sigma <= 2.0]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in DISTILLED])
def test_no_noise_is_drawn_when_none_is_wanted(name: str) -> None:
    deterministic(name)(Gaussian(), torch.randn(1, 4), levels(False, 8).float())
    wanted = options(name, s_noise=0.0)
    if "s_noise" in wanted:
        SAMPLERS[name].function(Gaussian(), torch.randn(1, 4), levels(False, 8).float(), noise=silent, **wanted)


def test_a_consistency_function_keeps_the_data_under_lcm() -> None:
    class Consistent(Gaussian):
        def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
            return self.path(x, sigma, torch.zeros(()))

    for is_flow in (False, True):
        x = noises.starting_noise((1, 40000), 1) * Gaussian(is_flow).variance(levels(is_flow, 4)[0]).sqrt().float()
        sigmas = torch.cat([levels(is_flow, 4).float(), torch.zeros(1)])
        found = SAMPLERS["lcm"].function(Consistent(is_flow), x, sigmas, noise=noises.fresh(x, 2))
        assert abs(float(found.std()) - 0.7) < 0.01


@pytest.mark.parametrize("name", [name for name in NAMES if name not in DISTILLED])
def test_walking_the_schedule_up_again_undoes_it(name: str) -> None:
    """A picture is turned into its noise with the sigmas flipped."""
    sigmas, x = levels(False, 120), torch.ones(1, 1, dtype=torch.float64)
    down = deterministic(name)(Gaussian(), x, sigmas)
    assert float(deterministic(name)(Gaussian(), down, sigmas.flip(0))) == pytest.approx(1.0, abs=0.06)


def test_the_levels_a_model_implies_are_filled_in() -> None:
    sampler = SAMPLERS["sa_solver"].of(flow(3.0), eta=0.5)
    assert sampler.keywords["first_sigma"] == pytest.approx(flow(3.0).percent_to_sigma(1e-4))
    assert sampler.keywords["tau_start"] > sampler.keywords["tau_end"] > 0
    assert sampler.keywords["eta"] == 0.5


def test_the_tables_are_in_the_order_nodes_offer_them() -> None:
    assert tuple(SAMPLERS) == get_args(SamplerName)
    assert tuple(SCHEDULERS) == get_args(SchedulerName)


def test_four_samplers_drop_the_penultimate_sigma() -> None:
    dropping = {name for name, sampler in SAMPLERS.items() if sampler.drops_penultimate}
    assert dropping == {"dpm_2", "dpm_2_ancestral", "uni_pc", "uni_pc_bh2"}


def test_importing_the_samplers_loads_neither_scipy_nor_torchsde() -> None:
    code = "import sys, engine.diffusion.samplers, engine.diffusion.schedules, engine.diffusion.noise; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"scipy", "torchsde"} & set(loaded)
