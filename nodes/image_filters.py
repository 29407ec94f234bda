"""Filters on pictures."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from annotated_types import Interval

from engine.node import Step, node
from engine.types import Image, Mask
from nodes.sizes import Share


@node("ImageBlend", category="image/postprocessing")
def image_blend(
    image1: Image,
    image2: Image,
    blend_factor: Share = 0.5,
    blend_mode: Literal["normal", "multiply", "screen", "overlay", "soft_light", "difference"] = "normal",
) -> Image:
    """Blend the second picture over the first."""
    from engine.diffusion.pixels.composite import with_channels
    from engine.diffusion.pixels.filters import blend
    from engine.diffusion.pixels.latents import like

    channels = max(image1.shape[-1], image2.shape[-1])
    under, over = with_channels(image1, channels), with_channels(image2, channels)
    if under.shape[1:] != over.shape[1:]:
        over = like(under.movedim(-1, 1), over.movedim(-1, 1), "bicubic").movedim(1, -1)
    return Image(blend(under, over, blend_factor, blend_mode))


@node("ImageBlur", category="image/postprocessing")
def image_blur(
    image: Image,
    blur_radius: Annotated[int, Interval(ge=1, le=31)] = 1,
    sigma: Annotated[float, Interval(ge=0.1, le=10.0), Step(0.1)] = 1.0,
) -> Image:
    """Blur with a Gaussian."""
    from engine.diffusion.pixels.filters import blur

    return Image(blur(image, blur_radius, sigma))


@node("ImageSharpen", category="image/postprocessing")
def image_sharpen(
    image: Image,
    sharpen_radius: Annotated[int, Interval(ge=1, le=31)] = 1,
    sigma: Annotated[float, Interval(ge=0.1, le=10.0), Step(0.01)] = 1.0,
    alpha: Annotated[float, Interval(ge=0.0, le=5.0), Step(0.01)] = 1.0,
) -> Image:
    """Sharpen by the difference from a blurred copy."""
    from engine.diffusion.pixels.filters import sharpen

    return Image(sharpen(image, sharpen_radius, sigma, alpha))


@node("ImageQuantize", category="image/postprocessing")
def image_quantize(
    image: Image,
    colors: Annotated[int, Interval(ge=1, le=256)] = 256,
    dither: Literal["none", "floyd-steinberg", "bayer-2", "bayer-4", "bayer-8", "bayer-16"] = "none",
) -> Image:
    """Reduce each picture to a palette of its own."""
    from engine.diffusion.pixels.filters import quantize

    return Image(quantize(image, colors, dither))


@node("Morphology", category="image/postprocessing", title="ImageMorphology")
def image_morphology(
    image: Image,
    operation: Literal["erode", "dilate", "open", "close", "gradient", "bottom_hat", "top_hat"],
    kernel_size: Annotated[int, Interval(ge=3, le=999)] = 3,
) -> Image:
    """Grey-value morphology with a square: grow or shrink what is bright."""
    from engine.diffusion.pixels.filters import morphology

    return Image(morphology(image, operation, kernel_size))


class Composited(NamedTuple):
    image: Image
    mask: Mask


PorterDuffMode = Literal[
    "ADD", "CLEAR", "DARKEN", "DST", "DST_ATOP", "DST_IN", "DST_OUT", "DST_OVER", "LIGHTEN",
    "MULTIPLY", "OVERLAY", "SCREEN", "SRC", "SRC_ATOP", "SRC_IN", "SRC_OUT", "SRC_OVER", "XOR",
]  # fmt: skip


@node("PorterDuffImageComposite", category="mask/compositing", title="Porter-Duff Image Composite", outputs=("IMAGE", "MASK"))
def porter_duff_image_composite(
    source: Image, source_alpha: Mask, destination: Image, destination_alpha: Mask, mode: PorterDuffMode = "DST"
) -> Composited:
    """Composite two pictures with alpha; the masks are 1 where a picture is transparent."""
    from engine.diffusion.pixels.composite import porter_duff
    from engine.diffusion.pixels.masks import resize_mask
    from engine.diffusion.pixels.resize import resize

    height, width = destination.shape[1:3]
    if source.shape[1:3] != (height, width):
        source = Image(resize(source.movedim(-1, 1), width, height, "bicubic", "center").movedim(1, -1))
    alphas = [1.0 - resize_mask(alpha, width, height).unsqueeze(-1) for alpha in (source_alpha, destination_alpha)]
    batch = min(len(source), len(destination), len(alphas[0]), len(alphas[1]))
    colour, alpha = porter_duff(source[:batch], alphas[0][:batch], destination[:batch], alphas[1][:batch], mode)
    return Composited(Image(colour), Mask(1.0 - alpha.squeeze(-1)))


@node("SplitImageWithAlpha", category="mask/compositing", title="Split Image with Alpha", outputs=("IMAGE", "MASK"))
def split_image_with_alpha(image: Image) -> Composited:
    """The colours, and a mask that is 1 where the picture is transparent."""
    opaque = image.new_ones(image.shape[:3])
    return Composited(Image(image[..., :3]), Mask(1.0 - (image[..., 3] if image.shape[-1] > 3 else opaque)))


@node("JoinImageWithAlpha", category="mask/compositing", title="Join Image with Alpha")
def join_image_with_alpha(image: Image, alpha: Mask) -> Image:
    """A picture that is transparent where the mask is 1."""
    import torch

    from engine.diffusion.pixels.masks import resize_mask

    batch = min(len(image), len(alpha))
    opacity = 1.0 - resize_mask(alpha, image.shape[2], image.shape[1])
    return Image(torch.cat((image[:batch, ..., :3], opacity[:batch].unsqueeze(-1)), dim=-1))
