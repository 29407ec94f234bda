"""Pictures: resizing, cropping, padding, turning, joining."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from annotated_types import Interval

from engine.node import Labels, Run, Step, node
from engine.types import Image, Mask
from nodes.sizes import Crop, Flip, PixelResize, Pixels, Pixels8, Quarters, Scale, Side


def _resized(image: Image, method: str, width: int, height: int, crop: str = "disabled") -> Image:
    from engine.diffusion.pixels.resize import resize

    return Image(resize(image.movedim(-1, 1), width, height, method, crop).movedim(1, -1))


@node("ImageScale", category="image/upscaling", title="Upscale Image")
def image_scale(
    image: Image, upscale_method: PixelResize, width: Pixels = 512, height: Pixels = 512, crop: Crop = "disabled"
) -> Image:
    """Resize to a width and height; one of them 0 keeps the aspect, both 0 change nothing."""
    old_height, old_width = image.shape[1:3]
    if width == 0 and height == 0:
        return image
    if width == 0:
        width = max(1, round(old_width * height / old_height))
    elif height == 0:
        height = max(1, round(old_height * width / old_width))
    return _resized(image, upscale_method, width, height, crop)


@node("ImageScaleBy", category="image/upscaling", title="Upscale Image By")
def image_scale_by(image: Image, upscale_method: PixelResize, scale_by: Scale = 1.0) -> Image:
    """Resize both sides by a factor."""
    return _resized(image, upscale_method, round(image.shape[2] * scale_by), round(image.shape[1] * scale_by))


@node("ImageScaleToTotalPixels", category="image/upscaling", title="Scale Image to Total Pixels")
def image_scale_to_total_pixels(
    image: Image, upscale_method: PixelResize, megapixels: Annotated[float, Interval(ge=0.01, le=16.0), Step(0.01)] = 1.0
) -> Image:
    """Resize to so many megapixels (of 1024 x 1024), keeping the aspect."""
    from engine.diffusion.pixels.resize import fit_total_pixels

    return _resized(image, upscale_method, *fit_total_pixels(image.shape[2], image.shape[1], megapixels))


@node("ImageScaleToMaxDimension", category="image/upscaling")
def image_scale_to_max_dimension(
    image: Image,
    upscale_method: Literal["area", "lanczos", "bilinear", "nearest-exact", "bicubic"],
    largest_size: Pixels = 512,
) -> Image:
    """Resize so that the longer side has so many pixels, keeping the aspect."""
    height, width = image.shape[1:3]
    if height > width:
        return _resized(image, upscale_method, round(width / height * largest_size), largest_size)
    return _resized(image, upscale_method, largest_size, round(height / width * largest_size))


@node("ImageCrop", category="image/transform", title="Image Crop")
def image_crop(image: Image, width: Side = 512, height: Side = 512, x: Pixels = 0, y: Pixels = 0) -> Image:
    """Cut out a rectangle; a corner outside the picture is moved in."""
    left, top = min(x, image.shape[2] - 1), min(y, image.shape[1] - 1)
    return Image(image[:, top : top + height, left : left + width])


@node("ImageFlip", category="image/transform")
def image_flip(image: Image, flip_method: Flip) -> Image:
    """Mirror a picture top to bottom or left to right."""
    return Image(image.flip(1 if flip_method.startswith("x") else 2))


@node("ImageRotate", category="image/transform")
def image_rotate(image: Image, rotation: Quarters) -> Image:
    """Turn a picture clockwise in quarters."""
    quarters = 0 if rotation == "none" else int(rotation.split()[0]) // 90
    return Image(image.rot90(quarters, dims=[2, 1]))


class PaddedImage(NamedTuple):
    image: Image
    mask: Mask


@node("ImagePadForOutpaint", category="image", title="Pad Image for Outpainting", outputs=("IMAGE", "MASK"))
def image_pad_for_outpaint(
    image: Image, left: Pixels8 = 0, top: Pixels8 = 0, right: Pixels8 = 0, bottom: Pixels8 = 0, feathering: Pixels = 40
) -> PaddedImage:
    """Enlarge the canvas with grey; the mask is what is to be painted, fading into the picture by ``feathering``."""
    from engine.diffusion.pixels.composite import pad_for_outpaint

    canvas, mask = pad_for_outpaint(image, left, top, right, bottom, feathering)
    return PaddedImage(Image(canvas), Mask(mask))


@node("ResizeAndPadImage", category="image/transform")
def resize_and_pad_image(
    image: Image,
    target_width: Side = 512,
    target_height: Side = 512,
    padding_color: Literal["white", "black"] = "white",
    interpolation: Literal["area", "bicubic", "nearest-exact", "bilinear", "lanczos"] = "area",
) -> Image:
    """Fit a picture into a frame, keeping its aspect, and fill the rest with one colour."""
    batch, height, width, channels = image.shape
    scale = min(target_width / width, target_height / height)
    fitted_width, fitted_height = int(width * scale), int(height * scale)
    canvas = image.new_full((batch, target_height, target_width, channels), 1.0 if padding_color == "white" else 0.0)
    left, top = (target_width - fitted_width) // 2, (target_height - fitted_height) // 2
    canvas[:, top : top + fitted_height, left : left + fitted_width] = _resized(image, interpolation, fitted_width, fitted_height)
    return Image(canvas)


@node("ImageStitch", category="image/transform", title="Image Stitch")
def image_stitch(
    image1: Image,
    direction: Literal["right", "down", "left", "up"] = "right",
    match_image_size: Annotated[bool, Labels("yes", "no")] = True,
    spacing_width: Annotated[int, Interval(ge=0, le=1024), Step(2)] = 0,
    spacing_color: Literal["white", "black", "red", "green", "blue"] = "white",
    image2: Image | None = None,
) -> Image:
    """Put the second picture beside the first, with a stripe of colour between them."""
    from engine.diffusion.pixels.composite import stitch

    if image2 is None:
        return image1
    return Image(stitch(image1, image2, direction, match_image_size, spacing_width, spacing_color))


@node("ImageCompositeMasked", category="image")
def image_composite_masked(
    destination: Image,
    source: Image,
    x: Pixels = 0,
    y: Pixels = 0,
    resize_source: bool = False,
    mask: Mask | None = None,
) -> Image:
    """Lay ``source`` over ``destination`` at (x, y), where the mask is 1."""
    from engine.diffusion.pixels.composite import paste

    laid = paste(destination.movedim(-1, 1), source.movedim(-1, 1), x, y, mask, resize_source)
    return Image(laid.movedim(1, -1))


class ImageSize(NamedTuple):
    width: int
    height: int
    batch_size: int


@node("GetImageSize", category="image", title="Get Image Size")
def get_image_size(image: Image, *, run: Run) -> ImageSize:
    """Width, height and batch size of a picture."""
    batch, height, width = image.shape[:3]
    run.emit_ui(text=[f"width: {width}, height: {height}\n batch size: {batch}"])
    return ImageSize(width, height, batch)
