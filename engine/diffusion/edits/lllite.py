"""ControlNet-LLLite: a picture steers a UNet by small networks on the inputs of its attention.

kohya-ss, https://github.com/kohya-ss/sd-scripts/blob/main/docs/train_lllite_README.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.diffusion.edits.places import Call, EditError, hooked, watched
from engine.diffusion.families.family import repeat_to
from engine.diffusion.parts import Tensors
from engine.diffusion.pixels.resize import resize

if TYPE_CHECKING:
    from engine.diffusion.model import Model

PREFIX, PIXELS = "lllite_unet_", 8

NEEDED = tuple(f"{layer}.0.{kind}" for layer in ("conditioning1", "down", "mid", "up") for kind in ("weight", "bias"))
"""What every layer's network has of weights."""


@dataclass(frozen=True, eq=False)
class Lllite:
    """x + strength up(mid(picture beside down(x))) in front of each layer that a file has a network for.

    ``modules`` are the file's tensors by the network's layer names, ``image`` is (b, H, W, 3) in 0..1.
    """

    modules: Mapping[str, Tensors] = field(repr=False)
    image: Tensor = field(repr=False)
    strength: float = 1.0
    first_timestep: float = 1e9
    last_timestep: float = -1.0

    @contextmanager
    def __call__(self, network: nn.Module) -> Iterator[None]:
        layers = dict(network.named_modules())
        with ExitStack() as stack:
            call = watched(stack, network)
            for name, tensors in self.modules.items():
                hooked(stack, layers[name].register_forward_pre_hook(self._steered(call, tensors)))
            yield

    def _steered(self, call: Call, tensors: Tensors) -> Callable[..., Any]:
        seen: dict[tuple[int, int], Tensor] = {}

        def steer(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
            if self.strength == 0 or not self.last_timestep <= call.timestep <= self.first_timestep:
                return None
            x: Tensor = args[0]
            size = (call.height, call.width)
            if size not in seen:
                seen.clear()
                seen[size] = self._picture(tensors, *size).to(x)
            hint = repeat_to(repeat_to(seen[size], x.shape[0] // max(1, len(call.places))), x.shape[0])
            if hint.shape[1] != x.shape[1]:
                cure = "Draw with sides of 64s" if call.grid(x.shape[1]) else "Leave out HyperTile or token merging"
                raise EditError(f"LLLite's picture has {hint.shape[1]} places where the layer has {x.shape[1]}. {cure}.")
            told = F.relu(F.linear(x, *_layer(tensors, "down.0", x)))
            told = F.relu(F.linear(torch.cat([hint, told], dim=2), *_layer(tensors, "mid.0", x)))
            return x + self.strength * F.linear(told, *_layer(tensors, "up.0", x)), *args[1:]

        return steer

    def _picture(self, tensors: Tensors, height: int, width: int) -> Tensor:
        """(b, T, D): the picture as one network sees it."""
        x = resize(self.image.movedim(-1, 1)[:, :3], width * PIXELS, height * PIXELS, "bicubic", "center").clamp(0, 1) * 2 - 1
        names = (name.split(".") for name in tensors)
        numbers = sorted(int(name[1]) for name in names if name[0] == "conditioning1" and name[2] == "weight")
        for number in numbers:
            weight, bias = (tensors[f"conditioning1.{number}.{kind}"].float() for kind in ("weight", "bias"))
            x = F.conv2d(x if number == numbers[0] else F.relu(x), weight, bias, stride=weight.shape[-1])
        return x.flatten(2).transpose(1, 2)


def _layer(tensors: Tensors, name: str, like: Tensor) -> tuple[Tensor, Tensor]:
    weight, bias = (tensors[f"{name}.{kind}"].to(like) for kind in ("weight", "bias"))
    return weight.flatten(1), bias


def modules_of(tensors: Tensors, model: Model) -> dict[str, dict[str, Tensor]]:
    """A file's tensors by the layers of this model they are for; ``EditError`` if any is for none."""
    rows = [row for row in model.part.keymap if row.source.endswith(".weight")]
    known = {PREFIX + row.source.removesuffix(".weight").replace(".", "_"): row for row in rows}
    found: dict[str, dict[str, Tensor]] = {}
    strangers = []
    for name, tensor in tensors.items():
        module, _, rest = name.partition(".")
        row = known.get(module)
        if row is None or not {"conditioning1", "down", "mid", "up"} & {rest.split(".")[0]}:
            strangers.append(name)
        else:
            found.setdefault(row.target.removesuffix(".weight"), {})[rest] = tensor
    if strangers or not found:
        raise EditError(
            f"this is no ControlNet-LLLite for {model.family.title}: it has {strangers[0] if strangers else 'nothing'}. "
            "Most are for Stable Diffusion XL."
        )
    weights = model.part.weights()
    for layer, pieces in found.items():
        lacking = [name for name in NEEDED if name not in pieces]
        if lacking:
            raise EditError(f"this LLLite is incomplete: {layer} has no {lacking[0]}. Download it again.")
        width = weights[f"{layer}.weight"].shape[1]
        if pieces["down.0.weight"].shape[1] != width:
            raise EditError(
                f"this LLLite is for another base model: {layer} takes {width} channels, not {pieces['down.0.weight'].shape[1]}. "
                "Choose one made for this model's family."
            )
    return found
