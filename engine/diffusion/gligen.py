"""GLIGEN: phrases bound to boxes of the picture, by gated attention between the layers of the UNet.

Li et al. 2023, https://arxiv.org/abs/2301.07093.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from engine.diffusion import networks, prefixes
from engine.diffusion.checkpoints import check_exact
from engine.diffusion.conditioning import Conditioning, entries
from engine.diffusion.containers import CheckpointError, read_tensors
from engine.diffusion.edits.places import EditError, hooked
from engine.diffusion.families import unet
from engine.diffusion.parts import Part, Place, Row, Tensors, working_dtype
from engine.diffusion.residency import Residency

if TYPE_CHECKING:
    from engine.diffusion.model import Edit, Model

MOST = 30
"""Boxes the networks were trained with; empty ones fill what is left."""

FREQUENCIES = 8

Box = tuple[Any, ...]
"""(phrase's pooled embedding (1, D), height, width, y, x), lengths in latent cells: what a conditioning's "gligen" lists."""


@dataclass(frozen=True, eq=False)
class Gligen:
    """The GLIGEN value: what reads a box with its phrase, and a gated layer for each transformer block of the UNet."""

    part: Part
    place: Place
    phrase: int  # width of a phrase's embedding

    def grounding(self, boxes: Sequence[Box], sizes: tuple[int, ...], model: Model) -> Edit:
        """The boxes on a latent of (h, w) cells, as an edit of this model's network."""
        config = getattr(model.family, "config", None)
        if not isinstance(config, unet.UNetConfig):
            raise EditError("GLIGEN is for UNets (Stable Diffusion 1); the model connected is none of these.")
        names = {ours: original for original, ours in unet.modules(config).items()}
        return Grounding(self, tuple(boxes), sizes, names)

    def objects(self, boxes: Sequence[Box], sizes: tuple[int, ...]) -> Tensor:
        """(1, MOST, D): what each box says to the layers."""
        if len(boxes) > MOST:
            raise ValueError(f"{len(boxes)} boxes are bound to phrases; GLIGEN takes {MOST} at the most. Remove some.")
        network: Any = self.place(self.part)
        dtype, device = working_dtype(network), next(network.parameters()).device
        corners, phrases = torch.zeros(1, MOST, 4), torch.zeros(1, MOST, self.phrase)
        there = torch.zeros(1, MOST)
        height, width = sizes[-2:]
        for i, (phrase, box_height, box_width, y, x) in enumerate(boxes):
            if phrase.shape[-1] != self.phrase:
                raise ValueError(
                    f"this GLIGEN reads phrases of width {self.phrase}, but the text encoder gives {phrase.shape[-1]}. "
                    "Use it with the text encoder of Stable Diffusion 1."
                )
            corners[0, i] = torch.tensor([x / width, y / height, (x + box_width) / width, (y + box_height) / height])
            phrases[0, i], there[0, i] = phrase.reshape(-1).float().cpu(), 1.0
        told = (tensor.to(device, dtype) for tensor in (corners, there, phrases))
        with torch.no_grad():
            objects: Tensor = network.position_net(*told)
        return objects


@dataclass(frozen=True, eq=False)
class Grounding:
    """The edit: after a block's attention within the picture, its gated attention to the boxes."""

    gligen: Gligen
    boxes: tuple[Box, ...]
    sizes: tuple[int, ...]
    names: dict[str, str]
    known: dict[str, Tensor] = field(default_factory=dict)

    @contextmanager
    def __call__(self, network: nn.Module) -> Iterator[None]:
        gates: Any = self.gligen.place(self.gligen.part)
        if "objects" not in self.known:
            self.known["objects"] = self.gligen.objects(self.boxes, self.sizes)
        with ExitStack() as stack:
            found = 0
            for name, block in network.named_modules():
                head, middle, number = name.rpartition(".transformer_blocks.")
                gate = _key(f"{self.names.get(head, head)}.transformer_blocks.{number}") if middle and number.isdigit() else ""
                if gate and gate in gates.fusers:
                    found += 1
                    self._gated(stack, block, gates.fusers[gate])
            if found != len(gates.fusers):
                raise EditError(
                    "this GLIGEN is for another base model: its layers do not fit. Most are for Stable Diffusion 1.4."
                )
            yield

    def _gated(self, stack: ExitStack, block: Any, gate: nn.Module) -> None:
        before: list[Tensor] = []
        objects, dtype = self.known["objects"], working_dtype(self.gligen.place(self.gligen.part))

        def enter(module: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> None:
            before[:] = [args[0] if args else named["hidden_states"]]

        def leave(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
            x = (before.pop() + output).to(dtype)
            change: Tensor = gate(x, objects.to(x).expand(x.shape[0], -1, -1)) - x
            return output + change.to(output)

        hooked(stack, block.register_forward_pre_hook(enter, with_kwargs=True), block.attn1.register_forward_hook(leave))


class GligenNetwork(nn.Module):
    """``position_net`` and ``fusers``, both diffusers'."""

    def __init__(self, phrase: int, out: int, gates: dict[str, tuple[int, int]]) -> None:
        super().__init__()
        position = networks.network_class("GLIGENTextBoundingboxProjection")
        gated = networks.network_class("GatedSelfAttentionDense")
        self.position_net = position(positive_len=phrase, out_dim=out, fourier_freqs=FREQUENCIES)
        fusers = {name: gated(width, context, unet.HEADS, width // unet.HEADS) for name, (width, context) in gates.items()}
        self.fusers = nn.ModuleDict(fusers)


def load_gligen(path: Path, place: Place | None = None) -> Gligen:
    """The GLIGEN of a file: its layers alone, or those of a whole checkpoint."""
    tensors = read_tensors(path).tensors
    first = tensors.get("position_net.linears.0.weight")
    gates = _gates(tensors)
    if first is None or not gates:
        told = prefixes.elsewhere(tensors if first is None else (), "a GLIGEN for Stable Diffusion 1.4")
        raise CheckpointError(path, f"it has no GLIGEN for text and boxes (position_net and fuser){told}")
    phrase = first.shape[1] - FREQUENCIES * 2 * 4
    out = tensors["position_net.linears.4.weight"].shape[0]
    widths = {}
    rows = [Row(name, name) for name in tensors if name.startswith("position_net.")]
    for name in tensors:
        block, middle, leaf = name.partition(".fuser.")
        if middle:
            rows.append(Row(f"fusers.{_key(_inner(block))}.{leaf}", name))
    for block in gates:
        widths[_key(_inner(block))] = tuple(tensors[f"{block}.fuser.linear.weight"].shape)

    def build() -> nn.Module:
        networks.network_class("GatedSelfAttentionDense")  # imported before anything is on the meta device
        with networks.on_meta():
            return GligenNetwork(phrase, out, widths)  # type: ignore[arg-type]

    return Gligen(check_exact(path, Part("gligen", build, tuple(rows), tensors)), place or Residency(), phrase)


def _gates(tensors: Tensors) -> list[str]:
    return [name.removesuffix(".fuser.linear.weight") for name in tensors if name.endswith(".fuser.linear.weight")]


def _inner(block: str) -> str:
    return block.removeprefix("model.").removeprefix("diffusion_model.")


def _key(block: str) -> str:
    return block.replace(".", "_")


def ground(
    conditioning: Conditioning, pooled: Tensor, gligen: Gligen, width: int, height: int, x: int, y: int
) -> list[list[Any]]:
    """The phrase with this pooled embedding in a box given in pixels, beside the boxes already there."""
    box = (pooled, height // 8, width // 8, y // 8, x // 8)
    grounded = []
    for embedding, options in entries(conditioning):
        before = options["gligen"][2] if "gligen" in options else []
        grounded.append([embedding, {**options, "gligen": ("position", gligen, [*before, box])}])
    return grounded
