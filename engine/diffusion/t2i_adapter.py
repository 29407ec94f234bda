"""T2I-Adapters: small networks that turn a picture into features, once a run, added at each level of the way down.

Mou et al. 2023, https://arxiv.org/abs/2302.08453.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from engine.diffusion import networks
from engine.diffusion.control import Control
from engine.diffusion.families.family import Inputs, Residuals
from engine.diffusion.parts import Part, Row, Tensors, working_dtype

if TYPE_CHECKING:
    from engine.diffusion.model import Model


XL_CELL = 16
"""Picture cells to one of the first features of an adapter for SDXL; 8 for the others."""


def t2i(control: Control, x: Tensor, timestep: Tensor, inputs: Inputs, model: Model, calls: int) -> Residuals:
    """The features of the picture, at the sizes of the UNet's levels."""
    key = ("features", *x.shape[-2:])
    if key not in control.kept:
        network = control.net.place(control.net.part)
        hint = control.hint(x[: len(control.image)], 1)
        with torch.no_grad():
            control.kept[key] = tuple(network(hint.to(x.device, working_dtype(network))))
        _check(control, model)
    return Residuals(within=tuple(control.rows(feature, x.shape[0], calls).to(x.device) for feature in control.kept[key]))


def _check(control: Control, model: Model) -> None:
    """One for SDXL starts with pictures half as fine and has features for the middle block too."""
    features = next(found for key, found in control.kept.items() if key[0] == "features")
    config: Any = getattr(model.family, "config", None)
    widths = [feature.shape[1] for feature in features]
    large = config is not None and not any(config.down[0])
    wanted = [] if config is None else [*config.channels, *config.channels[-1:]] if large else [*config.channels]
    if widths != wanted or large != (control.net.multiple == XL_CELL):
        raise ValueError(
            f"this T2I-Adapter has features of widths {widths}, which is not what {model.family.title} takes ({wanted}). "
            "Use an adapter made for this base model."
        )


def adapter(tensors: Tensors) -> tuple[Part, int, int] | None:
    """(network, picture channels, picture cells to its first cell) of a file in its authors' layout or diffusers'; else None."""
    prefix = "adapter." if any(name.startswith("adapter.body.") for name in tensors) else ""
    stored = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    light = "body.0.in_conv.weight" in stored
    if not light and not ("conv_in.weight" in stored and any(name.startswith("body.0.") for name in stored)):
        return None
    into = stored["body.0.in_conv.weight" if light else "conv_in.weight"].shape[1]
    cell = XL_CELL if into in (XL_CELL**2, 3 * XL_CELL**2) else 8
    own = any(".resnets." in name for name in stored)
    names = _light(stored, own) if light else _full(stored, own)
    if names is None:
        return None
    rows = tuple(Row(f"adapter.{target}", prefix + source) for source, target in names.items())
    kind = "light_adapter" if light else "full_adapter_xl" if cell == XL_CELL else "full_adapter"
    config = {
        "in_channels": into // cell**2, "channels": _channels(names, stored, light), "downscale_factor": cell,
        "num_res_blocks": _resnets(names), "adapter_type": kind,
    }  # fmt: skip

    def build() -> nn.Module:
        return networks.build("T2IAdapter", config)

    return Part("control", build, rows, tensors), into // cell**2, cell


def _full(stored: Tensors, own: bool) -> dict[str, str] | None:
    """File name -> diffusers name. The authors number the residual blocks of all four levels in one row."""
    if own:
        return {name: name for name in stored}
    blocks = {int(name.split(".")[1]) for name in stored if name.startswith("body.")}
    if not blocks or "body.0.block1.weight" not in stored:
        return None
    each = (max(blocks) + 1) // 4
    names = {}
    for name in stored:
        parts = name.split(".")
        if parts[0] == "body":
            level, block = divmod(int(parts[1]), each)
            inner = "" if parts[2] == "in_conv" else f"resnets.{block}."
            names[name] = f"body.{level}.{inner}{'.'.join(parts[2:])}"
        else:
            names[name] = name
    return names


def _light(stored: Tensors, own: bool) -> dict[str, str]:
    return {name: name if own else name.replace(".body.", ".resnets.") for name in stored}


def _channels(names: dict[str, str], stored: Tensors, light: bool) -> list[int]:
    leaf = "out_conv" if light else "resnets.0.block2"
    shapes = {target: stored[source].shape for source, target in names.items()}
    levels = sorted({int(target.split(".")[1]) for target in shapes if target.startswith("body.")})
    widths = [shapes[f"body.{level}.{leaf}.weight"][0] for level in levels]
    return widths[:-1] if light else widths  # a light one repeats its last width


def _resnets(names: dict[str, str]) -> int:
    return 1 + max(int(target.split(".")[3]) for target in names.values() if target.startswith("body.0.resnets."))
