"""Picture files to tensors and back."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image as PILImage
from PIL import ImageOps, ImageSequence, PngImagePlugin, UnidentifiedImageError
from torch import Tensor

from engine.diffusion.pixels.resize import to_bytes

SINGLE_FRAME_FORMATS = {"MPO"}  # cameras put previews of other sizes behind the picture


class PictureError(ValueError):
    """A picture that cannot be read or written: which, and why."""


def _frame(picture: PILImage.Image) -> tuple[Tensor, Tensor | None]:
    picture = ImageOps.exif_transpose(picture)
    if picture.mode == "I":
        picture = picture.point(lambda value: value * (1 / 255))
    colour = torch.from_numpy(np.array(picture.convert("RGB"), dtype=np.float32) / 255.0)
    if "A" not in picture.getbands() and "transparency" not in picture.info:
        return colour, None
    alpha = np.array(picture.convert("RGBA").getchannel("A"), dtype=np.float32) / 255.0
    return colour, 1.0 - torch.from_numpy(alpha)


def read_picture(path: Path) -> tuple[Tensor, Tensor]:
    """(pictures (B, H, W, 3), masks (B, H, W)), both float32 in 0..1; the mask is 1 where the file is transparent.

    An animation gives its frames, those of another size left out. A file without alpha gives a zero mask of 64 x 64,
    as ComfyUI's LoadImage does.
    """
    try:
        with PILImage.open(path) as picture:
            several = picture.format not in SINGLE_FRAME_FORMATS
            frames = [_frame(frame.copy()) for frame in ImageSequence.Iterator(picture)] if several else [_frame(picture)]
    except FileNotFoundError:
        raise
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, PILImage.DecompressionBombError) as error:
        raise PictureError(f"{path.name} cannot be read as a picture: {error}. Save it again as PNG, JPEG or WebP.") from error
    size = frames[0][0].shape
    kept = [(colour, mask) for colour, mask in frames if colour.shape == size]
    masks = [torch.zeros(64, 64) if mask is None else mask for _, mask in kept]
    same = all(mask.shape == masks[0].shape for mask in masks)
    return torch.stack([colour for colour, _ in kept]), torch.stack(masks if same else masks[:1])


def read_channel(path: Path, channel: str) -> Tensor:
    """One channel ("red", "green", "blue", "alpha") of a file as a mask (1, H, W); alpha is turned round: 1 is transparent."""
    with PILImage.open(path) as opened:
        picture = ImageOps.exif_transpose(opened)
        letter = channel[0].upper()
        if picture.getbands() != ("R", "G", "B", "A"):
            picture = picture.convert("RGBA") if letter != "A" or "transparency" in picture.info else picture
        if letter not in picture.getbands():
            return torch.zeros(1, 64, 64)
        values = torch.from_numpy(np.array(picture.getchannel(letter), dtype=np.float32) / 255.0).unsqueeze(0)
    return 1.0 - values if letter == "A" else values


def to_pil(image: Tensor) -> PILImage.Image:
    """One picture (H, W, C) in 0..1 with 1, 3 or 4 channels."""
    pixels = to_bytes(image)
    return PILImage.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)


def encode_png(image: Tensor, texts: Mapping[str, str], compress_level: int = 4) -> bytes:
    """One picture (H, W, C) as PNG with ``texts`` in its text chunks."""
    info = PngImagePlugin.PngInfo()
    for key, value in texts.items():
        info.add_text(key, value)
    file = io.BytesIO()
    to_pil(image).save(file, "PNG", pnginfo=info, compress_level=compress_level)
    return file.getvalue()


def encode_webp(images: Tensor, fps: float, lossless: bool, quality: int, method: int, texts: Mapping[str, str]) -> bytes:
    """An animation as WebP; ``texts`` go into EXIF as ``key:value``, from tag 0x010f downwards, ``prompt`` in 0x0110."""
    frames = [to_pil(image) for image in images]
    exif = frames[0].getexif()
    others = iter(range(0x010F, 0, -1))
    for key, value in texts.items():
        exif[0x0110 if key == "prompt" else next(others)] = f"{key}:{value}"
    file = io.BytesIO()
    frames[0].save(
        file, "WEBP", save_all=True, append_images=frames[1:], duration=int(1000.0 / fps), exif=exif, lossless=lossless,
        quality=quality, method=method,
    )  # fmt: skip
    return file.getvalue()


def encode_apng(images: Tensor, fps: float, compress_level: int, texts: Mapping[str, str]) -> bytes:
    """An animation as APNG; ``texts`` go into comment chunks, after IDAT, where ComfyUI's readers look."""
    frames = [to_pil(image) for image in images]
    info = PngImagePlugin.PngInfo()
    for key, value in texts.items():
        body = key.encode("latin-1", "strict") + b"\0" + value.encode("latin-1", "replace")
        info.add(b"comf", body, after_idat=True)
    file = io.BytesIO()
    frames[0].save(
        file, "PNG", save_all=True, append_images=frames[1:], duration=int(1000.0 / fps), pnginfo=info,
        compress_level=compress_level,
    )  # fmt: skip
    return file.getvalue()
