"""Laying one tensor over another: pictures as (B, C, H, W), latents too."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.diffusion.pixels.masks import resize_mask


def repeat_to(x: Tensor, batch: int) -> Tensor:
    """``x`` with exactly ``batch`` items: repeated from the start, or cut."""
    if x.shape[0] < batch:
        x = x.repeat(-(-batch // x.shape[0]), *([1] * (x.ndim - 1)))
    return x[:batch]


def paste(under: Tensor, over: Tensor, x: int, y: int, mask: Tensor | None, resize_over: bool = False) -> Tensor:
    """``over`` laid at (x, y) of ``under``, both (B, C, H, W), where ``mask`` (B, h, w) is 1; what sticks out is cut off."""
    out = under.clone()
    over = over.to(under)
    if resize_over:
        over = torch.nn.functional.interpolate(over, size=under.shape[-2:], mode="bilinear")
    over = repeat_to(over, under.shape[0])
    height, width = over.shape[-2:]
    weight = over.new_ones(under.shape[0], height, width) if mask is None else resize_mask(mask.to(over), width, height)
    weight = repeat_to(weight, under.shape[0]).unsqueeze(1)
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + width, under.shape[-1]), min(y + height, under.shape[-2])
    if left >= right or top >= bottom:
        return out
    inner = (..., slice(top - y, bottom - y), slice(left - x, right - x))
    spot = out[..., top:bottom, left:right]
    out[..., top:bottom, left:right] = weight[inner] * over[inner] + (1.0 - weight[inner]) * spot
    return out


def paste_feathered(under: Tensor, over: Tensor, x: int, y: int, feather: int) -> Tensor:
    """``over`` laid at (x, y), fading in over ``feather`` cells along each border that does not lie on ``under``'s own."""
    height, width = min(over.shape[-2], under.shape[-2] - y), min(over.shape[-1], under.shape[-1] - x)
    mask = over.new_ones(1, height, width)
    for i in range(min(feather, height)):
        rate = (i + 1) / feather
        if y != 0:
            mask[:, i] *= rate
        if y + height < under.shape[-2]:
            mask[:, height - 1 - i] *= rate
    for i in range(min(feather, width)):
        rate = (i + 1) / feather
        if x != 0:
            mask[:, :, i] *= rate
        if x + width < under.shape[-1]:
            mask[:, :, width - 1 - i] *= rate
    return paste(under, over[..., :height, :width], x, y, mask)


def pad_for_outpaint(images: Tensor, left: int, top: int, right: int, bottom: int, feather: int) -> tuple[Tensor, Tensor]:
    """Pictures (B, H, W, C) on a grey canvas, and the mask (1, H', W') of what is to be painted.

    The mask fades into the old picture over ``feather`` pixels (quadratically) along the sides that grew.
    """
    batch, height, width, channels = images.shape
    canvas = torch.full((batch, height + top + bottom, width + left + right, channels), 0.5, dtype=images.dtype)
    canvas[:, top : top + height, left : left + width] = images
    mask = torch.ones(canvas.shape[1:3])
    inner = torch.zeros(height, width)
    if feather > 0 and feather * 2 < height and feather * 2 < width:
        rows, columns = torch.arange(height, dtype=torch.float32), torch.arange(width, dtype=torch.float32)
        far = torch.full((height, width), float(max(height, width)))
        for grown, distance in (
            (top, rows.view(-1, 1)),
            (bottom, (height - rows).view(-1, 1)),
            (left, columns.view(1, -1)),
            (right, (width - columns).view(1, -1)),
        ):
            far = torch.minimum(far, distance) if grown else far
        inner = ((feather - far) / feather).clamp(min=0) ** 2
    mask[top : top + height, left : left + width] = inner
    return canvas, mask.unsqueeze(0)


PORTER_DUFF_MODES = (
    "ADD", "CLEAR", "DARKEN", "DST", "DST_ATOP", "DST_IN", "DST_OUT", "DST_OVER", "LIGHTEN",
    "MULTIPLY", "OVERLAY", "SCREEN", "SRC", "SRC_ATOP", "SRC_IN", "SRC_OUT", "SRC_OVER", "XOR",
)  # fmt: skip


def porter_duff(source: Tensor, source_alpha: Tensor, target: Tensor, target_alpha: Tensor, mode: str) -> tuple[Tensor, Tensor]:
    """(colour, alpha) of ``source`` over ``target``; colours (..., C) not premultiplied, alphas (..., 1), all 0..1.

    Porter and Duff 1984, "Compositing digital images"; the blend modes as Android's PorterDuff.Mode documents them.
    """
    sa, da = source_alpha, target_alpha
    s, d = source * sa, target * da
    both = sa + da - sa * da
    nothing = torch.zeros_like(s), torch.zeros_like(sa)
    results = {
        "ADD": lambda: ((s + d).clamp(0, 1), (sa + da).clamp(0, 1)),
        "CLEAR": lambda: nothing,
        "DARKEN": lambda: ((1 - da) * s + (1 - sa) * d + torch.minimum(s, d), both),
        "DST": lambda: (d, da),
        "DST_ATOP": lambda: (sa * d + (1 - da) * s, sa),
        "DST_IN": lambda: (d * sa, sa * da),
        "DST_OUT": lambda: ((1 - sa) * d, (1 - sa) * da),
        "DST_OVER": lambda: (d + (1 - da) * s, da + (1 - da) * sa),
        "LIGHTEN": lambda: ((1 - da) * s + (1 - sa) * d + torch.maximum(s, d), both),
        "MULTIPLY": lambda: (s * d, sa * da),
        "OVERLAY": lambda: (torch.where(2 * d < da, 2 * s * d, sa * da - 2 * (da - s) * (sa - d)), both),
        "SCREEN": lambda: (s + d - s * d, both),
        "SRC": lambda: (s, sa),
        "SRC_ATOP": lambda: (da * s + (1 - sa) * d, da),
        "SRC_IN": lambda: (s * da, sa * da),
        "SRC_OUT": lambda: ((1 - da) * s, (1 - da) * sa),
        "SRC_OVER": lambda: (s + (1 - sa) * d, sa + (1 - sa) * da),
        "XOR": lambda: ((1 - da) * s + (1 - sa) * d, (1 - da) * sa + (1 - sa) * da),
    }
    colour, alpha = results[mode]()
    return torch.where(alpha > 1e-5, colour / alpha.clamp(min=1e-5), torch.zeros_like(colour)).clamp(0, 1), alpha


STRIPE_COLOURS = {
    "white": (1.0, 1.0, 1.0),
    "black": (0.0, 0.0, 0.0),
    "red": (1.0, 0.0, 0.0),
    "green": (0.0, 1.0, 0.0),
    "blue": (0.0, 0.0, 1.0),
}


def _padded_to(images: Tensor, height: int, width: int) -> Tensor:
    """The pictures in the middle of black canvases."""
    out = images.new_zeros(images.shape[0], height, width, images.shape[3])
    top, left = (height - images.shape[1]) // 2, (width - images.shape[2]) // 2
    out[:, top : top + images.shape[1], left : left + images.shape[2]] = images
    return out


def with_channels(images: Tensor, channels: int) -> Tensor:
    """Pictures with so many channels, new ones opaque."""
    missing = channels - images.shape[-1]
    return torch.cat((images, images.new_ones(*images.shape[:-1], missing)), -1) if missing else images


def stitch(first: Tensor, second: Tensor, direction: str, match: bool, spacing: int, colour: str) -> Tensor:
    """``second`` (B, H, W, C) to the "right", "left", "up" or "down" of ``first``, a stripe of ``spacing`` pixels between.

    ``match`` resizes the second so that the touching sides are equal (Lanczos); else the smaller one gets black margins.
    """
    batch, across = max(first.shape[0], second.shape[0]), direction in ("left", "right")
    first, second = repeat_last(first, batch), repeat_last(second, batch)
    if match:
        from engine.diffusion.pixels.resize import resize

        aspect = second.shape[2] / second.shape[1]
        size = (int(first.shape[1] * aspect), first.shape[1]) if across else (first.shape[2], int(first.shape[2] / aspect))
        second = resize(second.movedim(-1, 1), *size, "lanczos").movedim(1, -1)
    channels = max(first.shape[-1], second.shape[-1])
    height, width = max(first.shape[1], second.shape[1]), max(first.shape[2], second.shape[2])
    sizes = [(height, x.shape[2]) if across else (x.shape[1], width) for x in (first, second)]
    parts = [_padded_to(with_channels(x, channels), *size) for x, size in zip((first, second), sizes, strict=True)]
    if direction in ("left", "up"):
        parts.reverse()
    if spacing > 0:
        spacing += spacing % 2
        stripe = first.new_tensor(STRIPE_COLOURS[colour] + (1.0,) * (channels - 3))
        parts.insert(1, stripe.expand(batch, height if across else spacing, spacing if across else width, channels))
    return torch.cat(parts, dim=2 if across else 1)


def repeat_last(x: Tensor, batch: int) -> Tensor:
    """``x`` with its last item repeated until there are ``batch``."""
    return torch.cat((x, x[-1:].expand(batch - x.shape[0], *x.shape[1:]))) if x.shape[0] < batch else x
