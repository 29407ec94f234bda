"""ControlNets and their kin: a picture steers the denoiser through tensors added inside it.

Zhang et al. 2023, https://arxiv.org/abs/2302.05543. What a kind of network computes is its ``Steering``: the plain one is
here, the others are in ``control_union``, ``control_lora`` and ``t2i_adapter``; ``control_files`` tells them apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.diffusion.conditioning import Conditioning, set_control
from engine.diffusion.edits.text_bias import biased
from engine.diffusion.families.family import Inputs, Residuals, repeat_to
from engine.diffusion.parts import Part, Place, working_dtype
from engine.diffusion.pixels.resize import resize

if TYPE_CHECKING:
    from engine.diffusion.model import Model

Steering = Callable[["Control", Tensor, Tensor, Inputs, "Model", int], Residuals]
"""(control, scaled x (B, C, h, w) of ``calls`` conditionings, timestep, inputs, model, calls) -> what is added at strength 1."""


def plain(control: Control, x: Tensor, timestep: Tensor, inputs: Inputs, model: Model, calls: int) -> Residuals:
    """A ControlNet proper: half a UNet that sees the picture beside the latent."""
    network = control.net.place(control.net.part)
    return half_unet(network, control, x, timestep, inputs, calls)


def half_unet(network: Any, control: Control, x: Tensor, timestep: Tensor, inputs: Inputs, calls: int, **more: Any) -> Residuals:
    """One call of a ControlNet; ``more`` replaces or joins its arguments."""
    dtype = working_dtype(network)
    arguments: dict[str, Any] = {
        "encoder_hidden_states": inputs.get("control_context", inputs["context"]).to(dtype),
        "controlnet_cond": control.hint(x, calls).to(x.device, dtype),
        "added_cond_kwargs": added(inputs, dtype),
        "return_dict": False,
        **more,
    }
    with biased(network, None if "control_context" in inputs else inputs.get("token_bias")):
        down, mid = network(x.to(dtype), timestep, **arguments)
    return Residuals(tuple(down), mid)


@dataclass(frozen=True, eq=False)
class ControlNet:
    """The CONTROL_NET value: the network of a file, what it computes, and the picture cells to one latent cell."""

    part: Part
    place: Place
    context: int  # width of the text embedding it was trained with; 0 if it reads none
    spatial: int = 8
    steering: Steering = plain
    multiple: int = 1  # what the picture's sides must divide by
    channels: int = 3  # of the picture
    kinds: int = 0  # how many kinds of picture one network was trained for
    kind: int | None = None  # which of them this one is told it gets


@dataclass(frozen=True, eq=False)
class Control:
    """A ControlNet with its picture (B, H, W, C), at a strength, over a share of the noise schedule, where a mask says."""

    net: ControlNet
    image: Tensor
    strength: float = 1.0
    start_percent: float = 0.0
    end_percent: float = 1.0
    previous: Control | None = None
    mask: Tensor | None = None  # (b, H, W): how strongly at each place
    kept: dict[tuple[object, ...], Any] = field(default_factory=dict, repr=False)  # what is the same at every step

    def after(self, previous: Control) -> Control:
        """This control and ``previous`` together."""
        return replace(self, previous=previous if self.previous is None else self.previous.after(previous))

    def residuals(
        self, x: Tensor, timestep: Tensor, sigma: Tensor, inputs: Inputs, model: Model, calls: int = 1
    ) -> Residuals | None:
        """What to add inside the denoiser for scaled ``x`` (B, C, h, w) of ``calls`` conditionings; None out of range."""
        before = None if self.previous is None else self.previous.residuals(x, timestep, sigma, inputs, model, calls)
        first, last = (model.sampling.percent_to_sigma(percent) for percent in (self.start_percent, self.end_percent))
        if not last <= float(sigma) <= first or self.strength == 0:
            return before
        self._check(inputs, model)
        found = self.net.steering(self, x, timestep, inputs, model, calls)
        return _sum(found.each(lambda tensor: tensor * self._weight(tensor, calls)), before)

    def hint(self, x: Tensor, calls: int) -> Tensor:
        """The picture (B, C, H, W) at the latent's size, one a row of ``x``."""
        multiple = self.net.multiple
        height, width = (-(-n * self.net.spatial // multiple) * multiple for n in x.shape[-2:])
        if (height, width) not in self.kept:
            pixels = self.image.movedim(-1, 1)[:, :3]
            pixels = pixels.mean(1, keepdim=True) if self.net.channels == 1 else pixels.expand(-1, 3, -1, -1)
            self.kept[height, width] = resize(pixels, width, height, "nearest-exact", "center")
        return self.rows(self.kept[height, width], x.shape[0], calls)

    def rows(self, tensor: Tensor, rows: int, calls: int) -> Tensor:
        """One of ``tensor`` (b, ...) for each of ``rows`` latents, those of each of ``calls`` conditionings in turn."""
        return repeat_to(repeat_to(tensor, rows // calls), rows)

    def _weight(self, tensor: Tensor, calls: int) -> Tensor | float:
        if self.mask is None:
            return self.strength
        mask = self.mask.reshape(-1, 1, *self.mask.shape[-2:]).to(tensor)
        mask = F.interpolate(mask, size=tensor.shape[-2:], mode="bilinear")
        return self.rows(mask, tensor.shape[0], calls) * self.strength

    def _check(self, inputs: Inputs, model: Model) -> None:
        width = inputs["context"].shape[-1]
        if self.net.context not in (0, width):
            raise ValueError(
                f"this ControlNet listens to text embeddings of width {self.net.context}, but {model.family.title} has {width}. "
                "Use a ControlNet made for this base model."
            )


def apply_control(
    positive: Conditioning,
    negative: Conditioning,
    net: ControlNet,
    image: Tensor,
    strength: float,
    start: float,
    end: float,
    mask: Tensor | None = None,
) -> tuple[list[list[Any]], list[list[Any]]]:
    """Steer both conditionings; strength 0 changes nothing."""
    if strength == 0:
        return [list(entry) for entry in positive], [list(entry) for entry in negative]
    control = Control(net, image, strength, start, end, mask=mask)
    both = set_control([*positive, *negative], control)
    return both[: len(positive)], both[len(positive) :]


def added(inputs: Inputs, dtype: torch.dtype) -> dict[str, Tensor] | None:
    """SDXL's pooled text and sizes, as diffusers wants them."""
    if "time_ids" not in inputs:
        return None
    return {"text_embeds": inputs.get("control_pooled", inputs["pooled"]).to(dtype), "time_ids": inputs["time_ids"].to(dtype)}


def _sum(a: Residuals, b: Residuals | None) -> Residuals:
    if b is None:
        return a
    mid = b.mid if a.mid is None else a.mid if b.mid is None else a.mid + b.mid
    return Residuals(_added(a.down, b.down), mid, _added(a.within, b.within))


def _added(a: tuple[Tensor, ...], b: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(x + y for x, y in zip(a, b, strict=True)) if a and b else a or b
