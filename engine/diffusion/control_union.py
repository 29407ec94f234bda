"""ControlNet Union and ProMax: one network for many kinds of picture, told which it gets.

xinsir-6/ControlNetPlus, https://github.com/xinsir6/ControlNetPlus.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from engine.diffusion.control import Control, ControlNet, half_unet
from engine.diffusion.families.family import Inputs, Residuals
from engine.diffusion.parts import working_dtype

if TYPE_CHECKING:
    from engine.diffusion.model import Model

KINDS: Mapping[str, int] = {
    "openpose": 0, "depth": 1, "hed/pidi/scribble/ted": 2, "canny/lineart/anime_lineart/mlsd": 3, "normal": 4, "segment": 5,
    "tile": 6, "repaint": 7,
}  # fmt: skip
"""Numbers of the kinds; the first network has six, ProMax all."""


def with_kind(net: ControlNet, name: str) -> ControlNet:
    """The network told that its picture is of this kind; "auto" tells it nothing. Others than Union stay as they are."""
    if name == "auto" or not net.kinds:
        return replace(net, kind=None)
    kind = KINDS.get(name)
    if kind is None or kind >= net.kinds:
        known = ", ".join(known for known, number in KINDS.items() if number < net.kinds)
        raise ValueError(f"this ControlNet knows no pictures of kind {name!r}; it knows {known}. ProMax knows tile and repaint.")
    return replace(net, kind=kind)


def union(control: Control, x: Tensor, timestep: Tensor, inputs: Inputs, model: Model, calls: int) -> Residuals:
    """The kind's embedding joins the time's, and the picture is weighed against the latent by a small transformer.

    Without a kind the picture is simply added, as in a plain ControlNet.
    """
    network: Any = control.net.place(control.net.part)
    dtype, kind = working_dtype(network), control.net.kind
    told = torch.zeros(x.shape[0], control.net.kinds, dtype=dtype, device=x.device)
    hint = control.hint(x, calls).to(x.device, dtype)
    with ExitStack() as stack:
        if kind is None:

            def see(module: nn.Module, args: Any, output: Tensor) -> Tensor:
                seen: Tensor = output + network.controlnet_cond_embedding(hint)
                return seen

            stack.callback(network.conv_in.register_forward_hook(see).remove)
        else:
            told[:, kind] = 1.0
        kinds, hints = ([], []) if kind is None else ([kind], [hint])
        return half_unet(
            network, control, x, timestep, inputs, calls,
            controlnet_cond=hints, control_type=told, control_type_idx=kinds, conditioning_scale=[1.0] * len(hints),
        )  # fmt: skip
