"""The samplers that draw noise keep the law of the data: exact mean, and a variance that converges to the exact one.

Every sampler is linear on the Gaussian, so its output is A x + b mean + sum of c_k eps_k over independent draws eps_k. One
run on a vector of scalars that each see a single one of these gives A, b and all c_k: the variance without any statistics.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.diffusion import noise as noises
from engine.diffusion.denoise import Noise
from engine.diffusion.samplers import SAMPLERS
from tests.diffusion.gaussian import Gaussian, S, levels, options

Draws = list[tuple[float, float]]
STOCHASTIC = {
    "euler_ancestral", "euler_ancestral_cfg_pp", "dpm_2_ancestral", "dpmpp_2s_ancestral", "dpmpp_2s_ancestral_cfg_pp",
    "dpmpp_sde", "dpmpp_sde_gpu", "dpmpp_2m_sde", "dpmpp_2m_sde_gpu", "dpmpp_2m_sde_heun", "dpmpp_2m_sde_heun_gpu",
    "dpmpp_3m_sde", "dpmpp_3m_sde_gpu", "ddpm", "lcm", "res_multistep_ancestral", "res_multistep_ancestral_cfg_pp", "er_sde",
    "seeds_2", "seeds_3", "sa_solver", "sa_solver_pece",
}
OPTED: dict[str, dict[str, Any]] = {
    "euler": {"s_churn": 3.0}, "heun": {"s_churn": 3.0}, "dpm_2": {"s_churn": 3.0}, "heunpp2": {"s_churn": 3.0},
    "dpm_fast": {"eta": 1.0}, "dpm_adaptive": {"eta": 0.6, "rtol": 0.01, "atol": 0.001},
    "er_sde": {"solver_type": "Reverse-time SDE"},
}
"""Noise that is off by default, and another kind of it."""
CASES: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in SAMPLERS if name in STOCHASTIC - {"lcm"}] + list(OPTED.items())


def drawn_by(name: str, is_flow: bool, sigmas: Tensor, **more: Any) -> Draws:
    draws: Draws = []
    x = torch.ones(1, 1, dtype=sigmas.dtype)

    def noise(sigma: Tensor, sigma_next: Tensor) -> Tensor:
        draws.append((float(sigma), float(sigma_next)))
        return torch.zeros_like(x)

    SAMPLERS[name].function(Gaussian(is_flow), x, sigmas, noise=noise, **options(name, **more))
    return draws


def fresh_basis(draws: Draws, first: int) -> tuple[Noise, int]:
    """The k-th draw is 1 in the k-th place."""
    count = iter(range(first, first + len(draws)))

    def noise(sigma: Tensor, sigma_next: Tensor) -> Tensor:
        return torch.eye(first + len(draws), dtype=sigma.dtype)[None, next(count)]

    return noise, len(draws)


def brownian_basis(draws: Draws, first: int) -> tuple[Noise, int]:
    """A draw is the sum of the independent pieces of Brownian motion that its interval is made of."""
    cuts = sorted({end for draw in draws for end in draw})
    pieces = list(pairwise(cuts))

    def noise(sigma: Tensor, sigma_next: Tensor) -> Tensor:
        high, low = float(sigma), float(sigma_next)
        shares = [((b - a) / (high - low)) ** 0.5 if low <= a and b <= high else 0.0 for a, b in pieces]
        return torch.tensor([[0.0] * first + shares], dtype=sigma.dtype)

    return noise, len(pieces)


def moments(name: str, is_flow: bool, n: int, **more: Any) -> tuple[float, float, float]:
    """Mean found for mean 1, variance found, variance wanted."""
    sigmas = levels(is_flow, n)
    draws = drawn_by(name, is_flow, sigmas, **more)
    basis = brownian_basis if SAMPLERS[name].noise == "brownian" else fresh_basis
    noise, count = basis(draws, 2)
    mean = torch.zeros(1, 2 + count, dtype=sigmas.dtype)
    mean[0, 1] = 1
    model = Gaussian(is_flow, mean)
    x = mean * model.alpha(sigmas[0])
    x[0, 0] = model.variance(sigmas[0]).sqrt()
    found = SAMPLERS[name].function(model, x, sigmas, noise=noise, **options(name, **more))[0]
    return float(found[1]), float(found[0] ** 2 + (found[2:] ** 2).sum()), float(model.variance(sigmas[-1]))


def test_the_stochastic_samplers_are_those_that_draw() -> None:
    assert {name for name in SAMPLERS if drawn_by(name, False, levels(False, 6))} == STOCHASTIC


@pytest.mark.parametrize("is_flow", [False, True], ids=["exploding", "flow"])
@pytest.mark.parametrize(("name", "more"), CASES, ids=[f"{name}-{'-'.join(more)}" if more else name for name, more in CASES])
def test_the_variance_converges_to_the_exact_one(name: str, more: dict[str, Any], is_flow: bool) -> None:
    errors = []
    for n in (40, 160):
        mean, variance, wanted = moments(name, is_flow, n, **more)
        assert mean == pytest.approx(float(Gaussian(is_flow).alpha(levels(is_flow, n)[-1])), abs=1e-9)
        errors.append(abs(variance / wanted - 1))
    assert errors[1] < 0.04
    assert errors[1] < errors[0] / 2 or errors[1] < 0.002 or name == "dpm_adaptive"


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name in STOCHASTIC and "_gpu" not in name])
def test_real_noise_gives_the_mean_and_the_spread_of_the_data(name: str) -> None:
    """20,000 scalars with the noise the engine uses, 40 steps and one to 0."""
    x = 2.0 + noises.starting_noise((1, 20000), 4) * Gaussian().variance(levels(False, 40)[0]).sqrt().float()
    sigmas = torch.cat([levels(False, 40).float(), torch.zeros(1)])
    is_brownian = SAMPLERS[name].noise == "brownian"
    noise = noises.brownian(x, float(sigmas[-2]), float(sigmas[0]), 4) if is_brownian else noises.fresh(x, 4)
    found = SAMPLERS[name].function(Gaussian(mean=2.0), x, sigmas, noise=noise, **SAMPLERS[name].options)
    assert float(found.mean()) == pytest.approx(2.0, abs=0.03)
    if name != "lcm":
        assert float(found.std()) == pytest.approx(S, rel=0.08)
