"""Sampling taken apart: noise, guider, sampler and sigmas as values of their own."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from annotated_types import Interval

from engine.node import Advanced, Round, Run, Step, node
from engine.types import Conditioning, Guider, Latent, Model, Noise, Sampler, SamplerName, Sigmas
from nodes.reports import remark, reporting
from nodes.sampling import Cfg, NoiseSeed
from nodes.sizes import FineShare

Strength = Annotated[float, Interval(ge=0.0, le=100.0), Step(0.01), Round(False)]
Device = Literal["gpu", "cpu"]


class Sampled(NamedTuple):
    output: Latent
    denoised_output: Latent


@node("SamplerCustomAdvanced", category="sampling/custom_sampling")
def sampler_custom_advanced(
    noise: Noise, guider: Guider, sampler: Sampler, sigmas: Sigmas, latent_image: Latent, *, run: Run
) -> Sampled:
    """Sample with any noise, guider, sampler and sigmas; the second output is the last step's clean estimate."""
    from engine.diffusion.sampling import sample

    remark(run, guider.model, guider.conditionings.get("positive", ()), latent_image, len(sigmas) - 1)
    done = sample(guider, noise, sampler, sigmas, latent_image, report=reporting(run), journal=run.journal)
    return Sampled(*done)


@node("SamplerCustom", category="sampling/custom_sampling")
def sampler_custom(
    model: Model,
    add_noise: bool = True,
    noise_seed: NoiseSeed = 0,
    cfg: Cfg = 8.0,
    *,
    positive: Conditioning,
    negative: Conditioning,
    sampler: Sampler,
    sigmas: Sigmas,
    latent_image: Latent,
    run: Run,
) -> Sampled:
    """Sample with a chosen sampler and sigmas under classifier-free guidance."""
    from engine.diffusion.guidance import cfg_guider
    from engine.diffusion.sampling import NoNoise, RandomNoise, sample

    remark(run, model, positive, latent_image, len(sigmas) - 1)
    noise = RandomNoise(noise_seed) if add_noise else NoNoise(noise_seed)
    guider = cfg_guider(model, positive, negative, cfg)
    return Sampled(*sample(guider, noise, sampler, sigmas, latent_image, report=reporting(run), journal=run.journal))


@node("RandomNoise", category="sampling/custom_sampling/noise")
def random_noise(noise_seed: NoiseSeed = 0) -> Noise:
    """Seeded Gaussian noise."""
    from engine.diffusion.sampling import RandomNoise

    return RandomNoise(noise_seed)


@node("DisableNoise", category="sampling/custom_sampling/noise")
def disable_noise() -> Noise:
    """No noise: for latents that hold some already."""
    from engine.diffusion.sampling import NoNoise

    return NoNoise()


@node("BasicGuider", category="sampling/custom_sampling/guiders")
def basic_guider(model: Model, conditioning: Conditioning) -> Guider:
    """One prompt, no guidance."""
    from engine.diffusion import guidance

    return guidance.basic_guider(model, conditioning)


@node("CFGGuider", category="sampling/custom_sampling/guiders")
def cfg_guider(model: Model, positive: Conditioning, negative: Conditioning, cfg: Cfg = 8.0) -> Guider:
    """Classifier-free guidance between a positive and a negative prompt."""
    from engine.diffusion import guidance

    return guidance.cfg_guider(model, positive, negative, cfg)


@node("DualCFGGuider", category="sampling/custom_sampling/guiders")
def dual_cfg_guider(
    model: Model,
    cond1: Conditioning,
    cond2: Conditioning,
    negative: Conditioning,
    cfg_conds: Cfg = 8.0,
    cfg_cond2_negative: Cfg = 8.0,
    style: Literal["regular", "nested"] = "regular",
) -> Guider:
    """Two prompts with a scale each: the first against the second, the second against the negative."""
    from engine.diffusion import guidance

    return guidance.dual_cfg_guider(model, cond1, cond2, negative, cfg_conds, cfg_cond2_negative, style == "nested")


@node("DualModelGuider", category="sampling/custom_sampling/guiders", search_aliases=("autoguidance",))
def dual_model_guider(
    model: Model,
    model_negative: Model | None = None,
    *,
    positive: Conditioning,
    cfg: Cfg = 4.0,
    negative: Conditioning | None = None,
) -> Guider:
    """Guidance with the negative prediction of another model; without a negative prompt that of no text at all."""
    from engine.diffusion.two_models import two_model_guider

    return two_model_guider(model, model_negative, positive, negative, cfg)


@node("PerpNegGuider", category="_for_testing", experimental=True)
def perp_neg_guider(
    model: Model,
    positive: Conditioning,
    negative: Conditioning,
    empty_conditioning: Conditioning,
    cfg: Cfg = 8.0,
    neg_scale: Annotated[float, Interval(ge=0.0, le=100.0), Step(0.01)] = 1.0,
) -> Guider:
    """Push away only from what the negative prompt does not share with the positive one."""
    from engine.diffusion import guidance

    return guidance.perp_neg_guider(model, positive, negative, empty_conditioning, cfg, neg_scale)


@node("KSamplerSelect", category="sampling/custom_sampling/samplers")
def ksampler_select(sampler_name: SamplerName) -> Sampler:
    """A sampler by its name, with its default settings."""
    from engine.diffusion.sampling import named_sampler

    return named_sampler(sampler_name)


@node("SamplerEulerAncestral", category="sampling/custom_sampling/samplers")
def sampler_euler_ancestral(eta: Strength = 1.0, s_noise: Strength = 1.0) -> Sampler:
    """Euler with fresh noise: ``eta`` 0 is plain Euler."""
    from engine.diffusion.sampling import named_sampler

    return named_sampler("euler_ancestral", eta=eta, s_noise=s_noise)


@node("SamplerEulerAncestralCFGPP", category="sampling/custom_sampling/samplers", title="SamplerEulerAncestralCFG++")
def sampler_euler_ancestral_cfg_pp(
    eta: Annotated[float, Interval(ge=0.0, le=1.0), Step(0.01), Round(False)] = 1.0,
    s_noise: Annotated[float, Interval(ge=0.0, le=10.0), Step(0.01), Round(False)] = 1.0,
) -> Sampler:
    """Euler ancestral that renoises with the unconditional prediction (CFG++)."""
    from engine.diffusion.sampling import named_sampler

    return named_sampler("euler_ancestral_cfg_pp", eta=eta, s_noise=s_noise)


@node("SamplerEulerCFGpp", category="_for_testing", title="SamplerEulerCFG++", experimental=True)
def sampler_euler_cfg_pp(version: Annotated[Literal["regular", "alternative"], Advanced()] = "regular") -> Sampler:
    """Euler that renoises with the unconditional prediction (CFG++)."""
    from engine.diffusion.sampling import named_sampler

    return named_sampler("euler_cfg_pp")


@node("SamplerLMS", category="sampling/custom_sampling/samplers")
def sampler_lms(order: Annotated[int, Interval(ge=1, le=100)] = 4) -> Sampler:
    """Linear multistep of a chosen order."""
    from engine.diffusion.sampling import named_sampler

    return named_sampler("lms", order=order)


@node("SamplerDPMPP_3M_SDE", category="sampling/custom_sampling/samplers")
def sampler_dpmpp_3m_sde(eta: Strength = 1.0, s_noise: Strength = 1.0, noise_device: Device = "gpu") -> Sampler:
    """DPM++ 3M SDE. Noise comes from the CPU either way, so a seed means the same picture everywhere."""
    from engine.diffusion.sampling import named_sampler

    return named_sampler("dpmpp_3m_sde_gpu" if noise_device == "gpu" else "dpmpp_3m_sde", eta=eta, s_noise=s_noise)


@node("SamplerDPMPP_2M_SDE", category="sampling/custom_sampling/samplers")
def sampler_dpmpp_2m_sde(
    solver_type: Literal["midpoint", "heun"], eta: Strength = 1.0, s_noise: Strength = 1.0, noise_device: Device = "gpu"
) -> Sampler:
    """DPM++ 2M SDE with a choice of solver."""
    from engine.diffusion.sampling import named_sampler

    name = "dpmpp_2m_sde_gpu" if noise_device == "gpu" else "dpmpp_2m_sde"
    return named_sampler(name, solver_type=solver_type, eta=eta, s_noise=s_noise)


@node("SamplerDPMPP_SDE", category="sampling/custom_sampling/samplers")
def sampler_dpmpp_sde(eta: Strength = 1.0, s_noise: Strength = 1.0, r: Strength = 0.5, noise_device: Device = "gpu") -> Sampler:
    """DPM++ SDE; ``r`` is where within a step the second network call lies."""
    from engine.diffusion.sampling import named_sampler

    return named_sampler("dpmpp_sde_gpu" if noise_device == "gpu" else "dpmpp_sde", eta=eta, s_noise=s_noise, r=r)


@node("SamplerDPMPP_2S_Ancestral", category="sampling/custom_sampling/samplers")
def sampler_dpmpp_2s_ancestral(eta: Strength = 1.0, s_noise: Strength = 1.0) -> Sampler:
    """DPM++ 2S with fresh noise."""
    from engine.diffusion.sampling import named_sampler

    return named_sampler("dpmpp_2s_ancestral", eta=eta, s_noise=s_noise)


@node("SamplerDPMAdaptative", category="sampling/custom_sampling/samplers")
def sampler_dpm_adaptive(
    order: Annotated[int, Interval(ge=2, le=3)] = 3,
    rtol: Strength = 0.05,
    atol: Strength = 0.0078,
    h_init: Strength = 0.05,
    pcoeff: Strength = 0.0,
    icoeff: Strength = 1.0,
    dcoeff: Strength = 0.0,
    accept_safety: Strength = 0.81,
    eta: Strength = 0.0,
    s_noise: Strength = 1.0,
) -> Sampler:
    """DPM-Solver with a step size controlled by its error."""
    from engine.diffusion.sampling import named_sampler

    return named_sampler(
        "dpm_adaptive", order=order, rtol=rtol, atol=atol, h_init=h_init, pcoeff=pcoeff, icoeff=icoeff, dcoeff=dcoeff,
        accept_safety=accept_safety, eta=eta, s_noise=s_noise,
    )  # fmt: skip


@node("SamplerLCMUpscale", category="sampling/custom_sampling/samplers")
def sampler_lcm_upscale(
    scale_ratio: Annotated[float, Interval(ge=0.1, le=20.0), Step(0.01)] = 1.0,
    scale_steps: Annotated[int, Interval(ge=-1, le=1000)] = -1,
    upscale_method: Literal["bislerp", "nearest-exact", "bilinear", "area", "bicubic"] = "bislerp",
) -> Sampler:
    """LCM that enlarges the picture between its first steps; -1 is half of them."""
    from engine.diffusion.samplers.lcm_upscale import LcmUpscale

    return LcmUpscale.made(scale_ratio, None if scale_steps < 0 else scale_steps, upscale_method)


@node("SamplerER_SDE", category="sampling/custom_sampling/samplers")
def sampler_er_sde(
    solver_type: Literal["ER-SDE", "Reverse-time SDE", "ODE"] = "ER-SDE",
    max_stage: Annotated[int, Interval(ge=1, le=3)] = 3,
    eta: Strength = 1.0,
    s_noise: Strength = 1.0,
) -> Sampler:
    """Extended reverse-time SDE solver."""
    from engine.diffusion.sampling import named_sampler

    return named_sampler("er_sde", solver_type=solver_type, max_stage=max_stage, eta=eta, s_noise=s_noise)


@node("SamplerSEEDS2", category="sampling/custom_sampling/samplers", search_aliases=("exponential heun", "exp_heun_2_x0"))
def sampler_seeds_2(
    solver_type: Literal["phi_1", "phi_2"],
    eta: Strength = 1.0,
    s_noise: Strength = 1.0,
    r: Annotated[float, Interval(ge=0.01, le=1.0), Step(0.01), Round(False)] = 0.5,
) -> Sampler:
    """SEEDS-2 with its inner point at a share of the step; "phi_2" with r 1 is exponential Heun, stochastic unless eta is 0."""
    from engine.diffusion.sampling import named_sampler

    return named_sampler("seeds_2", solver_type=solver_type, eta=eta, s_noise=s_noise, r=r)


Order = Annotated[int, Interval(ge=0, le=6)]


@node("SamplerSASolver", category="sampling/custom_sampling/samplers")
def sampler_sa_solver(
    model: Model,
    eta: Annotated[float, Interval(ge=0.0, le=10.0), Step(0.01), Round(False)] = 1.0,
    sde_start_percent: FineShare = 0.2,
    sde_end_percent: FineShare = 0.8,
    s_noise: Strength = 1.0,
    predictor_order: Annotated[int, Interval(ge=1, le=6)] = 3,
    corrector_order: Order = 4,
    use_pece: bool = False,
    simple_order_2: bool = False,
) -> Sampler:
    """Stochastic Adams solver, with noise only over a share of the sampling."""
    from engine.diffusion.sampling import named_sampler

    percent = model.sampling.percent_to_sigma
    return named_sampler(
        "sa_solver", eta=eta, tau_start=percent(sde_start_percent), tau_end=percent(sde_end_percent), s_noise=s_noise,
        predictor_order=predictor_order, corrector_order=corrector_order, use_pece=use_pece, simple_order_2=simple_order_2,
    )  # fmt: skip
