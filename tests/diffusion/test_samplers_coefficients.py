"""The coefficients of the multistep methods against what defines them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from engine.diffusion.samplers import adams, unipc
from engine.diffusion.samplers.dpm_solver import StepSize, _orders
from engine.diffusion.samplers.sa_solver import adams as sa_weights
from engine.diffusion.samplers.terms import lagrange_integrals

EQUAL = [4.0, 5.0, 6.0, 7.0]
"""Levels of the history, the latest first, for a step to 3."""
UNEQUAL = [2.0, 3.1, 5.5, 9.0]


@pytest.mark.parametrize("order", [2, 3, 4])
@pytest.mark.parametrize("coefficients", [adams.lms_coefficients, adams.ipndm_coefficients])
def test_on_equal_steps_all_are_adams_bashforth(coefficients: Callable[..., list[float]], order: int) -> None:
    wanted = [-weight for weight in adams.ADAMS_BASHFORTH[order]]
    assert coefficients(EQUAL[:order], 3.0) == pytest.approx(wanted)


@pytest.mark.parametrize("order", [2, 3, 4])
def test_on_unequal_steps_lms_integrates_polynomials_exactly(order: int) -> None:
    weights = adams.lms_coefficients(UNEQUAL[:order], 1.2)
    for power in range(order):
        wanted = (1.2 ** (power + 1) - 2.0 ** (power + 1)) / (power + 1)
        assert sum(w * level**power for w, level in zip(weights, UNEQUAL, strict=False)) == pytest.approx(wanted)


def test_ipndm_v_is_lms_where_its_published_coefficients_are_right() -> None:
    """At order 2 always, at order 3 on equal steps; at order 4 they add up to the step if steps grow by one factor."""
    assert adams.ipndm_v_coefficients(UNEQUAL[:2], 1.2) == pytest.approx(adams.lms_coefficients(UNEQUAL[:2], 1.2))
    assert adams.ipndm_v_coefficients(EQUAL[:3], 3.0) == pytest.approx(adams.lms_coefficients(EQUAL[:3], 3.0))
    assert sum(adams.ipndm_v_coefficients(UNEQUAL[:3], 1.2)) == pytest.approx(1.2 - 2.0)
    assert sum(adams.ipndm_v_coefficients([2.0, 4.0, 8.0, 16.0], 1.0)) == pytest.approx(-1.0)


@pytest.mark.parametrize("order", [2, 3, 4])
def test_deis_integrates_in_the_time_of_the_preserving_sde(order: int) -> None:
    """Against a sum over 100,000 points of sigma itself."""
    weights = adams.tab_coefficients(UNEQUAL[:order], 1.2)
    times = [adams.vp_time(level) for level in UNEQUAL[:order]]
    edges = np.linspace(2.0, 1.2, 100_001)
    t = np.array([adams.vp_time(sigma) for sigma in (edges[1:] + edges[:-1]) / 2])
    for j, found in enumerate(weights):
        basis = math.prod((t - other) / (times[j] - other) for k, other in enumerate(times) if k != j)
        assert found == pytest.approx(float(np.sum(basis * np.diff(edges))), rel=1e-6)


def test_the_time_of_the_preserving_sde_has_the_ends_of_edm() -> None:
    assert adams.vp_time(80.0) == pytest.approx(1.0)
    assert adams.vp_time(0.002) == pytest.approx(0.001)
    t, later = adams.vp_time(1.7), adams.vp_time(1.7 + 1e-6)
    assert float(adams.vp_slope(np.array([t]))[0]) == pytest.approx(1e-6 / (later - t), rel=1e-4)


def test_lagrange_integrals_of_a_weight() -> None:
    for step in (1e-4, 1.0, 20.0):
        found = lagrange_integrals([0.0], -step, 0.0, np.exp)
        assert found == [pytest.approx(-math.expm1(-step))]


@pytest.mark.parametrize("tau", [0.0, 0.6, 1.0])
def test_sa_solver_integrates_the_history_against_its_exponential(tau: float) -> None:
    nodes = torch.tensor([-1.0, -0.3, 0.4], dtype=torch.float64)
    kappa, h = 1 + tau**2, 0.5
    weights = sa_weights(nodes, nodes[-1], nodes[-1] + h, tau, simple_order_2=False)
    u = np.linspace(-h, 0, 200_001)
    u = (u[1:] + u[:-1]) / 2
    for power in range(3):
        wanted = np.mean(kappa * np.exp(kappa * u) * (u + 0.9) ** power) * h
        found = sum(w * float(node) ** power for w, node in zip(weights, nodes.flip(0), strict=True))
        assert found == pytest.approx(float(wanted), abs=1e-8)


@pytest.mark.parametrize("variant", ["bh1", "bh2"])
def test_unipcs_corrector_integrates_the_history_and_the_new_point(variant: str) -> None:
    """x_next = ratio x - phi_1 D_0 - B sum of w (D - D_0): exact where D is a polynomial in lambda."""
    levels, sigma_next = [2.0, 3.0, 5.0], 1.2
    _, corrector, h_phi_1, b_h = unipc.coefficients(levels, sigma_next, variant)
    lambdas = [-math.log(sigma) for sigma in levels]
    end, h = -math.log(sigma_next), math.log(levels[0] / sigma_next)
    u = np.linspace(lambdas[0], end, 200_001)
    u = (u[1:] + u[:-1]) / 2
    for power in range(4):
        d = [(place - lambdas[0]) ** power for place in [*lambdas, end]]
        found = -h_phi_1 * d[0] - b_h * sum(w * (value - d[0]) for w, value in zip(corrector, d[1:], strict=True))
        wanted = np.mean(np.exp(u - end) * (u - lambdas[0]) ** power) * h
        assert found == pytest.approx(float(wanted), abs=1e-7)


def test_dpm_fast_plans_as_many_calls_as_it_is_given() -> None:
    assert [list(_orders(nfe)) for nfe in (1, 2, 3, 4, 6)] == [[1], [2], [2, 1], [3, 1], [3, 2, 1]]
    assert all(sum(_orders(nfe)) == nfe for nfe in range(1, 50))


def test_a_large_error_refuses_the_step_and_shrinks_it() -> None:
    size = StepSize(1.0, 0.0, 1.0, 0.0, 3, 0.81)
    assert not size.accepts(100.0)
    assert size.h < 0.5
    assert size.accepts(0.01)
    assert size.h > 0.5
