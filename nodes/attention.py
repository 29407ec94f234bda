"""What happens inside a UNet changed: attention, skip connections, the size of the picture within."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Interval

from engine.node import Multiline, Round, Step, node
from engine.types import Clip, Conditioning, Model
from nodes.sizes import FineShare, LatentResize, Share, Strength10

Guidance = Annotated[float, Interval(ge=0.0, le=100.0), Step(0.01), Round(0.01)]
Block = Annotated[int, Interval(ge=1, le=32)]


@node("PerturbedAttentionGuidance", category="model_patches/unet", search_aliases=("PAG",))
def perturbed_attention_guidance(model: Model, scale: Guidance = 3.0) -> Model:
    """Away from what the model draws when its middle block cannot look around: better structure. One more network call a step."""
    from engine.diffusion.edits.attention import identity
    from engine.diffusion.formulas import perturbed

    return model.with_after(perturbed(scale, identity())) if scale else model


@node("SmoothedEnergyGuidance", category="model_patches/unet", search_aliases=("SEG",))
def smoothed_energy_guidance(
    model: Model, scale: Guidance = 3.0, blur_sigma: Annotated[float, Interval(ge=0.0, le=9999.0), Step(0.5)] = 9999.0
) -> Model:
    """Away from what the model draws when its middle block's attention is blurred; 9999 blurs without bound."""
    from engine.diffusion.edits.attention import blurred_queries
    from engine.diffusion.formulas import perturbed

    return model.with_after(perturbed(scale, blurred_queries(blur_sigma))) if scale else model


@node(
    "SelfAttentionGuidance", category="_for_testing", title="Self-Attention Guidance", experimental=True, search_aliases=("SAG",)
)
def self_attention_guidance(
    model: Model,
    scale: Annotated[float, Interval(ge=-2.0, le=5.0), Step(0.01)] = 0.5,
    blur_sigma: Annotated[float, Interval(ge=0.0, le=10.0), Step(0.1)] = 2.0,
) -> Model:
    """Away from what the model makes of a picture blurred where its attention lies. One more network call a step."""
    from engine.diffusion.edits import guidance

    return guidance.self_attention_guidance(model, scale, blur_sigma)


@node(
    "NAGuidance", category="advanced/guidance", title="Normalized Attention Guidance", search_aliases=("NAG", "negative prompt")
)
def normalized_attention_guidance(
    model: Model,
    nag_scale: Annotated[float, Interval(ge=0.0, le=50.0), Step(0.1)] = 5.0,
    nag_alpha: Share = 0.5,
    nag_tau: Annotated[float, Interval(ge=1.0, le=10.0), Step(0.01)] = 1.5,
    *,
    negative: Conditioning | None = None,
) -> Model:
    """A negative prompt that works at cfg 1, for distilled models: inside attention, at the price of a second look at the text.

    The negative is the sampler's own, or ``negative`` if it is connected.
    """
    from engine.diffusion.edits.attention import Nag

    return model.with_edit(Nag(nag_scale, nag_alpha, nag_tau, negative))


@node("UNetSelfAttentionMultiply", category="_for_testing/attention_experiments", experimental=True)
def unet_self_attention_multiply(
    model: Model, q: Strength10 = 1.0, k: Strength10 = 1.0, v: Strength10 = 1.0, out: Strength10 = 1.0
) -> Model:
    """Scale the queries, keys, values and results of attention within the picture."""
    from engine.diffusion.edits.attention import multiply

    return model.with_edit(multiply("attn1", q, k, v, out))


@node("UNetCrossAttentionMultiply", category="_for_testing/attention_experiments", experimental=True)
def unet_cross_attention_multiply(
    model: Model, q: Strength10 = 1.0, k: Strength10 = 1.0, v: Strength10 = 1.0, out: Strength10 = 1.0
) -> Model:
    """Scale the queries, keys, values and results of attention to the text."""
    from engine.diffusion.edits.attention import multiply

    return model.with_edit(multiply("attn2", q, k, v, out))


@node("UNetTemporalAttentionMultiply", category="_for_testing/attention_experiments", experimental=True)
def unet_temporal_attention_multiply(
    model: Model,
    self_structural: Strength10 = 1.0,
    self_temporal: Strength10 = 1.0,
    cross_structural: Strength10 = 1.0,
    cross_temporal: Strength10 = 1.0,
) -> Model:
    """Scale what a film model's attention finds, within pictures (structural) and along time (temporal) apart."""
    from engine.diffusion.edits.attention import multiply

    factors = ((("attn1", False), self_structural), (("attn1", True), self_temporal), (("attn2", False), cross_structural),
               (("attn2", True), cross_temporal))  # fmt: skip
    for (kind, temporal), factor in factors:
        model = model.with_edit(multiply(kind, out=factor, temporal=temporal))
    return model


@node("CLIPAttentionMultiply", category="_for_testing/attention_experiments", experimental=True)
def clip_attention_multiply(
    clip: Clip, q: Strength10 = 1.0, k: Strength10 = 1.0, v: Strength10 = 1.0, out: Strength10 = 1.0
) -> Clip:
    """Scale the queries, keys, values and results of attention within the text encoder."""
    from engine.diffusion.edits.text import multiply_text

    return multiply_text(clip, q, k, v, out)


@node("SkipLayerGuidanceUNet", category="advanced/guidance", title="Skip Layer Guidance (UNet)", search_aliases=("SLG",))
def skip_layer_guidance_unet(
    model: Model,
    scale: Guidance = 3.0,
    blocks: Annotated[str, Multiline(False)] = "middle.0",
    start_percent: FineShare = 0.0,
    end_percent: FineShare = 1.0,
) -> Model:
    """Away from what the model draws when some of its transformer blocks are left out.

    ``blocks``: by commas, input.N, middle.N or output.N; N counts the transformer blocks of that part from 0.
    """
    from engine.diffusion.edits.blocks import skipped
    from engine.diffusion.formulas import perturbed

    first, last = (model.sampling.percent_to_sigma(percent) for percent in (start_percent, end_percent))
    return model.with_after(perturbed(scale, skipped(blocks), first, last)) if scale else model


FreeB = Annotated[float, Interval(ge=0.0, le=10.0), Step(0.01)]


@node("FreeU", category="model_patches/unet")
def freeu(model: Model, b1: FreeB = 1.1, b2: FreeB = 1.2, s1: FreeB = 0.9, s2: FreeB = 0.2) -> Model:
    """Strengthen what the UNet has understood (b) against what it copies across (s)."""
    from engine.diffusion.edits import blocks

    return model.with_edit(blocks.freeu(b1, b2, s1, s2))


@node("FreeU_V2", category="model_patches/unet")
def freeu_v2(model: Model, b1: FreeB = 1.3, b2: FreeB = 1.4, s1: FreeB = 0.9, s2: FreeB = 0.2) -> Model:
    """FreeU that strengthens only where there is something to strengthen."""
    from engine.diffusion.edits import blocks

    return model.with_edit(blocks.freeu_v2(b1, b2, s1, s2))


@node("HyperTile", category="model_patches/unet")
def hypertile(
    model: Model,
    tile_size: Annotated[int, Interval(ge=1, le=2048)] = 256,
    swap_size: Annotated[int, Interval(ge=1, le=128)] = 2,
    max_depth: Annotated[int, Interval(ge=0, le=10)] = 0,
    scale_depth: bool = False,
) -> Model:
    """Attention within tiles on the largest layers: faster on large pictures."""
    from engine.diffusion.edits import tokens

    return model.with_edit(tokens.hypertile(tile_size, swap_size, max_depth, scale_depth))


@node("TomePatchModel", category="model_patches/unet", search_aliases=("ToMe", "token merging"))
def tome_patch_model(model: Model, ratio: Share = 0.3) -> Model:
    """Merge alike places before attention on the largest layers: faster, and a little softer."""
    from engine.diffusion.edits.tokens import token_merging

    return model.with_edit(token_merging(ratio)) if ratio else model


@node(
    "PatchModelAddDownscale",
    category="model_patches/unet",
    title="PatchModelAddDownscale (Kohya Deep Shrink)",
    search_aliases=("deep shrink", "high resolution"),
)
def patch_model_add_downscale(
    model: Model,
    block_number: Block = 3,
    downscale_factor: Annotated[float, Interval(ge=0.1, le=9.0), Step(0.001)] = 2.0,
    start_percent: FineShare = 0.0,
    end_percent: FineShare = 0.35,
    downscale_after_skip: bool = True,
    downscale_method: LatentResize = "bicubic",
    upscale_method: LatentResize = "bicubic",
) -> Model:
    """Work on a smaller picture inside the network during the first steps, so that a large one has one subject, not four."""
    from engine.diffusion.edits.blocks import deep_shrink
    from engine.diffusion.edits.places import timesteps

    first, last = timesteps(model.sampling, start_percent, end_percent)
    return model.with_edit(
        deep_shrink(block_number, downscale_factor, first, last, downscale_after_skip, downscale_method, upscale_method)
    )
