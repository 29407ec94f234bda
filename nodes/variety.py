"""Variety among seeds and detail in pictures: changes of prompts, starting noise, guidance and samplers."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Interval

from engine.node import Advanced, Seed, Step, node
from engine.types import Conditioning, Model, Noise, Sampler
from nodes.sampling import NoiseSeed
from nodes.sizes import Count, Share


@node("SeedVariance", category="conditioning/variety", title="Seed Variance", search_aliases=("embedding noise", "variety"))
def seed_variance(
    conditioning: Conditioning,
    strength: Annotated[float, Interval(ge=0.0, le=10.0), Step(0.01)] = 0.1,
    share: Share = 0.5,
    end_percent: Share = 0.3,
    seed: Seed = 0,
    batch_size: Count = 1,
) -> Conditioning:
    """Noise on the prompt's embedding while the composition forms: each seed reads the prompt a little differently.

    ``batch_size`` gives each picture of a batch its own reading.
    """
    from engine.diffusion.variety import embedding_noise

    return Conditioning(embedding_noise(conditioning, strength, share, end_percent, seed, batch_size))


@node("CADS", category="conditioning/variety", title="CADS (Annealed Prompt)", search_aliases=("variety", "condition annealing"))
def cads(
    conditioning: Conditioning,
    noise_scale: Annotated[float, Interval(ge=0.0, le=5.0), Step(0.01)] = 0.25,
    t1: Share = 0.6,
    t2: Share = 0.9,
    rescale: Share = 0.0,
    seed: Seed = 0,
    batch_size: Count = 1,
) -> Conditioning:
    """Begin with noise in place of the prompt and let the prompt come through as the picture forms."""
    from engine.diffusion import variety

    return Conditioning(variety.cads(conditioning, noise_scale, t1, t2, rescale, seed, batch_size))


@node(
    "VariationNoise",
    category="sampling/custom_sampling/noise",
    title="Variation Noise",
    search_aliases=("variation seed", "slerp"),
)
def variation_noise(noise_seed: NoiseSeed = 0, variation_seed: Seed = 1, strength: Share = 0.2) -> Noise:
    """A seed's noise moved towards another's: at a small strength, variations of one picture."""
    from engine.diffusion import variety
    from engine.diffusion.sampling import RandomNoise

    return variety.VariationNoise(RandomNoise(noise_seed), RandomNoise(variation_seed), strength)


@node("SkimmedCFG", category="advanced/guidance", title="Skimmed CFG")
def skimmed_cfg(
    model: Model,
    skimming_cfg: Annotated[float, Interval(ge=0.0, le=10.0), Step(0.5)] = 7.0,
    full_skim_negative: bool = False,
) -> Model:
    """High guidance without burnt colours: where it runs away it counts as guidance at ``skimming_cfg``."""
    from engine.diffusion.variety import skimmed

    return model.with_before(skimmed(skimming_cfg, full_skim_negative))


@node(
    "DetailSampler",
    category="sampling/custom_sampling/samplers",
    title="Detail (Sigma Offset)",
    search_aliases=("detail daemon", "lying sigma"),
)
def detail_sampler(
    sampler: Sampler,
    amount: Annotated[float, Interval(ge=-0.5, le=0.5), Step(0.005)] = 0.05,
    start: Share = 0.2,
    end: Share = 0.8,
    bias: Annotated[Share, Advanced()] = 0.5,
    smooth: Annotated[bool, Advanced()] = True,
) -> Sampler:
    """Tell the network of less noise than there is during a part of the run: it adds detail. Below 0 it smooths."""
    from engine.diffusion.variety import detailed

    return detailed(sampler, amount, start, end, bias, smooth)


@node("SamplerTCD", category="sampling/custom_sampling/samplers")
def sampler_tcd(eta: Share = 0.3) -> Sampler:
    """For distilled models: ``eta`` 0 keeps each step's noise as Euler does, 1 draws nearly all of it anew as LCM does."""
    from engine.diffusion.samplers.tcd import Tcd

    return Tcd(options={"eta": eta})


@node("FreSca", category="_for_testing", experimental=True)
def frequency_scaled_guidance(
    model: Model,
    scale_low: Annotated[float, Interval(ge=0.0, le=10.0), Step(0.01)] = 1.0,
    scale_high: Annotated[float, Interval(ge=0.0, le=10.0), Step(0.01)] = 1.25,
    freq_cutoff: Annotated[int, Interval(ge=1, le=10_000)] = 20,
) -> Model:
    """Guidance with a scale for coarse and one for fine structure."""
    from engine.diffusion.edits.blocks import low_frequencies
    from engine.diffusion.formulas import on_guidance

    return model.with_before(on_guidance(lambda guidance: low_frequencies(guidance, scale_low, freq_cutoff, scale_high)))
