"""`.latent` files: safetensors with one tensor, as ComfyUI writes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

OLD_SCALE = 1.0 / 0.18215  # files without a version marker hold SD 1's scaled latents


def encode_latent(samples: Tensor, texts: Mapping[str, str]) -> bytes:
    """The file's bytes; ``texts`` become its metadata."""
    tensors = {"latent_tensor": samples.contiguous(), "latent_format_version_0": torch.tensor([])}
    return save(tensors, metadata=dict(texts))


def read_latent(path: Path) -> Tensor:
    """The samples (B, C, ...) float32 of a file."""
    try:
        tensors = load_file(path)
        samples = tensors["latent_tensor"].float()
    except (SafetensorError, KeyError) as error:
        raise ValueError(f"{path.name} is no latent file: {error}. SaveLatent writes such files.") from error
    return samples if "latent_format_version_0" in tensors else samples * OLD_SCALE
