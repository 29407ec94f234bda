"""Networks that enlarge pictures."""

from __future__ import annotations

from typing import Annotated

from engine.node import Folder, Run, node
from engine.types import Image, UpscaleModel


@node("UpscaleModelLoader", category="loaders", title="Load Upscale Model", lane="io")
def upscale_model_loader(model_name: Annotated[str, Folder("upscale_models")], *, run: Run) -> UpscaleModel:
    """An ESRGAN-like upscaler from a file."""
    from engine.diffusion.upscale import load_upscaler

    return load_upscaler(run.folders.find("upscale_models", model_name), run.place)


@node("ImageUpscaleWithModel", category="image/upscaling", title="Upscale Image (using Model)")
def image_upscale_with_model(upscale_model: UpscaleModel, image: Image, *, run: Run) -> Image:
    """Enlarge a picture by as much as the network was made for, tile by tile."""
    return Image(upscale_model.enlarge(image, on_tile=run.progress))
