"""Where in a UNet an edit takes hold: its attention layers and blocks, and what is known of the call being made.

Everything is done by hooks and by processors put in and taken out again, so that what diffusers or a faster form of a
layer computes stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from engine.diffusion.parametrization import Parametrization


class EditError(ValueError):
    """An edit that does not fit the network: why, and what to do."""


@dataclass
class Call:
    """The network call that is being made: its input's height and width, its timestep, and what its rows are for.

    ``places`` are (conditioning's name, box in the latent or None for all of it), each an equal share of the rows; ``whole``
    is the latent's own height and width, of which a box is a part.
    """

    height: int = 0
    width: int = 0
    timestep: float = 0.0
    places: tuple[tuple[str, tuple[int, ...] | None], ...] = ()
    whole: tuple[int, ...] = ()

    def grid(self, tokens: int) -> tuple[int, int, int] | None:
        """(level, height, width) of a layer with that many tokens, each level half the one before; None if it is none."""
        height, width = self.height, self.width
        for level in range(8):
            if height * width == tokens:
                return level, height, width
            height, width = -(-height // 2), -(-width // 2)
        return None

    def generator(self, *salt: int) -> torch.Generator:
        """Random numbers that depend on the moment of the run alone, so that a run repeated or resumed gets the same."""
        seed = int(self.timestep * 1000)
        for number in salt:
            seed = seed * 1_000_003 + number
        return torch.Generator().manual_seed(seed % 2**63)


def timesteps(sampling: Parametrization, start_percent: float, end_percent: float) -> tuple[float, float]:
    """(first, last) timestep of a range of shares of a model's schedule; open at either end of the whole."""

    def at(percent: float) -> float:
        sigma = min(max(sampling.percent_to_sigma(percent), sampling.sigma_min), sampling.sigma_max)
        return float(sampling.timestep(torch.tensor(sigma)))

    return 1e9 if start_percent <= 0 else at(start_percent), -1.0 if end_percent >= 1 else at(end_percent)


def hooked(stack: ExitStack, *handles: Any) -> None:
    """Take the hooks away when ``stack`` closes."""
    for handle in handles:
        stack.callback(handle.remove)


def watched(stack: ExitStack, network: nn.Module) -> Call:
    """The call being made, kept up to date until ``stack`` closes."""
    call = Call()

    def look(module: nn.Module, args: tuple[Any, ...]) -> None:
        call.height, call.width = args[0].shape[-2:]
        call.timestep = float(torch.as_tensor(args[1]).flatten()[0])
        call.places, call.whole = getattr(network, "asked_for", ()), getattr(network, "asked_of", ())

    hooked(stack, network.register_forward_pre_hook(look))
    return call


def asked(
    stack: ExitStack, network: nn.Module, places: tuple[tuple[str, tuple[int, ...] | None], ...], whole: tuple[int, ...]
) -> None:
    """Tell whoever is watching what the rows of the next call are for, until ``stack`` closes."""
    network.asked_for, network.asked_of = places, whole  # type: ignore[assignment]
    stack.callback(delattr, network, "asked_for")
    stack.callback(delattr, network, "asked_of")


def attentions(network: nn.Module, kind: str, under: str = "") -> Iterator[tuple[str, Any]]:
    """(name, layer) of the attention layers named ``kind`` (attn1: within the picture, attn2: with the text) under a block."""
    found = False
    for name, module in network.named_modules():
        if name.endswith(f".{kind}") and name.startswith(under):
            found = True
            reads_text = kind == "attn1" and getattr(module, "is_cross_attention", False)  # as some of the x4 upscaler do
            if not reads_text:
                yield name, module
    if not found and not under:
        raise EditError("this edit is for UNets (Stable Diffusion 1, 2, XL); the model connected is none of these.")


@contextmanager
def processed(layer: Any, make: Callable[[Any], Any]) -> Iterator[None]:
    """``make(its processor)`` in the place of an attention layer's processor."""
    before = layer.processor
    layer.processor = make(before)
    try:
        yield
    finally:
        layer.processor = before


def heads(x: Tensor, number: int) -> Tensor:
    """(B, T, heads * D) as (B, heads, T, D)."""
    return x.reshape(*x.shape[:-1], number, -1).transpose(1, 2)


def projected_out(layer: Any, z: Tensor) -> Tensor:
    """The end of an attention layer: (B, T, C) through its projection out."""
    out: Tensor = layer.to_out[0](z).div(layer.rescale_output_factor)
    return out
