"""Latent batches as ComfyUI passes them: ``{"samples": (B, C, [T,] H, W), "noise_mask"?, "batch_index"?}``.

A latent's ``batch_index`` says which noise each item draws, so a part of a batch repeats what the whole would give.
Every function returns a new dict and leaves its arguments alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from engine.diffusion.pixels.composite import repeat_to
from engine.diffusion.pixels.resize import resize

LatentDict = dict[str, Any]


def like(target: Tensor, x: Tensor, method: str = "bilinear") -> Tensor:
    """``x`` with ``target``'s height, width and batch size: centre-cropped, resized, repeated."""
    if x.shape[1:] != target.shape[1:]:
        x = resize(x, target.shape[-1], target.shape[-2], method, "center")
    return repeat_to(x, target.shape[0])


def upscaled_to(latent: LatentDict, method: str, width: int, height: int, crop: str, factor: int = 8) -> LatentDict:
    """The latent for a picture of ``width`` x ``height`` pixels; one of them 0 keeps the aspect, both 0 change nothing."""
    samples = latent["samples"]
    if width == 0 and height == 0:
        return latent
    if width == 0:
        width = round(samples.shape[-1] * max(64, height) / samples.shape[-2])
    elif height == 0:
        height = round(samples.shape[-2] * max(64, width) / samples.shape[-1])
    size = max(64, width) // factor, max(64, height) // factor
    return {**latent, "samples": resize(samples, *size, method, crop)}


def upscaled_by(latent: LatentDict, method: str, scale: float) -> LatentDict:
    """The latent with both sides times ``scale``, rounded."""
    samples = latent["samples"]
    return {**latent, "samples": resize(samples, round(samples.shape[-1] * scale), round(samples.shape[-2] * scale), method)}


def interpolate(a: Tensor, b: Tensor, ratio: float) -> Tensor:
    """``ratio`` of ``a`` and the rest of ``b``: directions mixed linearly and renormalised, lengths mixed linearly."""
    b = like(a, b)
    length_a, length_b = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)
    mixed: Tensor = torch.nan_to_num(a / length_a) * ratio + torch.nan_to_num(b / length_b) * (1.0 - ratio)
    direction = torch.nan_to_num(mixed / mixed.norm(dim=1, keepdim=True))
    length: Tensor = length_a * ratio + length_b * (1.0 - ratio)
    return direction * length


def indices(latent: LatentDict) -> list[int]:
    """Which noise each item draws; by default its place in the batch."""
    found: Sequence[int] | None = latent.get("batch_index")
    return list(range(latent["samples"].shape[0])) if found is None else list(found)


def from_batch(latent: LatentDict, start: int, length: int) -> LatentDict:
    """Items ``start`` to ``start + length`` (cut at the end), with the noise they had in the whole."""
    samples = latent["samples"]
    start = min(samples.shape[0] - 1, start)
    part = slice(start, start + min(samples.shape[0] - start, length))
    out = {**latent, "samples": samples[part].clone(), "batch_index": indices(latent)[part]}
    mask = latent.get("noise_mask")
    if mask is not None and mask.shape[0] > 1:
        out["noise_mask"] = repeat_to(mask, samples.shape[0])[part].clone()
    return out


def repeated(latent: LatentDict, amount: int) -> LatentDict:
    """The batch ``amount`` times, each copy with noise of its own."""
    samples = latent["samples"]
    out = {**latent, "samples": samples.repeat(amount, *([1] * (samples.ndim - 1)))}
    mask = latent.get("noise_mask")
    if mask is not None and mask.shape[0] > 1:
        out["noise_mask"] = repeat_to(mask, samples.shape[0]).repeat(amount, *([1] * (mask.ndim - 1)))
    if latent.get("batch_index") is not None:
        own = indices(latent)
        stride = max(own) - min(own) + 1
        out["batch_index"] = [index + i * stride for i in range(amount) for index in own]
    return out


def joined(a: LatentDict, b: LatentDict) -> LatentDict:
    """Both batches one after the other, the second at the first one's size."""
    second = b["samples"]
    if second.shape[1:] != a["samples"].shape[1:]:
        second = resize(second, a["samples"].shape[-1], a["samples"].shape[-2], "bilinear", "center")
    return {**a, "samples": torch.cat((a["samples"], second)), "batch_index": indices(a) + indices(b)}


def rebatched(latents: Sequence[LatentDict], size: int) -> list[LatentDict]:
    """All items in order, in batches of ``size``; a change of picture size starts a new batch."""
    out: list[LatentDict] = []
    for latent in latents:
        for i in range(latent["samples"].shape[0]):
            item = from_batch(latent, i, 1)
            item["noise_mask"] = _item_mask(latent, i)
            last = out[-1] if out else None
            if last is None or last["samples"].shape[0] >= size or last["samples"].shape[1:] != item["samples"].shape[1:]:
                out.append(item)
                continue
            for field in ("samples", "noise_mask"):
                last[field] = torch.cat((last[field], item[field]))
            last["batch_index"] = last["batch_index"] + item["batch_index"]
    return out


def _item_mask(latent: LatentDict, i: int) -> Tensor:
    samples: Tensor = latent["samples"]
    mask: Tensor | None = latent.get("noise_mask")
    if mask is None:
        return samples.new_ones(1, 1, samples.shape[-2] * 8, samples.shape[-1] * 8)
    return repeat_to(mask.reshape(-1, 1, *mask.shape[-2:]), samples.shape[0])[i : i + 1]


def cropped(latent: LatentDict, width: int, height: int, x: int, y: int, factor: int = 8) -> LatentDict:
    """The part at pixel (x, y) of ``width`` x ``height`` pixels; the corner is moved in so that 64 pixels remain."""
    samples = latent["samples"]
    left = max(0, min(x // factor, samples.shape[-1] - 8))
    top = max(0, min(y // factor, samples.shape[-2] - 8))
    return {**latent, "samples": samples[..., top : top + height // factor, left : left + width // factor]}


def cut(x: Tensor, dim: int, index: int, amount: int) -> Tensor:
    """``amount`` slices along ``dim`` from ``index``; a negative index counts from the end, both are clamped to what there is."""
    length = x.shape[dim]
    start = max(length + index, 0) if index < 0 else min(index, length - 1)
    return x.narrow(dim, start, min(length - start, amount))


def mask_for_encoding(pixels: Tensor, mask: Tensor, grow_by: int) -> tuple[Tensor, Tensor]:
    """(pixels with the masked part grey, noise mask (B, 1, H, W) grown by ``grow_by``) for VAEEncodeForInpaint.

    ``pixels`` is (B, H, W, 3) with sides divisible by 8, ``mask`` (B, H, W).
    """
    height, width = pixels.shape[1:3]
    hard = resize(mask.reshape(-1, 1, *mask.shape[-2:]), width, height, "bilinear")
    if grow_by > 0:
        kernel = hard.new_ones(1, 1, grow_by, grow_by)
        padding = -(-(grow_by - 1) // 2)
        grown = torch.nn.functional.conv2d(hard.round(), kernel, padding=padding).clamp(0, 1)
    else:
        grown = hard
    keep = (1.0 - hard.round()).movedim(1, -1)
    return (pixels - 0.5) * keep + 0.5, grown[:, :, :height, :width].round()


def crop_to_cells(pixels: Tensor, mask: Tensor, factor: int = 8) -> tuple[Tensor, Tensor]:
    """Pictures (B, H, W, 3) and mask cut about the centre to whole latent cells; the mask first takes the pictures' size."""
    height, width = pixels.shape[1:3]
    hole = resize(mask.reshape(-1, 1, *mask.shape[-2:]), width, height, "bilinear")
    top, left = height % factor // 2, width % factor // 2
    rows = slice(top, top + height // factor * factor)
    columns = slice(left, left + width // factor * factor)
    return pixels[:, rows, columns], hole[:, 0, rows, columns]
