"""SD 1's noise schedule, and the sampler the grids are drawn with."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor

from .architecture import SCALE

STEPS = 1000


def alphas_cumprod() -> Tensor:
    """SD 1's "scaled linear" schedule, (1000,)."""
    return torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, STEPS) ** 2, 0)


def noised(x: Tensor, noise: Tensor, alpha: Tensor) -> Tensor:
    """The forward process, ``alpha`` (B, 1, 1, 1)."""
    return alpha.sqrt() * x + (1 - alpha).sqrt() * noise


def karras_sigmas(steps: int) -> Tensor:
    """Karras et al. 2022, https://arxiv.org/abs/2206.00364, equation 5 with rho = 7, between the schedule's ends; ends in 0."""
    ac = alphas_cumprod()
    low, high = (((1 - ac[i]) / ac[i]).sqrt() ** (1 / 7) for i in (0, -1))
    ramp = torch.linspace(0, 1, steps)
    return torch.cat([(high + ramp * (low - high)) ** 7, torch.zeros(1)])


def timestep_of(sigma: Tensor) -> Tensor:
    """The fractional time step whose noise level it is, linear in log sigma between the trained ones."""
    ac = alphas_cumprod()
    log_sigmas = ((1 - ac) / ac).sqrt().log()
    low = int((sigma.log() >= log_sigmas).sum().sub(1).clamp(0, STEPS - 2))
    part = (sigma.log() - log_sigmas[low]) / (log_sigmas[low + 1] - log_sigmas[low])
    return low + part.clamp(0, 1)


def predict_noise(unet: UNet2DConditionModel, x: Tensor, t: Tensor, c: Tensor, u: Tensor, cfg: float) -> Tensor:
    """The predicted noise under classifier-free guidance. Ho and Salimans 2022, https://arxiv.org/abs/2207.12598."""
    if cfg == 1:
        return unet(x, t, c).sample
    e_u, e_c = unet(torch.cat([x, x]), t, torch.cat([u, c])).sample.chunk(2)
    return e_u + cfg * (e_c - e_u)


def start_noise(seeds: list[int]) -> Tensor:
    """A latent of unit noise for each seed."""
    return torch.stack([torch.randn(4, 16, 16, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


@torch.no_grad()
def dpmpp_2m(unet: UNet2DConditionModel, c: Tensor, u: Tensor, seeds: list[int], *, steps: int = 20, cfg: float = 4.0) -> Tensor:
    """DPM-Solver++(2M), Lu et al. 2022, https://arxiv.org/abs/2211.01095, algorithm 2, on Karras' steps."""
    sigmas = karras_sigmas(steps)
    x = start_noise(seeds) * sigmas[0]
    old: Tensor | None = None
    for i in range(steps):
        sigma, following = sigmas[i], sigmas[i + 1]
        e = predict_noise(unet, x / (sigma**2 + 1).sqrt(), timestep_of(sigma), c, u, cfg)
        denoised = x - sigma * e
        if following == 0:
            return denoised
        h = sigma.log() - following.log()
        d = denoised
        if old is not None:
            r = (sigmas[i - 1].log() - sigma.log()) / h
            d = denoised + (denoised - old) / (2 * r)
        x = following / sigma * x - torch.expm1(-h) * d
        old = denoised
    return x


def lcm_timesteps(steps: int, solver_steps: int = 50) -> Tensor:
    """Evenly spread steps of the teacher's solver, from the noisiest, as diffusers' ``LCMScheduler`` has them."""
    taught = torch.arange(1, solver_steps + 1) * (STEPS // solver_steps) - 1
    return taught.flip(0)[torch.linspace(0, solver_steps, steps + 1)[:-1].floor().long()]


@torch.no_grad()
def lcm(unet: UNet2DConditionModel, c: Tensor, seeds: list[int], *, steps: int = 4) -> Tensor:
    """Multistep consistency sampling, Luo et al. 2023, https://arxiv.org/abs/2310.04378: denoise, add noise again."""
    ac = alphas_cumprod()
    ts = lcm_timesteps(steps)
    x = start_noise(seeds)
    for i, t in enumerate(ts):
        a = ac[t]
        x0 = (x - (1 - a).sqrt() * unet(x, t, c).sample) / a.sqrt()
        if i + 1 == len(ts):
            return x0
        x = noised(x0, start_noise([seed + 7919 * (i + 1) for seed in seeds]), ac[ts[i + 1]])
    return x


@torch.no_grad()
def decode(vae: AutoencoderKL, z: Tensor) -> Tensor:
    """(B, 128, 128, 3) bytes."""
    y = vae.decode(z / SCALE).sample
    return ((y.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1)
