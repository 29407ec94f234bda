"""Small things nodes share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from engine.comfy.finder import missing
from engine.comfy.host import host

__getattr__ = missing(__name__)


def conditioning_set_values(conditioning: Any, values: Mapping[str, Any] | None = None, append: bool = False) -> list[list[Any]]:
    """Every entry with these options; ``append`` joins them to lists that are there."""
    changed = []
    for embedding, options in conditioning:
        new = dict(options)
        for name, value in (values or {}).items():
            old = options.get(name)
            new[name] = [*old, *value] if append and old is not None else value
        changed.append([embedding, new])
    return changed


def pillow(fn: Callable[..., Any], arg: Any) -> Any:
    """Call a function of PIL's that may stumble over a broken or truncated file, once more with PIL set to bear it."""
    from PIL import ImageFile, UnidentifiedImageError

    try:
        return fn(arg)
    except (OSError, UnidentifiedImageError, ValueError):
        before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, True
        try:
            return fn(arg)
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before


def hasher() -> Any:
    """The hash function of files."""
    return getattr(hashlib, str(host().options.get("default_hashing_function") or "sha256"))


def string_to_torch_dtype(string: str) -> Any:
    import torch

    return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}.get(string)


def image_alpha_fix(destination: Any, source: Any) -> tuple[Any, Any]:
    """Both with as many channels: alpha is added to the destination as 1, or cut from the source."""
    import torch

    if destination.shape[-1] < source.shape[-1]:
        source = source[..., : destination.shape[-1]]
    elif destination.shape[-1] > source.shape[-1]:
        destination = torch.nn.functional.pad(destination, (0, 1))
        destination[..., -1] = 1.0
    return destination, source
