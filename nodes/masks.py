"""Masks: (B, H, W) in 0..1."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Interval

from engine.node import Name, Options, node
from engine.types import Image, Mask
from nodes.sizes import MAX_RESOLUTION, Pixels, Share, Side


@node("MaskToImage", category="mask", title="Convert Mask to Image")
def mask_to_image(mask: Mask) -> Image:
    """A mask as a grey picture."""
    from engine.diffusion.pixels.masks import as_image

    return Image(as_image(mask))


@node("ImageToMask", category="mask", title="Convert Image to Mask")
def image_to_mask(image: Image, channel: Literal["red", "green", "blue", "alpha"]) -> Mask:
    """One channel of a picture as a mask."""
    from engine.diffusion.pixels.masks import from_channel

    return Mask(from_channel(image, channel))


@node("BatchMasksNode", category="mask", title="Batch Masks")
def batch_masks(first: Annotated[Mask, Name("masks.mask0")], **masks: Mask) -> Mask:
    """All masks as one batch, at the first one's size: ``masks.mask0``, ``masks.mask1`` and so on."""
    import torch

    from engine.diffusion.pixels.resize import resize

    flat = [mask.reshape(-1, 1, *mask.shape[-2:]) for mask in (first, *masks.values())]
    height, width = flat[0].shape[-2:]
    sized = (mask if mask.shape[-2:] == (height, width) else resize(mask, width, height, "bilinear", "center") for mask in flat)
    return Mask(torch.cat([mask[:, 0] for mask in sized]))


@node("ImageColorToMask", category="mask")
def image_color_to_mask(
    image: Image, color: Annotated[int, Interval(ge=0, le=0xFFFFFF), Options({"display": "color"})] = 0
) -> Mask:
    """1 where the picture has exactly this colour, 0xRRGGBB."""
    from engine.diffusion.pixels.masks import from_colour

    return Mask(from_colour(image, color))


@node("SolidMask", category="mask")
def solid_mask(value: Share = 1.0, width: Side = 512, height: Side = 512) -> Mask:
    """A mask of one value."""
    import torch

    return Mask(torch.full((1, height, width), value, dtype=torch.float32))


@node("InvertMask", category="mask")
def invert_mask(mask: Mask) -> Mask:
    """What was masked is free, and the other way round."""
    return Mask(1.0 - mask)


@node("CropMask", category="mask")
def crop_mask(mask: Mask, x: Pixels = 0, y: Pixels = 0, width: Side = 512, height: Side = 512) -> Mask:
    """Cut out a rectangle."""
    from engine.diffusion.pixels.masks import batched

    return Mask(batched(mask)[:, y : y + height, x : x + width])


@node("MaskComposite", category="mask")
def mask_composite(
    destination: Mask,
    source: Mask,
    x: Pixels = 0,
    y: Pixels = 0,
    operation: Literal["multiply", "add", "subtract", "and", "or", "xor"] = "multiply",
) -> Mask:
    """Combine ``source`` with ``destination`` at (x, y)."""
    from engine.diffusion.pixels.masks import combine

    return Mask(combine(destination, source, x, y, operation))


@node("FeatherMask", category="mask")
def feather_mask(mask: Mask, left: Pixels = 0, top: Pixels = 0, right: Pixels = 0, bottom: Pixels = 0) -> Mask:
    """Fade the mask out towards its borders."""
    from engine.diffusion.pixels.masks import feather

    return Mask(feather(mask, left, top, right, bottom))


@node("GrowMask", category="mask", title="Grow Mask")
def grow_mask(
    mask: Mask, expand: Annotated[int, Interval(ge=-MAX_RESOLUTION, le=MAX_RESOLUTION)] = 0, tapered_corners: bool = True
) -> Mask:
    """Grow the mask by so many pixels, or shrink it by a negative number."""
    from engine.diffusion.pixels.masks import grow

    return Mask(grow(mask, expand, tapered_corners))


@node("ThresholdMask", category="mask")
def threshold_mask(mask: Mask, value: Share = 0.5) -> Mask:
    """1 where the mask exceeds the value, else 0."""
    return Mask((mask > value).float())
