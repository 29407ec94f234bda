"""Noise levels and the meaning of a network's output, by ComfyUI's names."""

from __future__ import annotations

from typing import Any, Self

from engine.comfy.finder import missing
from engine.diffusion.parametrization import Parametrization

__getattr__ = missing(__name__)


class ModelSampling:
    """Around a parametrization of the engine."""

    _inner: Parametrization

    @classmethod
    def of_engine(cls, inner: Parametrization) -> Self:
        made = cls.__new__(cls)
        made._inner = inner
        return made

    def parametrization(self) -> Parametrization:
        """What the engine samples with."""
        return self._inner

    @property
    def sigmas(self) -> Any:
        return self.parametrization().sigmas

    @property
    def sigma_min(self) -> Any:
        return self.sigmas[0]

    @property
    def sigma_max(self) -> Any:
        return self.sigmas[-1]

    @property
    def sigma_data(self) -> float:
        return float(getattr(self.parametrization().prediction, "sigma_data", 1.0))

    @property
    def num_timesteps(self) -> int:
        return len(self.sigmas)

    def timestep(self, sigma: Any) -> Any:
        return self.parametrization().timestep(sigma)

    def sigma(self, timestep: Any) -> Any:
        return self.parametrization().sigma(timestep)

    def percent_to_sigma(self, percent: float) -> float:
        return self.parametrization().percent_to_sigma(percent)

    def calculate_input(self, sigma: Any, noise: Any) -> Any:
        return self.parametrization().scale_input(noise, sigma)

    def calculate_denoised(self, sigma: Any, model_output: Any, model_input: Any) -> Any:
        return self.parametrization().denoised(model_input, model_output, sigma)

    def noise_scaling(self, sigma: Any, noise: Any, latent_image: Any, max_denoise: bool = False) -> Any:
        return self.parametrization().noise_scaling(sigma, noise, latent_image, max_denoise)

    def inverse_noise_scaling(self, sigma: Any, latent: Any) -> Any:
        return self.parametrization().inverse_noise_scaling(sigma, latent)


class _Prediction:
    """Says by its name what the output means; mixed with a class of levels by packs."""

    kind = "eps"


class EPS(_Prediction):
    """Noise."""


class V_PREDICTION(_Prediction):
    kind = "v"


class X0(_Prediction):
    kind = "x0"


class EDM(_Prediction):
    kind = "edm"


class CONST(_Prediction):
    kind = "flow"


class ModelSamplingDiscrete(ModelSampling):
    """A thousand levels of a beta schedule."""

    def __init__(self, model_config: Any = None, zsnr: bool | None = None) -> None:
        self.zsnr = bool(zsnr)

    def parametrization(self) -> Parametrization:
        from engine.diffusion import parametrization

        if "_inner" not in self.__dict__:
            kind = getattr(self, "kind", "eps")
            self._inner = parametrization.discrete(
                kind if kind in ("eps", "v", "x0") else "eps", zsnr=getattr(self, "zsnr", False)
            )
        return self._inner


class ModelSamplingDiscreteFlow(ModelSampling):
    """Rectified flow."""

    def __init__(self, model_config: Any = None) -> None:
        self.shift, self.multiplier = 1.0, 1000.0

    def set_parameters(self, shift: float = 1.0, timesteps: int = 1000, multiplier: float = 1000) -> None:
        self.shift, self.multiplier = shift, float(multiplier)
        self.__dict__.pop("_inner", None)

    def parametrization(self) -> Parametrization:
        from engine.diffusion import parametrization

        if "_inner" not in self.__dict__:
            self._inner = parametrization.flow(self.shift, self.multiplier)
        return self._inner


class ModelSamplingFlux(ModelSampling):
    """Rectified flow, shifted by mu."""

    def __init__(self, model_config: Any = None) -> None:
        self.shift = 1.15

    def set_parameters(self, shift: float = 1.15, timesteps: int = 10000) -> None:
        self.shift = shift
        self.__dict__.pop("_inner", None)

    def parametrization(self) -> Parametrization:
        from engine.diffusion import parametrization

        if "_inner" not in self.__dict__:
            self._inner = parametrization.flux(self.shift)
        return self._inner


class ModelSamplingContinuousEDM(ModelSampling):
    """Levels evenly spaced in their logarithm."""

    def __init__(self, model_config: Any = None) -> None:
        self.limits = (0.002, 120.0, 1.0)

    def set_parameters(self, sigma_min: float, sigma_max: float, sigma_data: float = 1.0) -> None:
        self.limits = (sigma_min, sigma_max, sigma_data)
        self.__dict__.pop("_inner", None)

    def parametrization(self) -> Parametrization:
        from engine.diffusion import parametrization

        if "_inner" not in self.__dict__:
            make = parametrization.edm_v if getattr(self, "kind", "") == "v" else parametrization.edm
            self._inner = make(*self.limits)
        return self._inner
