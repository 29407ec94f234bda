"""Stable Diffusion 1.x and everything trained from it; also its inpainting form with nine channels, and NovelAI's first.

https://github.com/CompVis/stable-diffusion, configs/stable-diffusion/v1-inference.yaml.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from engine.diffusion.families import unet
from engine.diffusion.families.family import Defaults, Inputs, Prediction, batch_contexts
from engine.diffusion.families.unet import UNetConfig
from engine.diffusion.latent_format import LatentFormat
from engine.diffusion.parts import KeyMap, Tensors

LATENT = LatentFormat(
    name="sd1",
    tiny="taesd",
    vae="Stable Diffusion 1 and 2",
    scale=(0.18215,),
    rgb=((0.3444, 0.1385, 0.0670), (0.1247, 0.4027, 0.1494), (-0.3192, 0.2513, 0.2103), (-0.1307, -0.1874, -0.7445)),
)


@dataclass(frozen=True)
class SD1:
    """Bound to one file's UNet. ``v`` is for the few finetunes that predict velocity, with zero terminal SNR."""

    config: UNetConfig
    v: bool = False
    zero_terminal_snr: bool = False

    name: ClassVar[str] = "sd1"
    title: ClassVar[str] = "Stable Diffusion 1"
    spatial: ClassVar[frozenset[str]] = frozenset({"concat"})

    @classmethod
    def recognise(cls, tensors: Tensors, loose: Tensors, metadata: Mapping[str, str]) -> Self | None:
        config = unet.read_config(tensors)
        if config is None or config.linear or config.vector is not None:
            return None
        v = "v_pred" in loose or metadata.get("modelspec.prediction_type") == "v"
        return cls(config, v=v, zero_terminal_snr=v or "ztsnr" in loose)

    def build(self) -> nn.Module:
        return unet.build(self.config)

    def keymap(self, names: Iterable[str]) -> KeyMap:
        return unet.rename(names, unet.modules(self.config))

    @property
    def prediction(self) -> Prediction:
        return Prediction("v" if self.v else "eps", zero_terminal_snr=self.zero_terminal_snr)

    @property
    def latent(self) -> LatentFormat:
        return LATENT

    @property
    def defaults(self) -> Defaults:
        small = self.config.channels[0] < 128
        return unet.timed(self.config, Defaults(cfg=4.0, width=128, height=128) if small else Defaults())

    @property
    def text(self) -> str:
        return "sd1"

    def flags(self) -> dict[str, Tensor]:
        return unet.velocity_flags(self.prediction)

    def condition(self, tensor: Tensor, options: Mapping[str, Any], x: Tensor, *, negative: bool = False) -> Inputs:
        return unet.conditioned(self.config, LATENT, tensor, options, x)

    forward = staticmethod(unet.call)

    def batch(self, calls: Sequence[Inputs]) -> Inputs | None:
        return batch_contexts(calls)
