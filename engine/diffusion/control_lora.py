"""Control-LoRA: a ControlNet whose weights are those of the model it steers, changed by a LoRA.

Stability AI 2023, https://huggingface.co/stabilityai/control-lora. The network is made for the model it meets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from engine.diffusion.control import Control, half_unet
from engine.diffusion.families.family import Inputs, Residuals
from engine.diffusion.parts import Part, Tensors
from engine.diffusion.patches import Adapter, Delta, LowRank, Patch

if TYPE_CHECKING:
    from engine.diffusion.model import Model

MARK = "lora_controlnet"
SHARED = ("input_blocks.", "middle_block.", "time_embed.", "label_emb.")
"""The parts of the model's UNet that the ControlNet has too."""


def control_lora(control: Control, x: Tensor, timestep: Tensor, inputs: Inputs, model: Model, calls: int) -> Residuals:
    """As a plain ControlNet, with the network of this model."""
    made = control.net.part.stored
    key = ("network", model.part, model.patches)
    if key not in control.kept:
        control.kept[key] = network_for(made, model)
    part, patches = control.kept[key]
    return half_unet(control.net.place(part, patches), control, x, timestep, inputs, calls)


def network_for(tensors: Tensors, model: Model) -> tuple[Part, tuple[Patch, ...]]:
    """The ControlNet that a file means for a model: its weights before, and its changes; ``ValueError`` if they do not fit."""
    from engine.diffusion.control_files import original_part

    changes = {name.removesuffix(".up"): (tensors[name], tensors[name.removesuffix(".up") + ".down"])
               for name in tensors if name.endswith(".up")}  # fmt: skip
    stored: dict[str, Tensor] = {name: t for name, t in model.part.stored.items() if name.startswith(SHARED)}
    stored |= {name: t for name, t in tensors.items() if not name.endswith((".up", ".down")) and name != MARK}
    part, _ = original_part(stored)
    deltas: dict[str, tuple[Delta, ...]] = {}
    for row in part.keymap:
        module = row.source.removesuffix(".weight")
        if row.source.endswith(".weight") and module in changes:
            up, down = changes[module]
            weight = row.view(part.stored[row.source])
            if (up.shape[0], down[0].numel()) != (weight.shape[0], weight[0].numel()):
                raise ValueError(
                    f"this Control-LoRA changes a weight {module} of {up.shape[0]} x {down[0].numel()}, but that of "
                    f"{model.family.title} is {weight.shape[0]} x {weight[0].numel()}. Use one made for this base model."
                )
            deltas[row.target] = (LowRank(up, down),)
    targets = {row.target for row in part.keymap}
    lacking = [name for name in part.build().state_dict() if name not in targets]
    if lacking:
        raise ValueError(
            f"this Control-LoRA and {model.family.title} make no whole ControlNet: {lacking[0]} is missing. "
            "Use one made for this base model, or download it again."
        )
    inherited = tuple(patch for patch in (_inherited(patch, targets) for patch in model.patches) if patch is not None)
    return part, (*inherited, Patch(Adapter("control", deltas)))


def _inherited(patch: Patch, targets: set[str]) -> Patch | None:
    """What a patch of the model does to the weights the ControlNet takes from it."""
    deltas = {name: delta for name, delta in patch.adapter.deltas.items() if name in targets}
    return Patch(Adapter("control", deltas), patch.strength) if deltas and patch.adapter.role == "denoiser" else None


def marks(tensors: Tensors) -> bool:
    """Whether a file is a Control-LoRA."""
    return MARK in tensors


def empty_part(tensors: Tensors) -> Part:
    """What holds a file's tensors until a model is there to make a network with."""

    def build() -> torch.nn.Module:
        raise RuntimeError("a Control-LoRA has no network of its own")

    return Part("control", build, (), tensors)
