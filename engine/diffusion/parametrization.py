"""What a network's output means: from x and the output at sigma to the clean latent, for each way of training.

A ``Parametrization`` joins the ``Levels`` a network knows with a ``Prediction``. Every sampler works with
x = x0 + sigma eps (variance-exploding) or, where ``flow`` is set, with x = (1 - sigma) x0 + sigma eps; whatever the
network was trained with is brought to one of the two here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

from torch import Tensor

from engine.diffusion.levels import AngleLevels, CosineLevels, DiscreteLevels, FlowLevels, Levels, LogLevels, OddsLevels, betas


class Prediction(Protocol):
    """``sigma`` is 0-d, or (B,) for one level a sample; ``x``, ``output`` and ``noise`` are (B, C, ...)."""

    flow: ClassVar[bool]

    def scale_input(self, x: Tensor, sigma: Tensor) -> Tensor: ...

    def denoised(self, x: Tensor, output: Tensor, sigma: Tensor) -> Tensor: ...

    def noise_scaling(self, sigma: Tensor, noise: Tensor, latent: Tensor, max_denoise: bool = False) -> Tensor:
        """The sampler's starting point; ``max_denoise`` says that sigma is the model's highest."""
        ...

    def inverse_noise_scaling(self, sigma: Tensor, latent: Tensor) -> Tensor:
        """What a sampler left at sigma, as a latent that ``noise_scaling`` may start from again."""
        ...


def along(sigma: Tensor, x: Tensor) -> Tensor:
    """``sigma`` shaped to multiply ``x``: (B,) becomes (B, 1, ...), a 0-d one stays."""
    return sigma.reshape(sigma.shape + (1,) * (x.ndim - sigma.ndim)) if sigma.ndim else sigma


@dataclass(frozen=True)
class _Exploding:
    """x = x0 + sigma eps, the input scaled to unit variance by c_in = 1 / sqrt(sigma^2 + sigma_data^2)."""

    sigma_data: float = 1.0
    flow: ClassVar[bool] = False

    def scale_input(self, x: Tensor, sigma: Tensor) -> Tensor:
        return x / (along(sigma, x) ** 2 + self.sigma_data**2).sqrt()

    def noise_scaling(self, sigma: Tensor, noise: Tensor, latent: Tensor, max_denoise: bool = False) -> Tensor:
        sigma = along(sigma, noise)
        return latent + noise * ((1 + sigma**2).sqrt() if max_denoise else sigma)

    def inverse_noise_scaling(self, sigma: Tensor, latent: Tensor) -> Tensor:
        return latent


class Epsilon(_Exploding):
    """The noise. Ho et al. 2020, https://arxiv.org/abs/2006.11239."""

    def denoised(self, x: Tensor, output: Tensor, sigma: Tensor) -> Tensor:
        return x - along(sigma, x) * output


class Sample(_Exploding):
    """The clean latent itself (x0)."""

    def denoised(self, x: Tensor, output: Tensor, sigma: Tensor) -> Tensor:
        return output


class Edm(_Exploding):
    """D = c_skip x + c_out F. Karras et al. 2022, https://arxiv.org/abs/2206.00364, Table 1."""

    def denoised(self, x: Tensor, output: Tensor, sigma: Tensor) -> Tensor:
        sigma = along(sigma, x)
        total = sigma**2 + self.sigma_data**2
        return x * self.sigma_data**2 / total + output * sigma * self.sigma_data / total.sqrt()


class Velocity(_Exploding):
    """v = alpha eps - sigma x0: EDM's output with the sign turned. Salimans & Ho 2022, https://arxiv.org/abs/2202.00512."""

    def denoised(self, x: Tensor, output: Tensor, sigma: Tensor) -> Tensor:
        sigma = along(sigma, x)
        total = sigma**2 + self.sigma_data**2
        return x * self.sigma_data**2 / total - output * sigma * self.sigma_data / total.sqrt()


class ImageToImage(Sample):
    """The clean latent from an unscaled input, in one step (Lotus)."""

    def scale_input(self, x: Tensor, sigma: Tensor) -> Tensor:
        return x


@dataclass(frozen=True)
class Consistency(_Exploding):
    """Noise, held at the boundary by c_skip and c_out with sigma_data 0.5 and the timestep times ten.

    Luo et al. 2023, https://arxiv.org/abs/2310.04378, section 4.1.
    """

    timestep: Callable[[Tensor], Tensor] = Tensor.clone

    def denoised(self, x: Tensor, output: Tensor, sigma: Tensor) -> Tensor:
        scaled = along(self.timestep(sigma) * 10, x)
        total = scaled**2 + 0.25
        return (x - along(sigma, x) * output) * scaled / total.sqrt() + x * 0.25 / total


@dataclass(frozen=True)
class Flow:
    """v = eps - x0 on x = (1 - sigma) x0 + sigma eps. Liu et al. 2022, https://arxiv.org/abs/2209.03003."""

    flow: ClassVar[bool] = True

    def scale_input(self, x: Tensor, sigma: Tensor) -> Tensor:
        return x

    def denoised(self, x: Tensor, output: Tensor, sigma: Tensor) -> Tensor:
        return x - along(sigma, x) * output

    def noise_scaling(self, sigma: Tensor, noise: Tensor, latent: Tensor, max_denoise: bool = False) -> Tensor:
        sigma = along(sigma, noise)
        return sigma * noise + (1 - sigma) * latent

    def inverse_noise_scaling(self, sigma: Tensor, latent: Tensor) -> Tensor:
        return latent / (1 - along(sigma, latent))


class ExplodingFlow(_Exploding):
    """A flow network seen through x / (1 + sigma), its own sigma being sigma / (1 + sigma) (Cosmos Predict2)."""

    def scale_input(self, x: Tensor, sigma: Tensor) -> Tensor:
        return x / (1 + along(sigma, x))

    def denoised(self, x: Tensor, output: Tensor, sigma: Tensor) -> Tensor:
        sigma = along(sigma, x)
        return (x - sigma * output) / (1 + sigma)

    def noise_scaling(self, sigma: Tensor, noise: Tensor, latent: Tensor, max_denoise: bool = False) -> Tensor:
        return latent + along(sigma, noise) * noise


@dataclass(frozen=True)
class Parametrization:
    """The levels a network knows and the meaning of its output; all a schedule, a sampler or a guider asks of a model."""

    levels: Levels
    prediction: Prediction

    @property
    def flow(self) -> bool:
        return self.prediction.flow

    @property
    def sigmas(self) -> Tensor:
        return self.levels.sigmas

    @property
    def sigma_min(self) -> float:
        return float(self.levels.sigmas[0])

    @property
    def sigma_max(self) -> float:
        return float(self.levels.sigmas[-1])

    def timestep(self, sigma: Tensor) -> Tensor:
        return self.levels.timestep(sigma)

    def sigma(self, timestep: Tensor) -> Tensor:
        return self.levels.sigma(timestep)

    def percent_to_sigma(self, percent: float) -> float:
        return self.levels.percent_to_sigma(percent)

    def scale_input(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.prediction.scale_input(x, sigma)

    def denoised(self, x: Tensor, output: Tensor, sigma: Tensor) -> Tensor:
        return self.prediction.denoised(x, output, sigma)

    def noise_scaling(self, sigma: Tensor, noise: Tensor, latent: Tensor, max_denoise: bool = False) -> Tensor:
        return self.prediction.noise_scaling(sigma, noise, latent, max_denoise)

    def inverse_noise_scaling(self, sigma: Tensor, latent: Tensor) -> Tensor:
        return self.prediction.inverse_noise_scaling(sigma, latent)

    def starts_at_max(self, sigmas: Tensor) -> bool:
        """Whether a schedule starts at the model's highest level, where the latent is drowned: ``max_denoise``."""
        first = float(sigmas[0])
        return first > self.sigma_max or math.isclose(first, self.sigma_max, rel_tol=1e-5)


PREDICTIONS: dict[str, Callable[[], Prediction]] = {"eps": Epsilon, "v": Velocity, "x0": Sample, "img_to_img": ImageToImage}


def discrete(
    prediction: str = "eps", *, zsnr: bool = False, quantize: bool = True, alphas_cumprod: Tensor | None = None,
    kind: str = "scaled_linear", start: float = 0.00085, end: float = 0.012, steps: int = 1000,
) -> Parametrization:
    """Stable Diffusion 1, 2, XL and kin: ``prediction`` is eps, v, x0, img_to_img or lcm (50 levels, distilled)."""
    if alphas_cumprod is None:
        alphas_cumprod = (1 - betas(kind, start, end, steps)).cumprod(0)
    levels = DiscreteLevels.of(alphas_cumprod, zsnr=zsnr, quantize=quantize)
    if prediction == "lcm":
        levels = levels.distilled()
        return Parametrization(levels, Consistency(timestep=levels.timestep))
    if prediction not in PREDICTIONS:
        raise ValueError(f"prediction {prediction!r} is not known; use one of {', '.join([*PREDICTIONS, 'lcm'])}")
    return Parametrization(levels, PREDICTIONS[prediction]())


def edm(sigma_min: float = 0.002, sigma_max: float = 120.0, sigma_data: float = 1.0) -> Parametrization:
    """CosXL (the defaults), Playground 2.5 (sigma_max 80, sigma_data 0.5)."""
    return Parametrization(LogLevels(sigma_min, sigma_max), Edm(sigma_data))


def edm_v(sigma_min: float = 0.002, sigma_max: float = 700.0, sigma_data: float = 1.0) -> Parametrization:
    """Stable Video Diffusion: v-prediction at EDM's levels."""
    return Parametrization(LogLevels(sigma_min, sigma_max), Velocity(sigma_data))


def edm_eps(sigma_min: float = 0.002, sigma_max: float = 120.0) -> Parametrization:
    """Noise prediction at EDM's levels."""
    return Parametrization(LogLevels(sigma_min, sigma_max), Epsilon())


def continuous_v(sigma_min: float = 0.03, sigma_max: float = 500.0) -> Parametrization:
    """Stable Audio: v-prediction over the angle."""
    return Parametrization(AngleLevels(sigma_min, sigma_max), Velocity())


def flow(shift: float = 1.0, multiplier: float = 1000.0, steps: int = 1000) -> Parametrization:
    """SD3, AuraFlow (multiplier 1), HunyuanVideo, Wan, Qwen-Image ...: rectified flow."""
    return Parametrization(FlowLevels(shift, multiplier, steps), Flow())


def flux(mu: float = 1.15) -> Parametrization:
    """FLUX: rectified flow whose shift is exp(mu), mu growing with the number of image tokens."""
    return flow(math.exp(mu), multiplier=1.0, steps=10000)


def cascade(shift: float = 1.0) -> Parametrization:
    """Stable Cascade: shift 2 for stage C, 1 for stage B."""
    return Parametrization(CosineLevels(shift), Epsilon())


def cosmos(sigma_min: float = 0.002, sigma_max: float = 80.0) -> Parametrization:
    """Cosmos Predict2."""
    return Parametrization(OddsLevels(sigma_min, sigma_max), ExplodingFlow())
