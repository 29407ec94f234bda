"""How predictions become one: variations of classifier-free guidance."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Interval

from engine.node import Round, Step, node
from engine.types import Conditioning, Model
from nodes.sizes import FineShare

Temperature = Annotated[float, Interval(ge=0.01, le=100.0), Step(0.001), Round(False)]
Norm = Annotated[float, Interval(ge=0.0, le=50.0), Step(0.1)]


@node("APG", category="sampling/custom_sampling", title="Adaptive Projected Guidance")
def adaptive_projected_guidance(
    model: Model,
    eta: Annotated[float, Interval(ge=-10.0, le=10.0), Step(0.01)] = 1.0,
    norm_threshold: Norm = 5.0,
    momentum: Annotated[float, Interval(ge=-5.0, le=1.0), Step(0.01)] = 0.0,
) -> Model:
    """Weaken the part of guidance that only raises contrast (``eta``), and cap its length."""
    from engine.diffusion.formulas import apg

    return model.with_before(apg(eta, norm_threshold, momentum))


@node("CFGZeroStar", category="advanced/guidance", outputs=("patched_model",))
def cfg_zero_star(model: Model) -> Model:
    """Scale the negative prediction to best match the positive one before guiding (CFG-Zero*)."""
    from engine.diffusion import formulas

    return model.with_after(formulas.cfg_zero_star())


@node("CFGNorm", category="advanced/guidance", outputs=("patched_model",), experimental=True)
def cfg_norm(model: Model, strength: Annotated[float, Interval(ge=0.0, le=100.0), Step(0.01)] = 1.0) -> Model:
    """Keep guidance from making the prediction longer than the positive one."""
    from engine.diffusion import formulas

    return model.with_after(formulas.cfg_norm(strength))


@node("TCFG", category="advanced/guidance", title="Tangential Damping CFG", outputs=("patched_model",))
def tcfg(model: Model) -> Model:
    """Drop the part of the negative prediction that lies across the direction both share."""
    from engine.diffusion import formulas

    return model.with_before(formulas.tcfg())


@node("Mahiro", category="_for_testing", title="Mahiro CFG", outputs=("patched_model",), experimental=True)
def mahiro(model: Model) -> Model:
    """Guide less where guidance and the positive prediction already agree."""
    from engine.diffusion import formulas

    return model.with_after(formulas.mahiro())


@node("Epsilon Scaling", category="model_patches/unet")
def epsilon_scaling(
    model: Model, scaling_factor: Annotated[float, Interval(ge=0.5, le=1.5), Step(0.001), Round(False)] = 1.005
) -> Model:
    """Divide the predicted noise by a factor near 1, against the exposure bias of long runs."""
    from engine.diffusion.formulas import scale_eps

    return model.with_after(scale_eps(scaling_factor))


@node("RenormCFG", category="advanced/model")
def renorm_cfg(
    model: Model,
    cfg_trunc: Annotated[float, Interval(ge=0.0, le=100.0), Step(0.01)] = 100.0,
    renorm_cfg: Annotated[float, Interval(ge=0.0, le=100.0), Step(0.01)] = 1.0,
) -> Model:
    """Keep guidance from making the prediction longer than the positive one, and guide only below a sigma."""
    from engine.diffusion import formulas

    return model.with_rule(formulas.renorm(cfg_trunc, renorm_cfg))


@node("PerpNeg", category="_for_testing", title="Perp-Neg (DEPRECATED by PerpNegGuider)", deprecated=True, experimental=True)
def perp_neg(
    model: Model, empty_conditioning: Conditioning, neg_scale: Annotated[float, Interval(ge=0.0, le=100.0), Step(0.01)] = 1.0
) -> Model:
    """Let the negative count only where it does not take the positive away; ``empty_conditioning`` is no prompt at all."""
    from engine.diffusion import formulas

    return model.with_rule(formulas.perp_neg(neg_scale), empty=empty_conditioning)


@node("VideoLinearCFGGuidance", category="sampling/video_models")
def video_linear_cfg_guidance(
    model: Model, min_cfg: Annotated[float, Interval(ge=0.0, le=100.0), Step(0.5), Round(0.01)] = 1.0
) -> Model:
    """Let the guidance scale rise over the frames, from ``min_cfg`` to the sampler's."""
    from engine.diffusion.formulas import linear_cfg

    return model.with_rule(linear_cfg(min_cfg))


@node("VideoTriangleCFGGuidance", category="sampling/video_models")
def video_triangle_cfg_guidance(
    model: Model, min_cfg: Annotated[float, Interval(ge=0.0, le=100.0), Step(0.5), Round(0.01)] = 1.0
) -> Model:
    """Let the guidance scale rise to the middle frame and fall again."""
    from engine.diffusion.formulas import triangle_cfg

    return model.with_rule(triangle_cfg(min_cfg))


@node("CFGOverride", category="advanced/guidance", title="CFG Override")
def cfg_override(
    model: Model,
    cfg: Annotated[float, Interval(ge=0.0, le=100.0), Step(0.1), Round(0.01)] = 1.0,
    start_percent: FineShare = 0.0,
    end_percent: FineShare = 1.0,
) -> Model:
    """Another guidance scale over a share of the sampling; of several that meet, the one nearest to the sampler holds."""
    return model.with_scale(cfg, start_percent, end_percent)


@node("TemporalScoreRescaling", category="advanced/guidance", outputs=("patched_model",), search_aliases=("tsr", "temperature"))
def temporal_score_rescaling(model: Model, tsr_k: Temperature = 0.95, tsr_sigma: Temperature = 1.0) -> Model:
    """Sample from a broader distribution (k below 1: more detail and variety) or a narrower one (k above 1), at no cost."""
    from engine.diffusion.temperature import rescaled_score

    return model if tsr_k == 1.0 else model.with_after(rescaled_score(tsr_k, tsr_sigma, model.sampling.flow))
