"""Every sampler by the name workflows use, with what a caller must know to run it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from engine.diffusion.noise import Draws
from engine.diffusion.parametrization import Parametrization
from engine.diffusion.samplers.adams import deis, gradient_estimation, ipndm, ipndm_v, lms
from engine.diffusion.samplers.ancestral import ddim_ancestral, dpm_2_ancestral, dpmpp_2s_ancestral, euler_ancestral
from engine.diffusion.samplers.dpm_solver import dpm_adaptive, dpm_fast
from engine.diffusion.samplers.er_sde import er_sde
from engine.diffusion.samplers.lcm import lcm
from engine.diffusion.samplers.multistep import dpmpp_2m, res_multistep
from engine.diffusion.samplers.ode import dpm_2, euler, heun, heunpp2
from engine.diffusion.samplers.sa_solver import sa_solver
from engine.diffusion.samplers.sde import dpmpp_2m_sde, dpmpp_3m_sde, dpmpp_sde
from engine.diffusion.samplers.seeds import seeds_2, seeds_3
from engine.diffusion.samplers.terms import SamplerFunction, Walk
from engine.diffusion.samplers.unipc import uni_pc

__all__ = ["SAMPLERS", "Sampler", "SamplerFunction", "Walk"]


@dataclass(frozen=True)
class Sampler:
    """A sampler function and how to call it.

    ``noise`` names the source in ``engine.diffusion.noise`` that its noise comes from. ``options`` are its keywords
    where they differ from the function's defaults, and ``at_percent`` those that are a sigma of the model, given as a
    fraction of the way. ``drops_penultimate`` goes to ``sigmas_for``. ``mask_noise`` says what an inpainting mask's
    kept part is noised with: the starting noise, or another draw.
    """

    function: SamplerFunction
    noise: Literal["fresh", "brownian"] = "fresh"
    options: Mapping[str, Any] = field(default_factory=dict)
    at_percent: Mapping[str, float] = field(default_factory=dict)
    drops_penultimate: bool = False
    mask_noise: Literal["same", "other"] = "same"

    def of(self, parametrization: Parametrization, **options: Any) -> SamplerFunction:
        """The function for one model, ``options`` over the table's."""
        levels = {name: parametrization.percent_to_sigma(percent) for name, percent in self.at_percent.items()}
        function: SamplerFunction = partial(self.function, **{**levels, **self.options, **options})
        return function

    def walk(self, sampling: Parametrization, draws: Draws) -> Walk:
        """The function for one model, with the noise of one run."""
        return partial(self.of(sampling), noise=draws.of(self.noise))


FIRST = {"first_sigma": 1e-4}
TAU = {**FIRST, "tau_start": 0.2, "tau_end": 0.8}

SAMPLERS: Mapping[str, Sampler] = {
    "euler": Sampler(euler),
    "euler_cfg_pp": Sampler(ddim_ancestral, options={"cfg_pp": True, "eta": 0.0}),
    "euler_ancestral": Sampler(euler_ancestral),
    "euler_ancestral_cfg_pp": Sampler(ddim_ancestral, options={"cfg_pp": True}),
    "heun": Sampler(heun),
    "heunpp2": Sampler(heunpp2),
    "dpm_2": Sampler(dpm_2, drops_penultimate=True),
    "dpm_2_ancestral": Sampler(dpm_2_ancestral, drops_penultimate=True),
    "lms": Sampler(lms),
    "dpm_fast": Sampler(dpm_fast),
    "dpm_adaptive": Sampler(dpm_adaptive),
    "dpmpp_2s_ancestral": Sampler(dpmpp_2s_ancestral),
    "dpmpp_2s_ancestral_cfg_pp": Sampler(dpmpp_2s_ancestral, options={"cfg_pp": True}),
    "dpmpp_sde": Sampler(dpmpp_sde, noise="brownian", at_percent=FIRST),
    "dpmpp_sde_gpu": Sampler(dpmpp_sde, noise="brownian", at_percent=FIRST),
    "dpmpp_2m": Sampler(dpmpp_2m),
    "dpmpp_2m_cfg_pp": Sampler(dpmpp_2m, options={"cfg_pp": True}),
    "dpmpp_2m_sde": Sampler(dpmpp_2m_sde, noise="brownian", at_percent=FIRST),
    "dpmpp_2m_sde_gpu": Sampler(dpmpp_2m_sde, noise="brownian", at_percent=FIRST),
    "dpmpp_2m_sde_heun": Sampler(dpmpp_2m_sde, noise="brownian", at_percent=FIRST, options={"solver_type": "heun"}),
    "dpmpp_2m_sde_heun_gpu": Sampler(dpmpp_2m_sde, noise="brownian", at_percent=FIRST, options={"solver_type": "heun"}),
    "dpmpp_3m_sde": Sampler(dpmpp_3m_sde, noise="brownian", at_percent=FIRST),
    "dpmpp_3m_sde_gpu": Sampler(dpmpp_3m_sde, noise="brownian", at_percent=FIRST),
    "ddpm": Sampler(ddim_ancestral),
    "lcm": Sampler(lcm),
    "ipndm": Sampler(ipndm),
    "ipndm_v": Sampler(ipndm_v),
    "deis": Sampler(deis),
    "res_multistep": Sampler(res_multistep),
    "res_multistep_cfg_pp": Sampler(res_multistep, options={"cfg_pp": True}),
    "res_multistep_ancestral": Sampler(res_multistep, options={"eta": 1.0}),
    "res_multistep_ancestral_cfg_pp": Sampler(res_multistep, options={"eta": 1.0, "cfg_pp": True}),
    "gradient_estimation": Sampler(gradient_estimation),
    "gradient_estimation_cfg_pp": Sampler(gradient_estimation, options={"cfg_pp": True}),
    "er_sde": Sampler(er_sde, at_percent=FIRST),
    "seeds_2": Sampler(seeds_2, at_percent=FIRST),
    "seeds_3": Sampler(seeds_3, at_percent=FIRST),
    "sa_solver": Sampler(sa_solver, at_percent=TAU),
    "sa_solver_pece": Sampler(sa_solver, at_percent=TAU, options={"use_pece": True}),
    "ddim": Sampler(euler, mask_noise="other"),
    "uni_pc": Sampler(uni_pc, drops_penultimate=True),
    "uni_pc_bh2": Sampler(uni_pc, drops_penultimate=True, options={"variant": "bh2"}),
}
