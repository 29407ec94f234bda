"""Pictures from files and into files."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from annotated_types import Interval

from engine.node import Folder, Run, Step, Upload, node
from engine.types import Image, Mask

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".jfif", ".apng")


class LoadedImage(NamedTuple):
    image: Image
    mask: Mask


def _load(run: Run, name: str) -> LoadedImage:
    from engine.diffusion.pixels.pictures import read_picture

    image, mask = read_picture(run.folders.find("input", name))
    return LoadedImage(Image(image), Mask(mask))


@node("LoadImage", category="image", title="Load Image", outputs=("IMAGE", "MASK"), lane="io")
def load_image(image: Annotated[str, Folder("input", suffixes=PICTURES), Upload("image")], *, run: Run) -> LoadedImage:
    """A picture from the input folder; the mask is 1 where the file is transparent."""
    return _load(run, image)


@node(
    "LoadImageOutput",
    category="image",
    title="Load Image (from Outputs)",
    outputs=("IMAGE", "MASK"),
    lane="io",
    experimental=True,
)
def load_image_output(image: Annotated[str, Folder("output", suffixes=PICTURES)], *, run: Run) -> LoadedImage:
    """A picture from the output folder."""
    return _load(run, image if image.endswith("]") else f"{image} [output]")


@node("LoadImageMask", category="mask", title="Load Image (as Mask)", lane="io")
def load_image_mask(
    image: Annotated[str, Folder("input", suffixes=PICTURES), Upload("image")],
    channel: Literal["alpha", "red", "green", "blue"],
    *,
    run: Run,
) -> Mask:
    """One channel of a picture as a mask; alpha is turned round, so that what is transparent is masked."""
    from engine.diffusion.pixels.pictures import read_channel

    return Mask(read_channel(run.folders.find("input", image), channel))


def save_pngs(images: Image, prefix: str, run: Run, *, kind: str = "output", compress_level: int = 4) -> None:
    """Each picture of a batch as a PNG of its own, shown under the node."""
    from engine.diffusion.pixels.pictures import encode_png

    texts = run.texts()
    height, width = images.shape[1:3]
    for i, image in enumerate(images):
        run.check()
        data = encode_png(image, texts, compress_level)
        saved = run.save(data, ".png", prefix=prefix.replace("%batch_num%", str(i)), kind=kind, width=width, height=height)
        run.emit_ui(images=[saved.ui()])


@node("SaveImage", category="image", title="Save Image", output=True, lane="io")
def save_image(images: Image, filename_prefix: str = "ComfyUI", *, run: Run) -> None:
    """Save pictures as PNG in the output folder, with the workflow inside."""
    save_pngs(images, filename_prefix, run)


@node("PreviewImage", category="image", title="Preview Image", output=True, lane="io")
def preview_image(images: Image, *, run: Run) -> None:
    """Show pictures without keeping them."""
    save_pngs(images, f"ComfyUI_temp_{run.node}", run, kind="temp", compress_level=1)


@node("MaskPreview", category="mask", title="Preview Mask", output=True, lane="io")
def mask_preview(mask: Mask, *, run: Run) -> None:
    """Show a mask as a grey picture without keeping it."""
    from engine.diffusion.pixels.masks import as_image

    save_pngs(Image(as_image(mask)), f"ComfyUI_temp_{run.node}", run, kind="temp", compress_level=1)


Fps = Annotated[float, Interval(ge=0.01, le=1000.0), Step(0.01)]


@node("SaveAnimatedWEBP", category="image/animation", output=True, lane="io")
def save_animated_webp(
    images: Image,
    filename_prefix: str = "ComfyUI",
    fps: Fps = 6.0,
    lossless: bool = True,
    quality: Annotated[int, Interval(ge=0, le=100)] = 80,
    method: Literal["default", "fastest", "slowest"] = "default",
    *,
    run: Run,
) -> None:
    """Save a batch as one animated WebP."""
    from engine.diffusion.pixels.pictures import encode_webp

    effort = {"default": 4, "fastest": 0, "slowest": 6}[method]
    data = encode_webp(images, fps, lossless, quality, effort, run.texts())
    saved = run.save(data, ".webp", prefix=filename_prefix, width=images.shape[2], height=images.shape[1])
    run.emit_ui(images=[saved.ui()], animated=[images.shape[0] != 1])


@node("SaveAnimatedPNG", category="image/animation", output=True, lane="io")
def save_animated_png(
    images: Image,
    filename_prefix: str = "ComfyUI",
    fps: Fps = 6.0,
    compress_level: Annotated[int, Interval(ge=0, le=9)] = 4,
    *,
    run: Run,
) -> None:
    """Save a batch as one animated PNG."""
    from engine.diffusion.pixels.pictures import encode_apng

    data = encode_apng(images, fps, compress_level, run.texts())
    saved = run.save(data, ".png", prefix=filename_prefix, width=images.shape[2], height=images.shape[1])
    run.emit_ui(images=[saved.ui()], animated=[True])
