"""Latents: making, resizing, turning, compositing, arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from annotated_types import Interval

from engine.node import Step, node
from engine.types import Latent, Mask
from nodes.sizes import MAX_RESOLUTION, Count, Crop, Flip, LatentResize, LatentSide, Pixels8, Quarters, Scale, Share

if TYPE_CHECKING:
    from torch import Tensor


def _with(latent: Latent, samples: Tensor) -> Latent:
    return cast(Latent, {**latent, "samples": samples})


def _plain(latent: Latent) -> dict[str, Any]:
    return cast(dict[str, Any], latent)


@node("EmptyLatentImage", category="latent", title="Empty Latent Image")
def empty_latent_image(width: LatentSide = 512, height: LatentSide = 512, batch_size: Count = 1) -> Latent:
    """A blank latent for pictures of this size, to be filled by sampling."""
    import torch

    return {"samples": torch.zeros(batch_size, 4, height // 8, width // 8)}


@node("EmptySD3LatentImage", category="latent/sd3")
def empty_sd3_latent_image(
    width: Annotated[int, Interval(ge=16, le=MAX_RESOLUTION), Step(16)] = 1024,
    height: Annotated[int, Interval(ge=16, le=MAX_RESOLUTION), Step(16)] = 1024,
    batch_size: Count = 1,
) -> Latent:
    """A blank latent of 16 channels, for SD3, Flux and their kin."""
    import torch

    return {"samples": torch.zeros(batch_size, 16, height // 8, width // 8)}


@node("LatentUpscale", category="latent", title="Upscale Latent")
def latent_upscale(
    samples: Latent, upscale_method: LatentResize, width: Pixels8 = 512, height: Pixels8 = 512, crop: Crop = "disabled"
) -> Latent:
    """Resize a latent to a picture size; one side 0 keeps the aspect."""
    from engine.diffusion.pixels.latents import upscaled_to

    return cast(Latent, upscaled_to(_plain(samples), upscale_method, width, height, crop))


@node("LatentUpscaleBy", category="latent", title="Upscale Latent By")
def latent_upscale_by(samples: Latent, upscale_method: LatentResize, scale_by: Scale = 1.5) -> Latent:
    """Resize a latent by a factor."""
    from engine.diffusion.pixels.latents import upscaled_by

    return cast(Latent, upscaled_by(_plain(samples), upscale_method, scale_by))


@node("LatentRotate", category="latent/transform", title="Rotate Latent")
def latent_rotate(samples: Latent, rotation: Quarters) -> Latent:
    """Turn a latent clockwise in quarters."""
    quarters = 0 if rotation == "none" else int(rotation.split()[0]) // 90
    return _with(samples, samples["samples"].rot90(quarters, dims=[-1, -2]))


@node("LatentFlip", category="latent/transform", title="Flip Latent")
def latent_flip(samples: Latent, flip_method: Flip) -> Latent:
    """Mirror a latent top to bottom or left to right."""
    return _with(samples, samples["samples"].flip(-2 if flip_method.startswith("x") else -1))


@node("LatentCrop", category="latent/transform", title="Crop Latent")
def latent_crop(samples: Latent, width: Pixels8 = 512, height: Pixels8 = 512, x: Pixels8 = 0, y: Pixels8 = 0) -> Latent:
    """Cut a rectangle, in pixels, out of a latent."""
    from engine.diffusion.pixels.latents import cropped

    return cast(Latent, cropped(_plain(samples), width, height, x, y))


@node("LatentComposite", category="latent", title="Latent Composite")
def latent_composite(samples_to: Latent, samples_from: Latent, x: Pixels8 = 0, y: Pixels8 = 0, feather: Pixels8 = 0) -> Latent:
    """Lay one latent over another at pixel (x, y), fading in over ``feather`` pixels."""
    from engine.diffusion.pixels.composite import paste_feathered

    laid = paste_feathered(samples_to["samples"], samples_from["samples"], x // 8, y // 8, feather // 8)
    return _with(samples_to, laid)


@node("LatentCompositeMasked", category="latent")
def latent_composite_masked(
    destination: Latent,
    source: Latent,
    x: Pixels8 = 0,
    y: Pixels8 = 0,
    resize_source: bool = False,
    mask: Mask | None = None,
) -> Latent:
    """Lay one latent over another at pixel (x, y), where the mask is 1."""
    from engine.diffusion.pixels.composite import paste

    return _with(destination, paste(destination["samples"], source["samples"], x // 8, y // 8, mask, resize_source))


@node("LatentBlend", category="_for_testing", title="Latent Blend")
def latent_blend(samples1: Latent, samples2: Latent, blend_factor: Share = 0.5) -> Latent:
    """So much of the first latent and the rest of the second."""
    from engine.diffusion.pixels.latents import like

    second = like(samples1["samples"], samples2["samples"], "bicubic")
    return _with(samples1, samples1["samples"] * blend_factor + second * (1 - blend_factor))


@node("LatentAdd", category="latent/advanced")
def latent_add(samples1: Latent, samples2: Latent) -> Latent:
    """The sum of two latents."""
    from engine.diffusion.pixels.latents import like

    return _with(samples1, samples1["samples"] + like(samples1["samples"], samples2["samples"]))


@node("LatentSubtract", category="latent/advanced")
def latent_subtract(samples1: Latent, samples2: Latent) -> Latent:
    """The difference of two latents."""
    from engine.diffusion.pixels.latents import like

    return _with(samples1, samples1["samples"] - like(samples1["samples"], samples2["samples"]))


@node("LatentMultiply", category="latent/advanced")
def latent_multiply(samples: Latent, multiplier: Annotated[float, Interval(ge=-10.0, le=10.0), Step(0.01)] = 1.0) -> Latent:
    """A latent times a number."""
    return _with(samples, samples["samples"] * multiplier)


@node("LatentInterpolate", category="latent/advanced")
def latent_interpolate(samples1: Latent, samples2: Latent, ratio: Share = 1.0) -> Latent:
    """Between two latents, keeping their lengths: at 1 the first, at 0 the second."""
    from engine.diffusion.pixels.latents import interpolate

    return _with(samples1, interpolate(samples1["samples"], samples2["samples"], ratio))


Dimension = Literal["x", "-x", "y", "-y", "t", "-t"]


@node("LatentConcat", category="latent/advanced")
def latent_concat(samples1: Latent, samples2: Latent, dim: Dimension) -> Latent:
    """Two latents side by side; a minus sign puts the second first."""
    import torch

    from engine.diffusion.pixels.composite import repeat_to

    pair = [samples1["samples"], repeat_to(samples2["samples"], samples1["samples"].shape[0])]
    axis = {"x": -1, "y": -2, "t": -3}[dim.removeprefix("-")]
    return _with(samples1, torch.cat(pair[::-1] if dim.startswith("-") else pair, dim=axis))


@node("LatentCut", category="latent/advanced")
def latent_cut(
    samples: Latent,
    dim: Literal["x", "y", "t"],
    index: Annotated[int, Interval(ge=-MAX_RESOLUTION, le=MAX_RESOLUTION)] = 0,
    amount: Annotated[int, Interval(ge=1, le=MAX_RESOLUTION)] = 1,
) -> Latent:
    """So many latent cells along one side, from an index on."""
    from engine.diffusion.pixels.latents import cut

    axis = {"x": -1, "y": -2, "t": -3}[dim]
    return _with(samples, cut(samples["samples"], axis, index, amount))


@node("SetLatentNoiseMask", category="latent/inpaint", title="Set Latent Noise Mask")
def set_latent_noise_mask(samples: Latent, mask: Mask) -> Latent:
    """Sample only where the mask is 1; the rest keeps what the latent holds."""
    return cast(Latent, {**samples, "noise_mask": mask.reshape(-1, 1, mask.shape[-2], mask.shape[-1])})
