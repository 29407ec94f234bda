"""Every sampler as ``sample_<name>(model, x, sigmas, ...)``, schedules, and what samplers are written with."""

from __future__ import annotations

from typing import Any

from engine.comfy.faces.comfy.samplers import SAMPLER_NAMES, _as_k_diffusion
from engine.comfy.finder import missing

_missing = missing(__name__)


def __getattr__(name: str) -> Any:
    if name.startswith("sample_") and name.removeprefix("sample_") in SAMPLER_NAMES:
        from engine.diffusion.samplers import SAMPLERS

        return _as_k_diffusion(SAMPLERS[name.removeprefix("sample_")])
    return _missing(name)


def append_zero(x: Any) -> Any:
    import torch

    return torch.cat([x, x.new_zeros([1])])


def append_dims(x: Any, target_dims: int) -> Any:
    return x[(...,) + (None,) * (target_dims - x.ndim)]


def to_d(x: Any, sigma: Any, denoised: Any) -> Any:
    """dx / dsigma."""
    return (x - denoised) / append_dims(sigma, x.ndim)


def get_ancestral_step(sigma_from: Any, sigma_to: Any, eta: float = 1.0) -> tuple[Any, Any]:
    """(sigma to step down to, noise to add) of an ancestral step."""
    if not eta:
        return sigma_to, 0.0
    up = min(sigma_to, eta * (sigma_to**2 * (sigma_from**2 - sigma_to**2) / sigma_from**2) ** 0.5)
    return (sigma_to**2 - up**2) ** 0.5, up


def default_noise_sampler(x: Any, seed: int | None = None) -> Any:
    """(sigma, sigma_next) -> fresh noise."""
    from engine.diffusion.noise import fresh

    if seed is not None:
        return fresh(x, seed)
    import torch

    return lambda sigma, sigma_next: torch.randn_like(x)


class BrownianTreeNoiseSampler:
    """Noise that belongs to the path, not to the step."""

    def __init__(
        self, x: Any, sigma_min: Any, sigma_max: Any, seed: Any = None, transform: Any = None, cpu: bool = False
    ) -> None:
        from engine.diffusion.noise import brownian

        self.draw = brownian(x, float(sigma_min), float(sigma_max), int(seed or 0))

    def __call__(self, sigma: Any, sigma_next: Any) -> Any:
        return self.draw(sigma, sigma_next)


def get_sigmas_karras(n: int, sigma_min: float, sigma_max: float, rho: float = 7.0, device: Any = "cpu") -> Any:
    from engine.diffusion.schedules import karras

    return karras(n, float(sigma_min), float(sigma_max), rho).to(device)


def get_sigmas_exponential(n: int, sigma_min: float, sigma_max: float, device: Any = "cpu") -> Any:
    from engine.diffusion.schedules import exponential

    return exponential(n, float(sigma_min), float(sigma_max)).to(device)


def get_sigmas_polyexponential(n: int, sigma_min: float, sigma_max: float, rho: float = 1.0, device: Any = "cpu") -> Any:
    from engine.diffusion.schedules import polyexponential

    return polyexponential(n, float(sigma_min), float(sigma_max), rho).to(device)
