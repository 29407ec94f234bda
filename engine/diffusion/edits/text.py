"""The attention of text encoders scaled, as patches of their weights."""

from __future__ import annotations

import torch

from engine.diffusion.clip import Clip
from engine.diffusion.patches import Adapter, Delta, Patch, Scale


def multiply_text(clip: Clip, q: float = 1.0, k: float = 1.0, v: float = 1.0, out: float = 1.0) -> Clip:
    """Queries, keys, values and results of every layer times a number; all 1 is the same encoder."""
    factors = {"q_proj": q, "k_proj": k, "v_proj": v, "out_proj": out}
    patches = []
    for part in clip.parts:
        deltas: dict[str, tuple[Delta, ...]] = {}
        for target in (row.target for row in part.keymap):
            factor = factors.get(target.split(".")[-2] if "." in target else "", 1.0)
            if factor != 1.0:
                deltas[target] = (Scale(torch.tensor([factor - 1.0])),)
        if deltas:
            patches.append(Patch(Adapter(part.role, deltas)))
    return clip.with_patches((*clip.patches, *patches)) if patches else clip
