"""Guidance away from what an edited network says: SAG; PAG and SEG are ``formulas.perturbed`` with an edit."""

from __future__ import annotations

from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.diffusion.edits.attention import Watched, gaussian_blur
from engine.diffusion.edits.places import Call
from engine.diffusion.model import Model
from engine.diffusion.rules import Parts


def self_attention_guidance(model: Model, scale: float = 0.5, blur_sigma: float = 2.0, threshold: float = 1.0) -> Model:
    """+ s (b - D(b + noise)), b the unconditional prediction blurred where the middle block's self-attention looks.

    Hong et al. 2022, https://arxiv.org/abs/2210.00939, Algorithm 1, on denoised latents.
    """
    if scale == 0:
        return model
    watch = Watched()

    def after(parts: Parts, result: Tensor) -> Tensor:
        if "negative" not in parts.denoised:
            return result
        if not watch.weights:  # this evaluation came from a journal
            parts.again("negative", watch, None, True)
        u, rows = parts.negative, parts.x.shape[0]
        mask = _attended(watch.weights.pop()[-rows:], watch.call, u, threshold)
        degraded = torch.lerp(u, gaussian_blur(u, blur_sigma, 9), mask) if blur_sigma > 0 else u
        seen = parts.again("negative", lambda network: nullcontext(), degraded + parts.x - u, False)
        watch.weights.clear()
        return result + (degraded - seen) * scale

    return model.with_edit(watch).with_after(after, needs_negative=True)


def _attended(weights: Tensor, call: Call, like: Tensor, threshold: float) -> Tensor:
    """(B, 1, h, w): 1 where a place is looked at more than ``threshold`` times the average."""
    looked = weights.mean(1).sum(1)
    place = call.grid(looked.shape[-1])
    if place is None:
        return torch.zeros_like(like[:, :1])
    mask = (looked > threshold).to(like.dtype).reshape(-1, 1, *place[1:])
    return F.interpolate(mask, size=like.shape[-2:], mode="nearest")
