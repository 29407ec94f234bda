"""Batches of pictures: making, joining, splitting."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from annotated_types import Interval

from engine.node import Many, Name, Options, Seed, node
from engine.types import Image
from nodes.sizes import Count, Share, Side


@node("EmptyImage", category="image")
def empty_image(
    width: Side = 512,
    height: Side = 512,
    batch_size: Count = 1,
    color: Annotated[int, Interval(ge=0, le=0xFFFFFF), Options({"display": "color"})] = 0,
) -> Image:
    """Pictures of one colour, 0xRRGGBB."""
    import torch

    rgb = torch.tensor([color >> 16 & 0xFF, color >> 8 & 0xFF, color & 0xFF], dtype=torch.float32) / 0xFF
    return Image(rgb.expand(batch_size, height, width, 3).clone())


@node("ImageBatch", category="image", title="Batch Images")
def image_batch(image1: Image, image2: Image) -> Image:
    """Two batches as one, the second at the first one's size."""
    import torch

    from engine.diffusion.pixels.composite import with_channels
    from engine.diffusion.pixels.resize import resize

    channels = max(image1.shape[-1], image2.shape[-1])
    first, second = with_channels(image1, channels), with_channels(image2, channels)
    if first.shape[1:] != second.shape[1:]:
        second = resize(second.movedim(-1, 1), first.shape[2], first.shape[1], "bilinear", "center").movedim(1, -1)
    return Image(torch.cat((first, second)))


@node("BatchImagesNode", category="image/batch", title="Batch Images (any number)")
def batch_images(
    first: Annotated[Image, Name("images.image0")], second: Annotated[Image, Name("images.image1")], **images: Image
) -> Image:
    """All pictures as one batch, at the first one's size: ``images.image0``, ``images.image1`` and so on."""
    whole = image_batch(first, second)
    for image in images.values():
        whole = image_batch(whole, image)
    return whole


@node("RepeatImageBatch", category="image/batch")
def repeat_image_batch(image: Image, amount: Count = 1) -> Image:
    """The batch several times over."""
    return Image(image.repeat(amount, 1, 1, 1))


@node("ImageFromBatch", category="image/batch")
def image_from_batch(image: Image, batch_index: Annotated[int, Interval(ge=0, le=4095)] = 0, length: Count = 1) -> Image:
    """So many pictures of a batch, from an index on."""
    start = min(image.shape[0] - 1, batch_index)
    return Image(image[start : start + length].clone())


@node("RebatchImages", category="image/batch", title="Rebatch Images")
def rebatch_images(images: Many[Image], batch_size: Count = 1) -> Many[Image]:
    """The same pictures in batches of another size."""
    singles = [image[i : i + 1] for image in images for i in range(image.shape[0])]
    if all(single.shape == singles[0].shape for single in singles):
        import torch

        return [Image(torch.cat(singles[i : i + batch_size])) for i in range(0, len(singles), batch_size)]
    return [Image(single) for single in singles]


@node("ImageInvert", category="image", title="Invert Image")
def image_invert(image: Image) -> Image:
    """The negative."""
    return Image(1.0 - image)


@node("ImageAddNoise", category="image")
def image_add_noise(image: Image, seed: Seed = 0, strength: Share = 0.5) -> Image:
    """Add seeded Gaussian noise."""
    import torch

    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(seed))
    return Image((image + strength * noise.to(image)).clamp(0.0, 1.0))


class Planes(NamedTuple):
    Y: Image
    U: Image
    V: Image


@node("ImageRGBToYUV", category="image/batch")
def image_rgb_to_yuv(image: Image) -> Planes:
    """Brightness and the two colour differences, each as a grey picture."""
    from engine.diffusion.pixels.filters import rgb_to_ycbcr

    planes = [Image(plane.unsqueeze(-1).expand(-1, -1, -1, 3)) for plane in rgb_to_ycbcr(image).unbind(-1)]
    return Planes(*planes)


@node("ImageYUVToRGB", category="image/batch")
def image_yuv_to_rgb(Y: Image, U: Image, V: Image) -> Image:
    """The picture of brightness and two colour differences."""
    import torch

    from engine.diffusion.pixels.filters import ycbcr_to_rgb

    return Image(ycbcr_to_rgb(torch.stack([plane.mean(-1) for plane in (Y, U, V)], dim=-1)).clamp(0, 1))
