"""Prompts as conditioning, and operations on it."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Interval

from engine.node import Multiline, Step, node
from engine.types import Clip, Conditioning, Mask
from nodes.embeddings import embeddings_in
from nodes.sizes import MAX_RESOLUTION, FineShare, Pixels8, Share, Strength10

Text = Annotated[str, Multiline(dynamic_prompts=True)]
AreaSide = Annotated[int, Interval(ge=64, le=MAX_RESOLUTION), Step(8)]
AreaShare = Annotated[float, Interval(ge=0.0, le=1.0), Step(0.01)]


@node(
    "CLIPTextEncode",
    category="conditioning",
    title="CLIP Text Encode (Prompt)",
    search_aliases=("prompt", "text"),
    fingerprint=lambda text, run: embeddings_in(run, text),
)
def clip_text_encode(text: Text, clip: Clip) -> Conditioning:
    """A prompt as the model reads it. ``(word:1.3)`` weighs, ``embedding:name`` inserts a textual inversion."""
    return Conditioning(clip.encode(text))


@node("CLIPSetLastLayer", category="conditioning", title="CLIP Set Last Layer")
def clip_set_last_layer(clip: Clip, stop_at_clip_layer: Annotated[int, Interval(ge=-24, le=-1), Step(1)] = -1) -> Clip:
    """Read the prompt at an earlier layer ("clip skip"): -1 is the last, -2 the one before."""
    return clip.with_last_layer(stop_at_clip_layer)


@node("ConditioningCombine", category="conditioning", title="Conditioning (Combine)")
def conditioning_combine(conditioning_1: Conditioning, conditioning_2: Conditioning) -> Conditioning:
    """Both at once: their predictions are averaged."""
    from engine.diffusion import conditioning

    return Conditioning(conditioning.combine(conditioning_1, conditioning_2))


@node("ConditioningAverage", category="conditioning")
def conditioning_average(
    conditioning_to: Conditioning, conditioning_from: Conditioning, conditioning_to_strength: Share = 1.0
) -> Conditioning:
    """A mixture of two prompts' embeddings."""
    from engine.diffusion import conditioning

    return Conditioning(conditioning.average(conditioning_to, conditioning_from, conditioning_to_strength))


@node("ConditioningConcat", category="conditioning", title="Conditioning (Concat)")
def conditioning_concat(conditioning_to: Conditioning, conditioning_from: Conditioning) -> Conditioning:
    """One longer prompt: the second's tokens after the first's."""
    from engine.diffusion import conditioning

    return Conditioning(conditioning.concat(conditioning_to, conditioning_from))


@node("ConditioningSetArea", category="conditioning", title="Conditioning (Set Area)")
def conditioning_set_area(
    conditioning: Conditioning,
    width: AreaSide = 64,
    height: AreaSide = 64,
    x: Pixels8 = 0,
    y: Pixels8 = 0,
    strength: Strength10 = 1.0,
) -> Conditioning:
    """Apply the prompt only in a rectangle, in pixels."""
    from engine.diffusion.conditioning import set_area

    return Conditioning(set_area(conditioning, width, height, x, y, strength))


@node("ConditioningSetAreaPercentage", category="conditioning", title="Conditioning (Set Area with Percentage)")
def conditioning_set_area_percentage(
    conditioning: Conditioning,
    width: AreaShare = 1.0,
    height: AreaShare = 1.0,
    x: AreaShare = 0.0,
    y: AreaShare = 0.0,
    strength: Strength10 = 1.0,
) -> Conditioning:
    """Apply the prompt only in a rectangle, in shares of the picture."""
    from engine.diffusion.conditioning import set_area_percentage

    return Conditioning(set_area_percentage(conditioning, width, height, x, y, strength))


@node("ConditioningSetAreaPercentageVideo", category="conditioning")
def conditioning_set_area_percentage_video(
    conditioning: Conditioning,
    width: AreaShare = 1.0,
    height: AreaShare = 1.0,
    temporal: AreaShare = 1.0,
    x: AreaShare = 0.0,
    y: AreaShare = 0.0,
    z: AreaShare = 0.0,
    strength: Strength10 = 1.0,
) -> Conditioning:
    """Apply the prompt only in a box of the film, in shares of its sides and length."""
    from engine.diffusion.conditioning import set_area_percentage_video

    return Conditioning(set_area_percentage_video(conditioning, width, height, temporal, x, y, z, strength))


@node("ConditioningSetAreaStrength", category="conditioning")
def conditioning_set_area_strength(conditioning: Conditioning, strength: Strength10 = 1.0) -> Conditioning:
    """How much the prompt counts against others combined with it."""
    from engine.diffusion.conditioning import set_strength

    return Conditioning(set_strength(conditioning, strength))


@node("ConditioningSetMask", category="conditioning", title="Conditioning (Set Mask)")
def conditioning_set_mask(
    conditioning: Conditioning,
    mask: Mask,
    strength: Strength10 = 1.0,
    set_cond_area: Literal["default", "mask bounds"] = "default",
) -> Conditioning:
    """Apply the prompt where the mask is 1."""
    from engine.diffusion.conditioning import set_mask

    return Conditioning(set_mask(conditioning, mask, set_cond_area, strength))


@node("ConditioningZeroOut", category="advanced/conditioning")
def conditioning_zero_out(conditioning: Conditioning) -> Conditioning:
    """Zeros in place of a prompt: what some models were trained to see as "none"."""
    from engine.diffusion.conditioning import zero_out

    return Conditioning(zero_out(conditioning))


@node("ConditioningSetTimestepRange", category="advanced/conditioning")
def conditioning_set_timestep_range(conditioning: Conditioning, start: FineShare = 0.0, end: FineShare = 1.0) -> Conditioning:
    """Apply the prompt only in a part of the sampling: 0 is the start, 1 the end."""
    from engine.diffusion.conditioning import set_timestep_range

    return Conditioning(set_timestep_range(conditioning, start, end))


@node(
    "CLIPTextEncodeSDXL",
    category="advanced/conditioning",
    fingerprint=lambda text_g, text_l, run: embeddings_in(run, text_g, text_l),
)
def clip_text_encode_sdxl(
    clip: Clip,
    width: Annotated[int, Interval(ge=0, le=MAX_RESOLUTION)] = 1024,
    height: Annotated[int, Interval(ge=0, le=MAX_RESOLUTION)] = 1024,
    crop_w: Annotated[int, Interval(ge=0, le=MAX_RESOLUTION)] = 0,
    crop_h: Annotated[int, Interval(ge=0, le=MAX_RESOLUTION)] = 0,
    target_width: Annotated[int, Interval(ge=0, le=MAX_RESOLUTION)] = 1024,
    target_height: Annotated[int, Interval(ge=0, le=MAX_RESOLUTION)] = 1024,
    text_g: Text = "",
    text_l: Text = "",
) -> Conditioning:
    """A prompt for SDXL: one text for each encoder, and the sizes the model was told in training."""
    sizes = {"width": width, "height": height, "crop_w": crop_w, "crop_h": crop_h}
    encoded = clip.encode_per_encoder({"g": text_g, "l": text_l}, **sizes, target_width=target_width, target_height=target_height)
    return Conditioning(encoded)


@node(
    "CLIPTextEncodeSDXLRefiner",
    category="advanced/conditioning",
    fingerprint=lambda text, run: embeddings_in(run, text),
)
def clip_text_encode_sdxl_refiner(
    ascore: Annotated[float, Interval(ge=0.0, le=1000.0), Step(0.01)] = 6.0,
    width: Annotated[int, Interval(ge=0, le=MAX_RESOLUTION)] = 1024,
    height: Annotated[int, Interval(ge=0, le=MAX_RESOLUTION)] = 1024,
    text: Text = "",
    *,
    clip: Clip,
) -> Conditioning:
    """A prompt for the SDXL refiner, with the aesthetic score to aim at."""
    return Conditioning(clip.encode(text, aesthetic_score=ascore, width=width, height=height))
