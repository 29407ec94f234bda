"""Schedules against closed forms, diffusers and scipy; and the laws all of them keep."""

from __future__ import annotations

import math

import pytest
import scipy.stats
import torch
from diffusers import EulerDiscreteScheduler, LCMScheduler
from diffusers.schedulers import AysSchedules
from torch import Tensor

from engine.diffusion import schedules
from engine.diffusion.parametrization import Parametrization, cascade, discrete, edm, flow, flux
from engine.diffusion.schedule_tables import ALIGN_YOUR_STEPS, OPTIMAL_STEPS, align_your_steps, log_linear, optimal_steps
from engine.diffusion.schedules import SCHEDULERS, sigmas_for

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
MODELS = {
    "eps": discrete(), "zsnr": discrete("v", zsnr=True), "edm": edm(), "flow": flow(3.0), "flux": flux(), "cascade": cascade(2.0),
}
EXACT = [name for name in SCHEDULERS if name != "ddim_uniform"]
"""Those that give the number of steps asked for; of ``beta`` with few enough steps that none fall together."""


def assert_schedule(sigmas: Tensor) -> None:
    assert sigmas.dtype == torch.float32
    assert sigmas[-1] == 0
    assert sigmas.isfinite().all()
    assert (sigmas[1:] < sigmas[:-1]).all()


@pytest.mark.parametrize("steps", [1, 2, 7, 20])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_schedule_falls_from_the_top_to_zero(name: str, model: str, steps: int) -> None:
    parametrization = MODELS[model]
    sigmas = sigmas_for(parametrization, name, steps)
    assert_schedule(sigmas)
    if name in EXACT:
        assert len(sigmas) == steps + 1 or (name == "beta" and model == "cascade")  # whose highest levels are one
        if model != "cascade" or name not in {"normal", "sgm_uniform"}:  # Cascade tells the network unshifted time
            assert float(sigmas[0]) == pytest.approx(parametrization.sigma_max, rel=1e-4)


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("denoise", [0.3, 0.5, 0.75])
def test_less_denoise_walks_the_end_of_a_longer_schedule(name: str, denoise: float) -> None:
    part = sigmas_for(discrete(), name, 9, denoise)
    whole = sigmas_for(discrete(), name, int(9 / denoise))
    assert torch.equal(part, whole[-10:])
    assert len(sigmas_for(discrete(), name, 9, 0.0)) == 0
    assert torch.equal(sigmas_for(discrete(), name, 9, 1.0), sigmas_for(discrete(), name, 9, 0.99995))


@pytest.mark.parametrize("name", EXACT)
def test_dropping_the_penultimate_keeps_the_number_of_steps(name: str) -> None:
    dropped, longer = sigmas_for(discrete(), name, 8, drop_penultimate=True), sigmas_for(discrete(), name, 9)
    assert torch.equal(dropped, torch.cat([longer[:-2], longer[-1:]]))


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'simpel' is not known; use one of simple, sgm_uniform, karras"):
        sigmas_for(discrete(), "simpel", 5)


@pytest.mark.parametrize(
    ("flag", "ours"), [("use_karras_sigmas", schedules.karras), ("use_exponential_sigmas", schedules.exponential)]
)
def test_karras_and_exponential_are_diffusers_own(flag: str, ours: schedules.Callable[..., Tensor]) -> None:
    scheduler = EulerDiscreteScheduler(**BETAS, **{flag: True})
    scheduler.set_timesteps(12)
    sigma_min, sigma_max = float(scheduler.sigmas[-2]), float(scheduler.sigmas[0])
    assert torch.allclose(ours(12, sigma_min, sigma_max), scheduler.sigmas, rtol=1e-4)


def test_normal_is_linear_in_timesteps_as_in_diffusers() -> None:
    scheduler = EulerDiscreteScheduler(**BETAS, timestep_spacing="linspace")
    scheduler.set_timesteps(10)  # whole timesteps, where both tables are exact
    assert torch.allclose(schedules.normal(discrete(), 10), scheduler.sigmas, rtol=1e-4)


def test_sgm_uniform_is_normal_of_one_more_without_the_lowest() -> None:
    longer = schedules.normal(discrete(), 11)
    assert torch.allclose(schedules.sgm_uniform(discrete(), 10), torch.cat([longer[:-2], longer[-1:]]))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("steps", [1, 2, 4, 5, 8])
def test_simple_gives_distilled_networks_the_timesteps_they_were_trained_for(steps: int) -> None:
    """LCM's on its fifty levels; on a thousand, "trailing" ones: Turbo, Lightning, DMD2."""
    fifty, thousand = discrete("lcm"), discrete()
    lcm, trailing = LCMScheduler(**BETAS), EulerDiscreteScheduler(**BETAS, timestep_spacing="trailing")
    lcm.set_timesteps(steps)
    trailing.set_timesteps(steps)
    for levels, scheduler in ((fifty, lcm), (thousand, trailing)):
        assert levels.timestep(schedules.simple(levels, steps)[:-1]).tolist() == scheduler.timesteps.tolist()


def test_simple_and_ddim_walk_the_table_itself() -> None:
    table = discrete().sigmas
    assert torch.equal(schedules.simple(discrete(), 4)[:-1], table[[999, 749, 499, 249]])
    assert torch.equal(schedules.ddim_uniform(discrete(), 4)[:-1], table[[751, 501, 251, 1]])
    assert len(schedules.ddim_uniform(discrete(), 7)) == 9  # 999 // 142 + 1 levels and 0


def test_the_beta_schedule_has_scipys_quantiles() -> None:
    for steps in (5, 28):
        quantiles = scipy.stats.beta.ppf([1 - i / steps for i in range(steps)], 0.6, 0.6)
        wanted = [discrete().sigmas[round(float(q) * 999)] for q in quantiles]
        assert torch.equal(schedules.beta(discrete(), steps)[:-1], torch.stack(wanted))


def test_the_beta_schedule_visits_no_level_twice() -> None:
    sigmas = schedules.beta(discrete(), 400)
    assert len(sigmas) < 401
    assert_schedule(sigmas)


def test_linear_quadratic_starts_with_equal_steps_and_then_grows_smoothly() -> None:
    sigmas = schedules.linear_quadratic(flow(), 10)
    assert torch.allclose(sigmas[:6], torch.linspace(1, 0.975, 6), atol=1e-6)
    steps = -sigmas.diff()
    assert torch.allclose(steps[5:].diff(), (steps[5:].diff()).mean().expand(4), atol=1e-5)
    assert torch.equal(schedules.linear_quadratic(flow(), 1), torch.tensor([1.0, 0.0]))


@pytest.mark.parametrize("steps", [2, 9])
def test_curves_between_two_sigmas_are_linear_in_their_own_variable(steps: int) -> None:
    low, high = 0.03, 14.0
    for curve, variable in [
        (schedules.karras, lambda s: s ** (1 / 7)),
        (schedules.exponential, torch.log),
        (schedules.polyexponential, torch.log),
        (schedules.kl_optimal, torch.atan),
    ]:
        values = variable(curve(steps, low, high)[:-1])
        wanted = torch.linspace(float(variable(torch.tensor(high))), float(variable(torch.tensor(low))), steps)
        assert torch.allclose(values, wanted, atol=1e-4)


def test_polyexponential_bends_with_rho() -> None:
    ramp = torch.linspace(1, 0, 6) ** 2
    wanted = math.log(0.03) + ramp * (math.log(14.0) - math.log(0.03))
    assert torch.allclose(schedules.polyexponential(6, 0.03, 14.0, rho=2.0)[:-1].log(), wanted, atol=1e-5)


def test_vp_has_the_sigmas_of_the_linear_beta_sde() -> None:
    sigmas = schedules.vp(5)
    assert_schedule(sigmas)
    assert float(sigmas[0]) == pytest.approx(math.sqrt(math.expm1(19.9 / 2 + 0.1)), rel=1e-5)
    assert float(sigmas[-2]) == pytest.approx(math.sqrt(math.expm1(19.9 * 1e-6 / 2 + 1e-4)), rel=1e-4)


def test_laplace_is_symmetric_about_mu_and_stops_short_of_zero() -> None:
    log_sigmas = schedules.laplace(9, 1e-9, 1e9, mu=0.4, beta=0.5).log()
    assert len(log_sigmas) == 9
    assert torch.allclose(log_sigmas + log_sigmas.flip(0), torch.full((9,), 0.8), atol=1e-5)
    quantile = scipy.stats.laplace.isf(2 / 8, loc=0.4, scale=0.5)
    assert float(log_sigmas[2]) == pytest.approx(quantile, abs=1e-4)
    clipped = schedules.laplace(9, 0.5, 3.0)
    assert (float(clipped.min()), float(clipped.max())) == (0.5, 3.0)


def test_ltxv_shifts_with_the_tokens_and_ends_at_the_terminal() -> None:
    sigmas = schedules.ltxv(20, tokens=4096)
    assert_schedule(sigmas)
    assert (float(sigmas[0]), float(sigmas[-2])) == (1.0, pytest.approx(0.1))
    plain = schedules.ltxv(20, tokens=1024, stretch=False)
    assert torch.allclose(plain[:-1], flux(0.95).sigma(torch.linspace(1, 0, 21)[:-1]), atol=1e-6)
    assert torch.equal(schedules.ltxv(1), torch.tensor([1.0, 0.0]))


def test_sd_turbo_visits_the_distilled_timesteps() -> None:
    wanted = discrete().sigma(torch.tensor([999.0, 899.0, 799.0]))
    assert torch.equal(schedules.sd_turbo(discrete(), 3), torch.cat([wanted, torch.zeros(1)]))
    assert torch.equal(schedules.sd_turbo(discrete(), 2, denoise=0.5)[:-1], discrete().sigma(torch.tensor([499.0, 399.0])))


@pytest.mark.parametrize("model", ALIGN_YOUR_STEPS)
def test_align_your_steps_is_nvidias_table(model: str) -> None:
    theirs = {"SD1": "StableDiffusionSigmas", "SDXL": "StableDiffusionXLSigmas", "SVD": "StableDiffusionVideoSigmas"}[model]
    wanted = torch.tensor(AysSchedules[theirs])
    assert torch.allclose(align_your_steps(model, 10)[:-1], wanted[:10], rtol=2e-2)


@pytest.mark.parametrize("table", [*ALIGN_YOUR_STEPS.values(), *OPTIMAL_STEPS.values()])
def test_a_table_read_at_its_own_length_is_itself(table: tuple[float, ...]) -> None:
    assert torch.allclose(log_linear(table, len(table)), torch.tensor(table), rtol=1e-6)
    assert list(table) == sorted(table, reverse=True)


def test_tables_are_read_between_their_steps_and_cut_by_denoise() -> None:
    assert float(align_your_steps("SD1", 20)[1]) == pytest.approx(math.sqrt(14.6146412293 * 6.4745760956), rel=1e-5)
    for steps in (3, 10, 17):
        assert_schedule(align_your_steps("SDXL", steps))
        assert_schedule(optimal_steps("FLUX", steps))
    assert torch.equal(align_your_steps("SVD", 10, 0.5), align_your_steps("SVD", 10)[-6:])
    assert len(optimal_steps("Wan", 20, 0.0)) == 0


def test_levels_can_be_put_between_those_of_a_range() -> None:
    sigmas = torch.tensor([8.0, 4.0, 2.0, 0.0])
    assert torch.equal(schedules.extended(sigmas, 2, 5.0, 3.0), torch.tensor([8.0, 4.0, 3.0, 2.0, 0.0]))
    assert torch.equal(schedules.extended(sigmas, 1, math.inf, 0.0), sigmas)


def test_a_scheduler_needs_nothing_but_a_parametrization_and_steps() -> None:
    """What a pack that adds one to the table may count on."""

    def halving(parametrization: Parametrization, steps: int) -> Tensor:
        return schedules.append_zero(parametrization.sigma_max * 0.5 ** torch.arange(steps))

    named: schedules.Scheduler = halving
    assert_schedule(named(discrete(), 5))
