"""Models told to be sampled in another way than their family's own."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Interval

from engine.node import Round, Step, node
from engine.types import Model
from nodes.sizes import MAX_RESOLUTION, Share

Shift = Annotated[float, Interval(ge=0.0, le=100.0), Step(0.01)]
WideSigma = Annotated[float, Interval(ge=0.0, le=1000.0), Step(0.001), Round(False)]


@node("ModelSamplingDiscrete", category="advanced/model")
def model_sampling_discrete(
    model: Model, sampling: Literal["eps", "v_prediction", "lcm", "x0", "img_to_img"], zsnr: bool = False
) -> Model:
    """What the network predicts, on 1000 noise levels; ``zsnr`` makes the last one pure noise."""
    from engine.diffusion import parametrization

    kind = {"v_prediction": "v"}.get(sampling, sampling)
    return model.with_sampling(parametrization.discrete(kind, zsnr=zsnr))


@node("ModelSamplingContinuousEDM", category="advanced/model")
def model_sampling_continuous_edm(
    model: Model,
    sampling: Literal["v_prediction", "edm", "edm_playground_v2.5", "eps", "cosmos_rflow"],
    sigma_max: WideSigma = 120.0,
    sigma_min: WideSigma = 0.002,
) -> Model:
    """Noise levels without steps, between two sigmas."""
    from engine.diffusion import parametrization

    make = {
        "v_prediction": lambda: parametrization.edm_v(sigma_min, sigma_max),
        "edm": lambda: parametrization.edm(sigma_min, sigma_max),
        "edm_playground_v2.5": lambda: parametrization.edm(sigma_min, sigma_max, sigma_data=0.5),
        "eps": lambda: parametrization.edm_eps(sigma_min, sigma_max),
        "cosmos_rflow": lambda: parametrization.cosmos(sigma_min, sigma_max),
    }
    return model.with_sampling(make[sampling]())


@node("ModelSamplingContinuousV", category="advanced/model")
def model_sampling_continuous_v(
    model: Model, sampling: Literal["v_prediction"], sigma_max: WideSigma = 500.0, sigma_min: WideSigma = 0.03
) -> Model:
    """Velocity prediction on noise levels without steps."""
    from engine.diffusion import parametrization

    return model.with_sampling(parametrization.continuous_v(sigma_min, sigma_max))


@node("ModelSamplingStableCascade", category="advanced/model")
def model_sampling_stable_cascade(model: Model, shift: Shift = 2.0) -> Model:
    """Stable Cascade's cosine levels, shifted towards noise."""
    from engine.diffusion import parametrization

    return model.with_sampling(parametrization.cascade(shift))


@node("ModelSamplingSD3", category="advanced/model")
def model_sampling_sd3(model: Model, shift: Shift = 3.0) -> Model:
    """Rectified flow with the levels shifted towards noise."""
    from engine.diffusion import parametrization

    return model.with_sampling(parametrization.flow(shift, multiplier=1000.0))


@node("ModelSamplingAuraFlow", category="advanced/model")
def model_sampling_aura_flow(model: Model, shift: Shift = 1.73) -> Model:
    """As ModelSamplingSD3, for networks that take the level itself as their time."""
    from engine.diffusion import parametrization

    return model.with_sampling(parametrization.flow(shift, multiplier=1.0))


@node("ModelSamplingFlux", category="advanced/model")
def model_sampling_flux(
    model: Model,
    max_shift: Shift = 1.15,
    base_shift: Shift = 0.5,
    width: Annotated[int, Interval(ge=16, le=MAX_RESOLUTION), Step(8)] = 1024,
    height: Annotated[int, Interval(ge=16, le=MAX_RESOLUTION), Step(8)] = 1024,
) -> Model:
    """Flux's shift, which grows with the picture: ``base_shift`` at 256 image tokens, ``max_shift`` at 4096."""
    from engine.diffusion import parametrization

    tokens = width * height / (8 * 8 * 2 * 2)
    slope = (max_shift - base_shift) / (4096 - 256)
    return model.with_sampling(parametrization.flux(base_shift + slope * (tokens - 256)))


@node("RescaleCFG", category="advanced/model")
def rescale_cfg(model: Model, multiplier: Annotated[float, Interval(ge=0.0, le=1.0), Step(0.01)] = 0.7) -> Model:
    """Keep guidance from over-exposing: restore the spread of the positive prediction by this share."""
    from engine.diffusion.formulas import rescale

    return model.with_rule(rescale(multiplier))


@node("DifferentialDiffusion", category="_for_testing", title="Differential Diffusion", experimental=True)
def differential_diffusion(model: Model, strength: Share = 1.0) -> Model:
    """Let a soft inpainting mask say how much each place may change; with less strength it also blends as other masks do."""
    from functools import partial

    from engine.diffusion.model import differential

    return model.with_denoise_mask(differential if strength == 1.0 else partial(differential, strength=strength))
