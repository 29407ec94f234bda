"""Call-by-call equality with diffusers' schedulers, an independent implementation, where both have the method.

The network is eps = f(z) of z = x / sqrt(1 + sigma^2) and knows no timestep, so the same one serves schedulers that hold
x = x0 + sigma eps, and scale it before the network, and those that hold z. What is compared is what the network is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    DPMSolverSDEScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
    HeunDiscreteScheduler,
    KDPM2AncestralDiscreteScheduler,
    KDPM2DiscreteScheduler,
    LCMScheduler,
    LMSDiscreteScheduler,
    SASolverScheduler,
    UniPCMultistepScheduler,
)
from torch import Tensor

from engine.diffusion.levels import DiscreteLevels, betas
from engine.diffusion.noise import brownian
from engine.diffusion.parametrization import Consistency, Parametrization, flow
from engine.diffusion.samplers import SAMPLERS
from engine.diffusion.schedules import append_zero

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
STEPS = 10


def network(z: Tensor) -> Tensor:
    return z * 0.8 + (2 * z).sin() * 0.3


class Toy:
    """The denoiser that belongs to the network; keeps what the network was given."""

    def __init__(self, is_flow: bool = False) -> None:
        self.flow = is_flow
        self.given: list[Tensor] = []

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        self.given.append(x if self.flow else x / (1 + sigma**2).sqrt())
        return x - sigma * network(self.given[-1])

    def split(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError


@dataclass(frozen=True)
class Case:
    scheduler: Callable[..., Any]
    config: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    preserving: bool = False
    """Whether diffusers holds z instead of x."""
    ends_equal: bool = True


KARRAS = {**BETAS, "use_karras_sigmas": True}
PLUS = {**KARRAS, "algorithm_type": "dpmsolver++", "final_sigmas_type": "zero"}
PLUS_SDE = {**PLUS, "algorithm_type": "sde-dpmsolver++"}
UNIPC = {**KARRAS, "solver_order": 3, "final_sigmas_type": "zero"}
SECOND = {"predictor_order": 2, "corrector_order": 2}
SIMPLE = {"simple_order_2": True, "eta": 0.7}
CASES = {
    "euler": Case(EulerDiscreteScheduler, KARRAS),
    "euler_ancestral": Case(EulerAncestralDiscreteScheduler, {**BETAS, "timestep_spacing": "trailing"}),
    "heun": Case(HeunDiscreteScheduler, KARRAS),
    "dpm_2": Case(KDPM2DiscreteScheduler, KARRAS),
    "dpm_2_ancestral": Case(KDPM2AncestralDiscreteScheduler, KARRAS),
    "lms": Case(LMSDiscreteScheduler, KARRAS),
    "dpmpp_2m": Case(DPMSolverMultistepScheduler, PLUS, preserving=True),
    "dpmpp_2m_sde": Case(DPMSolverMultistepScheduler, PLUS_SDE, preserving=True),
    "dpmpp_2m_sde_heun": Case(DPMSolverMultistepScheduler, {**PLUS_SDE, "solver_type": "heun"}, preserving=True),
    "uni_pc": Case(UniPCMultistepScheduler, {**UNIPC, "solver_type": "bh1"}, preserving=True, ends_equal=False),
    "uni_pc_bh2": Case(UniPCMultistepScheduler, {**UNIPC, "solver_type": "bh2"}, preserving=True, ends_equal=False),
    "sa_solver": Case(SASolverScheduler, {**KARRAS, **SECOND, "tau_func": lambda t: 0.7}, {**SECOND, **SIMPLE}, preserving=True),
}


def run_diffusers(scheduler: Any, x: Tensor, **more: Any) -> list[Tensor]:
    """What the network was given, and where the walk ended."""
    given = []
    sample, generator = x, torch.Generator().manual_seed(1)
    if "generator" in signature(scheduler.step).parameters:
        more = {"generator": generator, **more}
    for t in scheduler.timesteps:
        given.append(scheduler.scale_model_input(sample, t) if hasattr(scheduler, "scale_model_input") else sample)
        sample = scheduler.step(network(given[-1]), t, sample, **more).prev_sample
    return [*given, sample]


def run_ours(name: str, model: Toy, x: Tensor, sigmas: Tensor, **options: Any) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)

    def noise(sigma: Tensor, sigma_next: Tensor) -> Tensor:
        return torch.randn(x.shape, generator=generator)

    final = SAMPLERS[name].function(model, x, sigmas, noise=noise, **{**SAMPLERS[name].options, **options})
    return [*model.given, final]


def start() -> Tensor:
    return torch.randn(1, 4, 3, 3, generator=torch.Generator().manual_seed(0))


def assert_same_calls(found: list[Tensor], wanted: list[Tensor]) -> None:
    assert len(found) == len(wanted)
    for i, (ours, theirs) in enumerate(zip(found, wanted, strict=True)):
        assert torch.allclose(ours, theirs, rtol=1e-3, atol=2e-4), f"differ at call {i}: {(ours - theirs).abs().max():.1e}"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_gives_the_network_what_diffusers_gives_it(name: str) -> None:
    case = CASES[name]
    scheduler = case.scheduler(**case.config)
    scheduler.set_timesteps(STEPS)
    sigmas = scheduler.sigmas.float()
    if len(sigmas) > STEPS + 1:  # one for each of two calls
        sigmas = torch.unique_consecutive(sigmas)
    x = start() * sigmas[0]
    wanted = run_diffusers(scheduler, x / (1 + sigmas[0] ** 2).sqrt() if case.preserving else x)
    found = run_ours(name, Toy(), x, sigmas, **case.options)
    last = None if case.ends_equal else -1
    assert_same_calls(found[:last], wanted[:last])


@pytest.mark.parametrize(("name", "eta"), [("ddim", 0.0), ("ddpm", 1.0)])
def test_ddim_and_ddpm_are_the_ends_of_diffusers_ddim(name: str, eta: float) -> None:
    scheduler = DDIMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=True, steps_offset=1)
    scheduler.set_timesteps(STEPS)
    alphas = scheduler.alphas_cumprod[scheduler.timesteps]
    sigmas = append_zero(((1 - alphas) / alphas).sqrt())
    wanted = run_diffusers(scheduler, start(), eta=eta)
    assert_same_calls(run_ours(name, Toy(), start() * (1 + sigmas[0] ** 2).sqrt(), sigmas), wanted)


def test_lcm_equals_diffusers_with_its_boundary_scaling() -> None:
    scheduler = LCMScheduler(**BETAS, clip_sample=False)
    scheduler.set_timesteps(4)
    levels = DiscreteLevels.of(scheduler.alphas_cumprod).distilled()
    sigmas = append_zero(levels.sigma(scheduler.timesteps))
    parametrization = Parametrization(levels, Consistency(timestep=levels.timestep))

    class Student(Toy):
        def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
            z = parametrization.scale_input(x, sigma)
            self.given.append(z)
            return parametrization.denoised(x, network(z), sigma)

    wanted = run_diffusers(scheduler, start())
    assert_same_calls(run_ours("lcm", Student(), start() * (1 + sigmas[0] ** 2).sqrt(), sigmas), wanted)


@pytest.mark.filterwarnings("ignore")
def test_dpmpp_sde_walks_the_same_brownian_path_as_diffusers() -> None:
    scheduler = DPMSolverSDEScheduler(**KARRAS, noise_sampler_seed=5)
    scheduler.set_timesteps(STEPS)
    sigmas = append_zero(torch.unique_consecutive(scheduler.sigmas[scheduler.sigmas > 0]))
    x = start() * sigmas[0]
    model = Toy()
    final = SAMPLERS["dpmpp_sde"].function(model, x, sigmas, noise=brownian(x, float(sigmas[-2]), float(sigmas[0]), 5))
    assert_same_calls([*model.given, final], run_diffusers(scheduler, x))


FLOWS = {"euler": FlowMatchEulerDiscreteScheduler, "heun": FlowMatchHeunDiscreteScheduler}


@pytest.mark.parametrize(("name", "theirs"), FLOWS.items(), ids=FLOWS)
def test_flow_models_step_as_in_diffusers(name: str, theirs: Callable[..., Any]) -> None:
    scheduler = theirs(shift=3.0)
    scheduler.set_timesteps(STEPS)
    sigmas = torch.unique(scheduler.sigmas).flip(0)
    if sigmas[-1] > 0:
        sigmas = append_zero(sigmas)
    assert_same_calls(run_ours(name, Toy(is_flow=True), start(), sigmas), run_diffusers(scheduler, start()))


def test_the_flow_schedule_is_diffusers_own() -> None:
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    assert torch.allclose(flow(3.0).sigmas.flip(0), scheduler.sigmas, atol=1e-6)


def test_the_discrete_levels_are_diffusers_own() -> None:
    scheduler = EulerDiscreteScheduler(**BETAS)
    wanted = ((1 - scheduler.alphas_cumprod) / scheduler.alphas_cumprod).sqrt()
    assert torch.allclose(DiscreteLevels.of((1 - betas()).cumprod(0)).sigmas, wanted, rtol=1e-4)
