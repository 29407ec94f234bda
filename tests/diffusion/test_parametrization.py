"""Output of a network to clean latent, sigma to timestep and back, for every parametrization."""

from __future__ import annotations

import math

import pytest
import torch
from diffusers import DDPMWuerstchenScheduler, EDMEulerScheduler, FlowMatchEulerDiscreteScheduler
from diffusers.schedulers.scheduling_euler_discrete import rescale_zero_terminal_snr
from torch import Tensor

from engine.diffusion.levels import (
    ABOVE_ALL,
    AngleLevels,
    DiscreteLevels,
    FlowLevels,
    LogLevels,
    OddsLevels,
    betas,
    zero_terminal_snr,
)
from engine.diffusion.parametrization import (
    Consistency,
    Parametrization,
    cascade,
    continuous_v,
    cosmos,
    discrete,
    edm,
    edm_eps,
    edm_v,
    flow,
    flux,
)

ALL = {
    "eps": discrete(), "v": discrete("v"), "v-zsnr": discrete("v", zsnr=True), "x0": discrete("x0"), "lcm": discrete("lcm"),
    "lotus": discrete("img_to_img"), "edm": edm(), "playground": edm(0.002, 80.0, 0.5), "svd": edm_v(), "edm-eps": edm_eps(),
    "audio": continuous_v(), "flow": flow(3.0), "aura": flow(1.73, multiplier=1.0), "flux": flux(), "cascade": cascade(2.0),
    "cosmos": cosmos(),
}
SIGMAS = torch.tensor([0.05, 0.3, 0.8])


def output_for(name: str, x0: Tensor, eps: Tensor, sigma: Tensor) -> Tensor:
    """What a perfect network says, by each definition of its target."""
    data = 0.5 if name == "playground" else 1.0
    total = (sigma**2 + data**2).sqrt()
    match name:
        case "x0" | "lotus":
            return x0
        case "v" | "v-zsnr" | "svd" | "audio":
            return (eps - sigma * x0) / total
        case "edm" | "playground":
            return (x0 - (x0 + sigma * eps) * (data / total) ** 2) * total / (sigma * data)
        case "flow" | "aura" | "flux" | "cosmos":
            return eps - x0
        case _:
            return eps


@pytest.mark.parametrize("name", [name for name in ALL if name != "lcm"])
def test_a_perfect_network_gives_the_data_back(name: str) -> None:
    parametrization = ALL[name]
    x0, eps = torch.randn(3, 4, 2, 2, dtype=torch.float64), torch.randn(3, 4, 2, 2, dtype=torch.float64)
    sigma = SIGMAS.double()
    wide = sigma.reshape(3, 1, 1, 1)
    x = (1 - wide) * x0 + wide * eps if parametrization.flow else x0 + wide * eps
    assert torch.allclose(parametrization.denoised(x, output_for(name, x0, eps, wide), sigma), x0)


@pytest.mark.parametrize("name", ALL)
def test_one_level_a_sample_is_each_sample_alone(name: str) -> None:
    parametrization = ALL[name]
    x, output = torch.randn(3, 4, 2, 2), torch.randn(3, 4, 2, 2)
    scaled, denoised = parametrization.scale_input(x, SIGMAS), parametrization.denoised(x, output, SIGMAS)
    for k, sigma in enumerate(SIGMAS):
        one = slice(k, k + 1)
        assert torch.allclose(scaled[one], parametrization.scale_input(x[one], sigma), atol=1e-6)
        assert torch.allclose(denoised[one], parametrization.denoised(x[one], output[one], sigma), atol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_the_levels_ascend_and_are_never_zero(name: str) -> None:
    sigmas = ALL[name].sigmas
    assert sigmas.dtype == torch.float32
    assert sigmas[0] > 0
    assert (sigmas[1:] >= sigmas[:-1]).all()
    assert (ALL[name].sigma_min, ALL[name].sigma_max) == (float(sigmas[0]), float(sigmas[-1]))


@pytest.mark.parametrize("name", [name for name in ALL if name not in {"flow", "aura", "flux", "cosmos", "lotus", "playground"}])
def test_the_network_sees_unit_variance_of_unit_data(name: str) -> None:
    x = torch.randn(1, 1, 100_000) * (1 + 0.8**2) ** 0.5
    assert float(ALL[name].scale_input(x, torch.tensor(0.8)).std()) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("name", ALL)
def test_noise_scaling_starts_where_the_sampler_expects(name: str) -> None:
    parametrization = ALL[name]
    latent, noise, sigma = torch.full((1, 4, 2, 2), 2.0), torch.full((1, 4, 2, 2), 3.0), torch.tensor(0.6)
    wanted = 0.6 * 3 + 0.4 * 2 if parametrization.flow else 2 + 0.6 * 3
    assert torch.allclose(parametrization.noise_scaling(sigma, noise, latent), torch.tensor(wanted))
    drowned = wanted if name in {"flow", "aura", "flux", "cosmos"} else 2 + 3 * 1.36**0.5
    assert torch.allclose(parametrization.noise_scaling(sigma, noise, latent, max_denoise=True), torch.tensor(drowned))


@pytest.mark.parametrize("name", ALL)
def test_what_a_sampler_left_can_be_started_from_again(name: str) -> None:
    parametrization = ALL[name]
    x, sigma = torch.randn(1, 4, 2, 2), torch.tensor(0.6)
    again = parametrization.noise_scaling(sigma, torch.zeros_like(x), parametrization.inverse_noise_scaling(sigma, x))
    assert torch.allclose(again, x, atol=1e-6)


def test_the_sigmas_of_sdxl_at_the_timesteps_of_its_students() -> None:
    found = discrete().sigma(torch.tensor([999.0, 749.0, 499.0, 249.0]))
    assert torch.allclose(found, torch.tensor([14.6146, 4.0817, 1.6129, 0.6932]), atol=5e-5)


@pytest.mark.parametrize("quantize", [True, False])
def test_whole_timesteps_survive_the_round_trip(quantize: bool) -> None:
    levels, t = discrete(quantize=quantize).levels, torch.arange(1000.0)
    assert torch.allclose(levels.timestep(levels.sigma(t)), t, atol=2e-2)


def test_a_sigma_between_two_levels_is_the_nearest_or_the_share_of_the_way_in_log_sigma() -> None:
    sigma = discrete().sigma(torch.tensor(499.7))
    assert float(discrete().timestep(sigma)) == 500
    assert float(discrete(quantize=False).timestep(sigma)) == pytest.approx(499.7, abs=1e-2)
    neighbours = discrete().sigma(torch.tensor([499.0, 500.0])).log()
    assert float(sigma.log()) == pytest.approx(float(neighbours[0] + 0.7 * (neighbours[1] - neighbours[0])), abs=1e-5)


@pytest.mark.parametrize("levels", [LogLevels(), AngleLevels(0.03, 500.0), OddsLevels(0.002, 80.0)])
def test_continuous_timesteps_survive_the_round_trip(levels: LogLevels) -> None:
    sigmas = torch.tensor([0.05, 0.7, 12.0])
    assert torch.allclose(levels.sigma(levels.timestep(sigmas)), sigmas, rtol=1e-4)
    assert (levels.sigmas[0], levels.sigmas[-1]) == (pytest.approx(levels.sigma_min), pytest.approx(levels.sigma_max))


def test_a_distilled_model_knows_fifty_levels_and_their_timesteps() -> None:
    levels = DiscreteLevels.of((1 - betas()).cumprod(0)).distilled()
    assert len(levels.sigmas) == 50
    assert torch.equal(levels.timestep(levels.sigmas), torch.arange(19.0, 1000.0, 20.0))
    assert torch.allclose(levels.sigma(torch.arange(19.0, 1000.0, 20.0)), discrete().sigmas[19::20])


def test_zero_terminal_snr_is_lins_rescaling() -> None:
    theirs = rescale_zero_terminal_snr(betas().float())
    alphas = (1 - theirs.double()).cumprod(0)[:-1]
    found = zero_terminal_snr(discrete().sigmas.double())
    assert torch.allclose(found[:-1], ((1 - alphas) / alphas).sqrt(), rtol=2e-3)
    assert float(found[-1]) == pytest.approx(4518.76, abs=0.1)


def test_flow_is_shifted_as_in_sd3_and_flux() -> None:
    assert float(flow(3.0).sigma(torch.tensor(500.0))) == pytest.approx(0.75)
    assert float(flow(3.0).timestep(torch.tensor(0.75))) == 750.0
    mu = 1.15
    scheduler = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    scheduler.set_timesteps(sigmas=[0.25, 0.5, 1.0], mu=mu)
    assert torch.allclose(flux(mu).sigma(torch.tensor([0.25, 0.5, 1.0])), scheduler.sigmas[:-1], atol=1e-6)
    assert float(flux(mu).timestep(torch.tensor(0.3))) == pytest.approx(0.3)


@pytest.mark.parametrize("shift", [1.0, 2.0])
def test_cascade_has_the_cosine_levels_of_wuerstchen(shift: float) -> None:
    scheduler = DDPMWuerstchenScheduler(scaler=1.0)
    t = torch.linspace(0.05, 0.95, 10)
    alpha_bar = scheduler._alpha_cumprod(t, "cpu")
    wanted = ((1 - alpha_bar) / alpha_bar).sqrt() * shift
    assert torch.allclose(cascade(shift).sigma(t), wanted, rtol=1e-3)
    assert torch.allclose(cascade(1.0).timestep(cascade(1.0).sigma(t)), t, atol=1e-4)


@pytest.mark.parametrize(("prediction", "ours"), [("epsilon", edm(0.002, 80.0, 0.5)), ("v_prediction", edm_v(0.002, 80.0, 0.5))])
def test_edm_is_diffusers_preconditioning(prediction: str, ours: Parametrization) -> None:
    scheduler = EDMEulerScheduler(sigma_data=0.5, prediction_type=prediction)
    x, output, sigma = torch.randn(1, 4, 2, 2), torch.randn(1, 4, 2, 2), torch.tensor(1.3)
    assert torch.allclose(ours.denoised(x, output, sigma), scheduler.precondition_outputs(x, output, sigma), atol=1e-6)
    assert torch.allclose(ours.scale_input(x, sigma), scheduler.precondition_inputs(x, sigma), atol=1e-6)
    assert float(ours.timestep(sigma)) == pytest.approx(float(scheduler.precondition_noise(sigma)))


def test_a_consistency_model_is_the_identity_at_the_boundary() -> None:
    prediction = Consistency(timestep=lambda sigma: sigma * 0)
    x = torch.randn(1, 4, 2, 2)
    assert torch.equal(prediction.denoised(x, torch.randn_like(x), torch.tensor(0.03)), x)


@pytest.mark.parametrize("name", ALL)
def test_percent_runs_from_before_the_start_to_the_end(name: str) -> None:
    parametrization = ALL[name]
    percents = [parametrization.percent_to_sigma(p) for p in (0.0, 0.1, 0.5, 0.9, 1.0)]
    assert percents == sorted(percents, reverse=True)
    assert percents[0] == (1.0 if parametrization.flow else ABOVE_ALL)
    assert percents[-1] == 0.0


def test_percent_counts_timesteps_or_log_sigma() -> None:
    assert discrete().percent_to_sigma(0.25) == pytest.approx(float(discrete().sigma(torch.tensor(0.75 * 999))))
    assert edm(0.01, 100.0).percent_to_sigma(0.5) == pytest.approx(1.0)
    assert FlowLevels(3.0).percent_to_sigma(0.5) == pytest.approx(0.75)


def test_a_schedule_from_the_top_is_told_from_one_that_starts_lower() -> None:
    for parametrization in ALL.values():
        sigma_max = torch.tensor([parametrization.sigma_max, 0.0])
        assert parametrization.starts_at_max(sigma_max)
        assert parametrization.starts_at_max(sigma_max * 2)
        assert not parametrization.starts_at_max(sigma_max * 0.99)


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="eps, v, x0"):
        discrete("epsilon")
    with pytest.raises(ValueError, match="scaled_linear"):
        discrete(kind="cosine")
    assert math.isclose(float(betas("linear", 0.1, 0.2, 3)[1]), 0.15)
