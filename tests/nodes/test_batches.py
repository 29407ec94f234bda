"""Batches of any number: what they hold is what joining two at a time makes, in order, at the first one's size."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from engine.registry import load
from nodes.image_batches import batch_images
from nodes.latent_batches import batch_latents
from nodes.masks import batch_masks


def of(size: int, value: float, channels: int = 3) -> Any:
    return torch.full((2, size, size, channels), value)


def values(batch: Tensor) -> list[float]:
    return [round(float(item.mean()), 4) for item in batch]


def test_pictures_masks_and_latents_in_order_at_the_first_one_s_size() -> None:
    pictures = batch_images(of(8, 0.1), of(16, 0.2), **{"images.image2": of(4, 0.3)})
    assert pictures.shape == (6, 8, 8, 3)
    assert values(pictures) == [0.1, 0.1, 0.2, 0.2, 0.3, 0.3]
    masks = batch_masks(of(8, 0.1)[0, ..., 0], **{"masks.mask1": of(16, 0.2)[..., 0]})
    assert masks.shape == (3, 8, 8)
    assert values(masks) == [0.1, 0.2, 0.2]
    latents = batch_latents({"samples": of(8, 1.0, 8)}, **{"latents.latent1": {"samples": of(8, 2.0, 8)}})
    assert values(latents["samples"]) == [1, 1, 2, 2]
    assert latents["batch_index"] == [0, 1, 0, 1]


def test_their_inputs_are_called_as_in_comfyui_s_prompts() -> None:
    specs = load().specs
    for kind, of_it in (("Image", "image"), ("Mask", "mask"), ("Latent", "latent")):
        assert f"{of_it}s.{of_it}0" in [port.name for port in specs[f"Batch{kind}sNode"].inputs]
