"""Stable Diffusion XL: the base and all trained from it (also SSD-1B and Vega, which left layers out), inpainting, the refiner.

https://github.com/Stability-AI/generative-models, configs/inference/sd_xl_base.yaml and sd_xl_refiner.yaml.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from engine.diffusion.families import unet
from engine.diffusion.families.family import Defaults, Inputs, Prediction, batch_contexts, repeat_to
from engine.diffusion.families.unet import TIME_IDS, UNetConfig
from engine.diffusion.latent_format import LatentFormat
from engine.diffusion.parts import KeyMap, Tensors

RGB = ((0.3816, 0.4930, 0.5320), (-0.3753, 0.1631, 0.1739), (0.1770, 0.3588, -0.2048), (-0.4350, -0.2644, -0.4289))

LATENT = LatentFormat(name="sdxl", scale=(0.13025,), rgb=RGB, tiny="taesdxl", vae="Stable Diffusion XL")

MODULES = {"label_emb.0.0": "add_embedding.linear_1", "label_emb.0.2": "add_embedding.linear_2"}

BASE_IDS = ("height", "width", "crop_h", "crop_w", "target_height", "target_width")
REFINER_IDS = ("height", "width", "crop_h", "crop_w", "aesthetic_score")

EPS = Prediction("eps")


@dataclass(frozen=True)
class SDXL:
    """The base, bound to one file's UNet."""

    config: UNetConfig
    prediction: Prediction = EPS
    latent: LatentFormat = LATENT

    name: ClassVar[str] = "sdxl"
    title: ClassVar[str] = "Stable Diffusion XL"
    spatial: ClassVar[frozenset[str]] = frozenset({"concat"})
    ids: ClassVar[tuple[str, ...]] = BASE_IDS

    @classmethod
    def recognise(cls, tensors: Tensors, loose: Tensors, metadata: Mapping[str, str]) -> Self | None:
        config = unet.read_config(tensors)
        if config is None or not config.linear or config.vector is None or any(config.down[0]):
            return None
        pooled = config.vector - len(cls.ids) * TIME_IDS
        refiner = config.vector - len(REFINER_IDS) * TIME_IDS == config.context
        if pooled <= 0 or refiner != (cls.ids is REFINER_IDS):
            return None
        return cls(config, _prediction(loose, metadata), _latent(loose))

    def build(self) -> nn.Module:
        return unet.build(
            self.config,
            addition_embed_type="text_time",
            addition_time_embed_dim=TIME_IDS,
            projection_class_embeddings_input_dim=self.config.vector,
        )

    def keymap(self, names: Iterable[str]) -> KeyMap:
        return unet.rename(names, unet.modules(self.config) | MODULES)

    @property
    def defaults(self) -> Defaults:
        usual = Defaults(steps=25, cfg=5.0, width=1024, height=1024)
        if self.prediction.kind == "edm":
            usual = replace(usual, cfg=3.0, sampler="dpmpp_2m", scheduler="karras")
        elif self.prediction.kind == "v":
            usual = replace(usual, steps=28, cfg=4.5)
        return unet.timed(self.config, usual)

    @property
    def text(self) -> str:
        return "sdxl"

    def flags(self) -> dict[str, Tensor]:
        if self.prediction.kind == "edm":
            spread = torch.tensor([0.5 / value for value in self.latent.scale])
            return {"edm_mean": torch.tensor(self.latent.shift), "edm_std": spread}
        if self.prediction.kind == "edm_v":
            ends = {"sigma_min": self.prediction.sigma_min, "sigma_max": self.prediction.sigma_max}
            return {f"edm_vpred.{name}": torch.tensor(value) for name, value in ends.items()}
        return unet.velocity_flags(self.prediction)

    def condition(self, tensor: Tensor, options: Mapping[str, Any], x: Tensor, *, negative: bool = False) -> Inputs:
        """Context, pooled text and the picture's size, crop and wished size in pixels, by default those of ``x``."""
        assert self.config.vector is not None
        pooled = options.get("pooled_output")
        if pooled is None:
            pooled = torch.zeros(1, self.config.vector - len(self.ids) * TIME_IDS)
        values = self._numbers(options, x, negative)
        ids = torch.tensor([[values[name] for name in self.ids]], device=x.device)
        inputs = unet.conditioned(self.config, self.latent, tensor, options, x, raw=self.prediction.kind != "edm_v")
        inputs["pooled"] = repeat_to(pooled.to(x.device), x.shape[0])
        inputs["time_ids"] = repeat_to(ids, x.shape[0])
        return inputs

    def _numbers(self, options: Mapping[str, Any], x: Tensor, negative: bool) -> dict[str, float]:
        """The conditioning numbers by name: the options', else what ``x`` (B, C, h, w) implies."""
        height = options.get("height", x.shape[-2] * self.latent.spatial)
        width = options.get("width", x.shape[-1] * self.latent.spatial)
        known = {"height": height, "width": width, "target_height": height, "target_width": width, "crop_h": 0, "crop_w": 0}
        known["aesthetic_score"] = 2.5 if negative else 6.0
        return {name: float(options.get(name, value)) for name, value in known.items()}

    forward = staticmethod(unet.call)

    def batch(self, calls: Sequence[Inputs]) -> Inputs | None:
        return batch_contexts(calls)


@dataclass(frozen=True)
class SDXLRefiner(SDXL):
    """The refiner: one text tower, an aesthetic score in place of the wished size."""

    name: ClassVar[str] = "sdxl_refiner"
    title: ClassVar[str] = "Stable Diffusion XL refiner"
    ids: ClassVar[tuple[str, ...]] = REFINER_IDS

    @property
    def text(self) -> str:
        return "sdxl_refiner"


def _prediction(loose: Tensors, metadata: Mapping[str, str]) -> Prediction:
    """What keys beside the weights say was trained: velocity (NoobAI), EDM (Playground 2.5), EDM with velocity (CosXL)."""
    if "edm_mean" in loose and "edm_std" in loose:
        return Prediction("edm", sigma_data=0.5, sigma_min=0.002, sigma_max=80.0)
    if "edm_vpred.sigma_max" in loose:
        low = loose.get("edm_vpred.sigma_min")
        return Prediction(
            "edm_v",
            sigma_data=1.0,
            sigma_min=0.002 if low is None else round(float(low), 6),
            sigma_max=float(loose["edm_vpred.sigma_max"]),
        )
    if "v_pred" in loose or metadata.get("modelspec.prediction_type") == "v":
        return Prediction("v", zero_terminal_snr="ztsnr" in loose)
    return EPS


def _latent(loose: Tensors) -> LatentFormat:
    """SDXL's scale, but for Playground 2.5, which normalises each channel by its own mean and spread to that of its EDM data."""
    if "edm_mean" not in loose or "edm_std" not in loose:
        return LATENT
    mean = tuple(float(value) for value in loose["edm_mean"].flatten())
    spread = tuple(float(value) for value in loose["edm_std"].flatten())
    return LatentFormat(name="playground25", scale=tuple(0.5 / value for value in spread), shift=mean, rgb=RGB, vae=LATENT.vae)
