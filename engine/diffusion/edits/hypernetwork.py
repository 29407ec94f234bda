"""Hypernetworks: small networks on what attention makes its keys and values of, by their width.

As trained by AUTOMATIC1111/stable-diffusion-webui: a file holds, for each width, one for the keys and one for the values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.diffusion.edits.attention import afresh
from engine.diffusion.edits.places import EditError, attentions, hooked, processed
from engine.diffusion.parts import Tensors

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x, "relu": F.relu, "leakyrelu": F.leaky_relu, "elu": F.elu, "swish": F.hardswish, "tanh": torch.tanh,
    "sigmoid": torch.sigmoid, "softsign": F.softsign, "mish": F.mish,
}  # fmt: skip


@dataclass(frozen=True)
class Small:
    """Linear layers, an activation between (and with ``last`` after) them, and norms after each if the file has some."""

    layers: tuple[tuple[Tensor, Tensor | None], ...] = field(repr=False)
    activation: str = "linear"
    normed: bool = False
    last: bool = False

    def __call__(self, x: Tensor) -> Tensor:
        step = 2 if self.normed else 1
        for i in range(0, len(self.layers), step):
            weight, bias = (None if t is None else t.to(x) for t in self.layers[i])
            assert weight is not None
            x = F.linear(x, weight, bias)
            if i + step < len(self.layers) or self.last:
                x = ACTIVATIONS[self.activation](x)
            if self.normed:
                weight, bias = (None if t is None else t.to(x) for t in self.layers[i + 1])
                x = F.layer_norm(x, x.shape[-1:], weight, bias)
        return x


Networks = Mapping[int, tuple[Small, Small]]
"""By width: for keys and for values."""


def read_hypernetwork(tensors: Tensors, facts: Mapping[str, str]) -> Networks:
    """The networks of a file, its tensors named "WIDTH.0.linear.0.weight" ...; ``EditError`` if it is none."""
    activation = facts.get("activation_func", "linear")
    if activation not in ACTIVATIONS:
        raise EditError(f"this hypernetwork's activation {activation!r} is not known; those known are {', '.join(ACTIVATIONS)}.")
    pairs: dict[int, dict[str, list[str]]] = {}
    for name in tensors:
        width, _, rest = name.partition(".")
        side = rest.partition(".")[0]
        if width.isdigit() and side in ("0", "1") and name.endswith(".weight"):
            pairs.setdefault(int(width), {}).setdefault(side, []).append(name.removesuffix(".weight"))
    if not pairs or any(len(sides) != 2 for sides in pairs.values()):
        raise EditError("this is no hypernetwork: it has no networks by width. Choose a file made by training one.")

    def small(names: list[str]) -> Small:
        layers = tuple((tensors[f"{name}.weight"], tensors.get(f"{name}.bias")) for name in names)
        return Small(layers, activation, facts.get("is_layer_norm") == "True", facts.get("activate_output") == "True")

    return {width: (small(sides["0"]), small(sides["1"])) for width, sides in pairs.items()}


@dataclass(frozen=True, eq=False)
class Hypernetwork:
    """x + strength N(x) in front of every layer's keys and values that has a network of its width."""

    networks: Networks
    strength: float = 1.0

    @contextmanager
    def __call__(self, network: nn.Module) -> Iterator[None]:
        with ExitStack() as stack:
            for kind in ("attn1", "attn2"):
                for _, layer in attentions(network, kind):
                    pair = self.networks.get(layer.to_k.in_features)
                    if pair is None or self.strength == 0:
                        continue
                    if kind == "attn2":
                        stack.enter_context(processed(layer, afresh))
                    for part, small in zip((layer.to_k, layer.to_v), pair, strict=True):
                        hooked(stack, part.register_forward_pre_hook(self._before(small)))
            yield

    def _before(self, small: Small) -> Callable[..., Any]:
        return lambda module, args: (args[0] + small(args[0]) * self.strength, *args[1:])
