"""Six classic mistakes of a node writer. It is never imported; a test runs the type checker on it."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from engine.node import Lazy, node
from engine.types import Image, Latent, Mask, SamplerName


class Both(NamedTuple):
    image: Image
    mask: Mask


@node("TensorAsImage", category="mistakes")
def tensor_as_image(image: Image) -> Image:
    return image * 2  # 1: arithmetic gives a Tensor


@node("MaskForLatent", category="mistakes")
def mask_for_latent(latent: Latent, mask: Mask) -> Latent:
    return mask  # 2


def pick(name: SamplerName) -> str:
    return name


@node("WrongLiteral", category="mistakes")
def wrong_literal() -> str:
    return pick("eular")  # 3


@node("WrongKey", category="mistakes")
def wrong_key(latent: Latent) -> Latent:
    return {"sample": latent["samples"]}  # 4


@node("Swapped", category="mistakes")
def swapped(image: Image, mask: Mask) -> Both:
    return Both(mask, image)  # 5


@node("NotAwaited", category="mistakes")
async def not_awaited(condition: bool, on_true: Lazy[Image], on_false: Lazy[Image]) -> Image:
    return on_true if condition else on_false  # 6


@node("Sound", category="mistakes")
def sound(image: Image, factor: float = 2.0) -> Image:
    result: Tensor = image * factor
    return Image(result)
