"""Conditioning, ``[[text embedding, {option: value}], ...]``, and the operations on it; each returns a new list.

The value is ComfyUI's own, so that foreign nodes can make and read it. Options used by the engine: ``pooled_output``,
``area`` (sizes then offsets, in latent cells, or "percentage" and shares), ``strength``, ``mask``, ``mask_strength``,
``set_area_to_bounds``, ``start_percent``, ``end_percent``, ``control``, ``default``, and what a family's condition reads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Options = dict[str, Any]
Conditioning = Sequence[Any]
"""Entries of two: the embedding (1, tokens, width) and its options. A list of lists when we make it."""


def entries(conditioning: Conditioning) -> list[tuple[Tensor, Options]]:
    """The entries as typed pairs; the options are shared with the conditioning, so do not change them."""
    return [(entry[0], entry[1]) for entry in conditioning]


def with_options(conditioning: Conditioning, /, **options: Any) -> list[list[Any]]:
    """The same embeddings, with ``options`` set on every entry."""
    return [[embedding, {**old, **options}] for embedding, old in entries(conditioning)]


def combine(*conditionings: Conditioning) -> list[list[Any]]:
    """All entries side by side: their predictions are averaged by strength, area and mask."""
    return [[embedding, options] for conditioning in conditionings for embedding, options in entries(conditioning)]


def average(to: Conditioning, source: Conditioning, strength: float) -> list[list[Any]]:
    """Each entry of ``to`` times ``strength``, plus the first of ``source``, cut or zero-padded to its length, times the rest."""
    other, other_options = entries(source)[0]
    other_pooled = other_options.get("pooled_output")
    mixed: list[list[Any]] = []
    for embedding, options in entries(to):
        missing = embedding.shape[1] - other.shape[1]
        fitted = F.pad(other, (0, 0, 0, missing)) if missing > 0 else other[:, : embedding.shape[1]]
        new_options = dict(options)
        pooled = options.get("pooled_output", other_pooled)
        if pooled is not None and other_pooled is not None:
            new_options["pooled_output"] = pooled * strength + other_pooled * (1.0 - strength)
        mixed.append([embedding * strength + fitted * (1.0 - strength), new_options])
    return mixed


def concat(to: Conditioning, source: Conditioning) -> list[list[Any]]:
    """The tokens of the first entry of ``source`` after those of every entry of ``to``: one longer prompt."""
    other = entries(source)[0][0]
    return [[torch.cat((embedding, other), dim=1), dict(options)] for embedding, options in entries(to)]


def set_area(conditioning: Conditioning, width: int, height: int, x: int, y: int, strength: float) -> list[list[Any]]:
    """Apply only in a rectangle given in pixels (eight to a latent cell)."""
    return with_options(conditioning, area=(height // 8, width // 8, y // 8, x // 8), strength=strength, set_area_to_bounds=False)


def set_area_percentage(
    conditioning: Conditioning, width: float, height: float, x: float, y: float, strength: float
) -> list[list[Any]]:
    """Apply only in a rectangle given in shares of the picture."""
    area = ("percentage", height, width, y, x)
    return with_options(conditioning, area=area, strength=strength, set_area_to_bounds=False)


def set_area_percentage_video(
    conditioning: Conditioning,
    width: float,
    height: float,
    temporal: float,
    x: float,
    y: float,
    z: float,
    strength: float,
) -> list[list[Any]]:
    """Apply only in a box of shares of time, height and width."""
    area = ("percentage", temporal, height, width, z, y, x)
    return with_options(conditioning, area=area, strength=strength, set_area_to_bounds=False)


def set_strength(conditioning: Conditioning, strength: float) -> list[list[Any]]:
    """Weigh against the other entries of the same conditioning."""
    return with_options(conditioning, strength=strength)


def set_mask(conditioning: Conditioning, mask: Tensor, set_cond_area: str, strength: float) -> list[list[Any]]:
    """Apply where ``mask`` (H, W) or (B, H, W) is 1; "mask bounds" as ``set_cond_area`` runs the network on its bounding box."""
    mask = mask.unsqueeze(0) if mask.ndim < 3 else mask
    return with_options(conditioning, mask=mask, set_area_to_bounds=set_cond_area != "default", mask_strength=strength)


def set_timestep_range(conditioning: Conditioning, start: float, end: float) -> list[list[Any]]:
    """Apply from share ``start`` to share ``end`` of the model's noise schedule: 0 is pure noise, 1 is the finished picture."""
    return with_options(conditioning, start_percent=start, end_percent=end)


def zero_out(conditioning: Conditioning) -> list[list[Any]]:
    """Zeros in place of the embedding and its pooled form: "no prompt" as some models were trained to see it."""
    zeroed: list[list[Any]] = []
    for embedding, options in entries(conditioning):
        blank = {
            key: torch.zeros_like(value) if key in ("pooled_output", "conditioning_lyrics") and value is not None else value
            for key, value in options.items()
        }
        zeroed.append([torch.zeros_like(embedding), blank])
    return zeroed


def set_default(conditioning: Conditioning, default: Conditioning) -> list[list[Any]]:
    """``default`` applies where no entry of ``conditioning`` does."""
    return combine(conditioning, with_options(default, default=True))


def set_control(conditioning: Conditioning, control: Any, *, to_uncond: bool = False) -> list[list[Any]]:
    """Steer by a ``control.Control``; one already there becomes its ``previous``. ``to_uncond`` gives it to the negative too."""
    chained: dict[int, Any] = {}
    steered: list[list[Any]] = []
    for embedding, options in entries(conditioning):
        previous = options.get("control")
        if id(previous) not in chained:
            chained[id(previous)] = control if previous is None else control.after(previous)
        new = {**options, "control": chained[id(previous)], "control_apply_to_uncond": to_uncond}
        steered.append([embedding, new])
    return steered


def inpaint(
    positive: Conditioning, negative: Conditioning, pixels: Tensor, mask: Tensor, encode: Callable[[Tensor], Tensor], *,
    noise_mask: bool,
) -> tuple[list[list[Any]], list[list[Any]], dict[str, Tensor]]:
    """For 9-channel inpainting models: the mask and the picture with the masked part greyed, as extra input channels.

    ``pixels`` is (B, H, W, 3), ``mask`` (B, H, W); both are cut to multiples of 8 about the centre. The third result is
    the latent of the whole picture, with the mask as its noise mask if ``noise_mask``.
    """
    height, width = (pixels.shape[1] // 8) * 8, (pixels.shape[2] // 8) * 8
    mask = F.interpolate(mask.reshape(-1, 1, *mask.shape[-2:]), size=pixels.shape[1:3], mode="bilinear")
    top, left = (pixels.shape[1] % 8) // 2, (pixels.shape[2] % 8) // 2
    pixels = pixels[:, top : top + height, left : left + width]
    mask = mask[:, :, top : top + height, left : left + width]
    keep = (1.0 - mask.round()).movedim(1, -1)
    concat_latent = encode((pixels - 0.5) * keep + 0.5)
    latent = {"samples": encode(pixels)}
    if noise_mask:
        latent["noise_mask"] = mask
    extra = {"concat_latent_image": concat_latent, "concat_mask": mask}
    return with_options(positive, **extra), with_options(negative, **extra), latent
