"""Fooocus' inpainting patch: an SDXL model made one that inpaints, by small changes to its weights and a head that sees the hole.

https://github.com/lllyasviel/Fooocus (the files ``inpaint_v26.fooocus.patch`` and ``fooocus_inpaint_head.pth``). A change is
stored in bytes over its own range; the head's features of (mask, kept latent) are added after the network's first convolution.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.diffusion.containers import CheckpointError, read_tensors
from engine.diffusion.edits.places import EditError
from engine.diffusion.families.family import repeat_to
from engine.diffusion.model import Model
from engine.diffusion.patches import Adapter, Delta

PREFIXES = ("diffusion_model.", "model.diffusion_model.", "")


@dataclass(frozen=True, eq=False)
class Bytes:
    """dW in 256 steps from ``low`` to ``high``."""

    codes: Tensor
    low: float
    high: float

    def apply(self, weight: Tensor, strength: float) -> Tensor:
        change = self.codes.to(weight.device, torch.float32) / 255.0 * (self.high - self.low) + self.low
        return torch.add(weight, change.reshape(weight.shape), alpha=strength)


@dataclass(frozen=True, eq=False)
class InpaintPatch:
    """The two files: changes by the original names of weights, and the head's kernel (O, 5, 3, 3)."""

    changes: Mapping[str, Bytes]
    head: Tensor


def load(head: Path, patch: Path) -> InpaintPatch:
    """The head and the patch; CheckpointError if one of them is something else."""
    kernel = read_tensors(head).tensors.get("head")
    if kernel is None or kernel.ndim != 4 or kernel.shape[1] != 5:
        raise CheckpointError(head, "no Fooocus inpainting head: it has no kernel over five channels called head")
    tensors = read_tensors(patch).tensors
    names = {name.removesuffix(".0") for name in tensors if name.endswith(".0") and f"{name[:-1]}2" in tensors}
    changes = {name: Bytes(tensors[f"{name}.0"], float(tensors[f"{name}.1"]), float(tensors[f"{name}.2"])) for name in names}
    if not changes:
        raise CheckpointError(patch, "no Fooocus inpainting patch: its entries are not (bytes, lowest, highest)")
    return InpaintPatch(changes, kernel.float())


def apply(model: Model, patch: InpaintPatch, latent: Mapping[str, Any]) -> Model:
    """The model that fills the hole of ``latent`` ("samples" with grey there, "noise_mask" 1 there)."""
    mask = latent.get("noise_mask")
    if mask is None:
        raise ValueError("the latent has no mask: connect latent_inpaint of VAE Encode & Inpaint Conditioning")
    deltas = _deltas(model, patch)
    kept = model.family.latent.inside(latent["samples"].float())
    hole = mask.reshape(-1, 1, *mask.shape[-2:]).float()
    if hole.shape[-2:] != kept.shape[-2:]:
        hole = F.adaptive_max_pool2d(hole, kept.shape[-2:])
    seen = torch.cat([repeat_to(hole.round(), len(kept)), kept], dim=1)
    features = F.conv2d(F.pad(seen, (1, 1, 1, 1), mode="replicate"), patch.head)
    return model.with_patches(Adapter("denoiser", deltas)).with_edit(_added_after_first(features))


def _deltas(model: Model, patch: InpaintPatch) -> dict[str, tuple[Delta, ...]]:
    """The changes by the network's names; all of them must fit."""
    found: dict[str, tuple[Delta, ...]] = {}
    weights = model.part.weights()
    for row in model.part.keymap:
        change = next((patch.changes[prefix + row.source] for prefix in PREFIXES if prefix + row.source in patch.changes), None)
        if change is not None and change.codes.numel() == weights[row.target].numel():
            found[row.target] = (change,)
    if len(found) < len(patch.changes) * 0.9:
        raise ValueError(f"the inpainting patch is for SDXL, and does not fit this {model.family.title} model: use an SDXL one")
    return found


def _added_after_first(features: Tensor) -> Any:
    """The edit that adds ``features`` (b, O, h, w) to what the first convolution gives."""

    def add(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        if output.shape[1:] != features.shape[1:]:
            raise EditError(
                f"the inpainting patch was made for a latent of {tuple(features.shape[-2:])}, but {tuple(output.shape[-2:])} is"
                " sampled: connect the latent of the same picture to both"
            )
        return output + repeat_to(features.to(output), len(output))

    @contextmanager
    def edit(network: nn.Module) -> Iterator[None]:
        first = network.get_submodule("conv_in")
        handle = first.register_forward_hook(add)
        try:
            yield
        finally:
            handle.remove()

    return edit
