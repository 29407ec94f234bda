"""Pictures made ready for ControlNets; all but depth without a network."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Interval

from engine.folders import Folders
from engine.node import Choose, Run, Step, node
from engine.types import DepthModel, Image, Mask

Threshold = Annotated[float, Interval(ge=0.01, le=0.99), Step(0.01)]
Unit = Annotated[float, Interval(ge=0.0, le=1.0), Step(0.01)]


@node("Canny", category="image/preprocessors", search_aliases=("edges", "outline"))
def canny(image: Image, low_threshold: Threshold = 0.4, high_threshold: Threshold = 0.8) -> Image:
    """Thin edges: those over the high threshold, and those over the low one that touch them."""
    from engine.diffusion.pixels import lines

    return Image(lines.canny(image, low_threshold, high_threshold))


@node("ScribbleHint", category="image/preprocessors", title="Scribble", search_aliases=("controlnet", "sketch"))
def scribble_hint(image: Image, threshold: Unit = 0.12, line_width: Annotated[int, Interval(ge=1, le=33), Step(2)] = 5) -> Image:
    """Thick rough strokes where the picture changes, for ControlNets of scribbles."""
    from engine.diffusion.pixels import lines

    return Image(lines.scribble(image, threshold, line_width))


@node("LineartHint", category="image/preprocessors", title="Line Art (XDoG)", search_aliases=("controlnet", "ink", "sketch"))
def lineart_hint(
    image: Image,
    sigma: Annotated[float, Interval(ge=0.3, le=10.0), Step(0.1)] = 0.8,
    sharpness: Annotated[float, Interval(ge=0.0, le=100.0), Step(0.5)] = 20.0,
    threshold: Unit = 0.8,
    slope: Annotated[float, Interval(ge=0.1, le=200.0), Step(0.1)] = 10.0,
) -> Image:
    """Ink lines, white on black, for ControlNets of line art."""
    from engine.diffusion.pixels import lines

    return Image(lines.xdog(image, sigma, 1.6, sharpness, threshold, slope))


@node("TileHint", category="image/preprocessors", title="Tile", search_aliases=("controlnet", "upscale", "detail"))
def tile_hint(image: Image, downscale: Annotated[int, Interval(ge=1, le=64)] = 4) -> Image:
    """The picture without its fine detail, for ControlNets that draw it anew."""
    from engine.diffusion.pixels import hints

    return Image(hints.tile(image, downscale))


@node("PaletteHint", category="image/preprocessors", title="Palette", search_aliases=("controlnet", "color", "colour"))
def palette_hint(image: Image, cell: Annotated[int, Interval(ge=8, le=512), Step(8)] = 64) -> Image:
    """Large squares of mean colour, for adapters of colour."""
    from engine.diffusion.pixels import hints

    return Image(hints.palette(image, cell))


@node("RecolorHint", category="image/preprocessors", title="Recolor", search_aliases=("controlnet", "grey", "gray", "colorize"))
def recolor_hint(
    image: Image,
    by: Literal["brightness", "intensity"] = "brightness",
    gamma: Annotated[float, Interval(ge=0.1, le=4.0), Step(0.05)] = 1.0,
) -> Image:
    """The picture without colour, for ControlNets that colour it."""
    from engine.diffusion.pixels import hints

    return Image(hints.colourless(image, by, gamma))


def depth_folders(folders: Folders) -> list[str]:
    """The folders of models/depth that hold a network as transformers saves it."""
    return [name.removesuffix("/config.json") for name in folders.names("depth", ("/config.json",))]


@node("LoadDepthModel", category="loaders", title="Load Depth Model", lane="io", search_aliases=("depth anything", "dpt"))
def load_depth_model(model_name: Annotated[str, Choose(depth_folders)], *, run: Run) -> DepthModel:
    """A network that tells depth (Depth Anything, DPT), as transformers keeps it: a folder with config.json and weights."""
    from engine.diffusion.depth import load_depth

    return load_depth(run.folders.find("depth", f"{model_name}/config.json").parent, run.place)


@node("DepthHint", category="image/preprocessors", title="Depth", search_aliases=("controlnet",))
def depth_hint(image: Image, depth_model: DepthModel) -> Image:
    """How near everything is, white being nearest, for ControlNets of depth."""
    return Image(depth_model.nearness(image))


@node("InpaintHint", category="image/preprocessors", title="Inpaint", search_aliases=("controlnet",))
def inpaint_hint(image: Image, mask: Mask, black: bool = False) -> Image:
    """The picture with a hole where the mask is, for inpainting ControlNets; those of Union want it black."""
    from engine.diffusion.pixels import hints

    return Image(hints.with_hole(image, mask, black))
