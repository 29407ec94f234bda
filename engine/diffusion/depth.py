"""Depth of pictures, by networks of transformers in a folder of the user's own (Depth Anything, DPT, ZoeDepth's kin)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn

from engine.diffusion import networks
from engine.diffusion.containers import CheckpointError
from engine.diffusion.parts import Part, Place, Tensors, straight, working_dtype
from engine.diffusion.residency import Residency

WEIGHTS = "model.safetensors"
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and spread of the pictures most such networks were trained on."""


@dataclass(frozen=True, eq=False)
class DepthModel:
    """The DEPTH_MODEL value: a network, and how pictures are made ready for it."""

    part: Part
    place: Place
    size: tuple[int, int]  # height and width the network was trained with
    multiple: int  # what the sides must divide by
    keeps_aspect: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    far_is_large: bool  # it says metres, not their inverse

    def nearness(self, images: Tensor) -> Tensor:
        """(B, H, W, 3) in 0..1 -> the same size, from 0 (farthest in each picture) to 1 (nearest), in three equal channels."""
        network: Any = self.place(self.part)
        first = next(network.parameters())
        pixels = images[..., :3].movedim(-1, 1)
        height, width = pixels.shape[-2:]
        x = F.interpolate(pixels, size=self.fitted(height, width), mode="bicubic", antialias=True)
        mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (self.mean, self.std))
        with torch.no_grad():
            seen = network(pixel_values=((x - mean) / std).to(first.device, working_dtype(network))).predicted_depth
        depth = F.interpolate(seen.float().cpu().unsqueeze(1), size=(height, width), mode="bicubic")
        depth = -depth if self.far_is_large else depth
        low, high = depth.amin((2, 3), keepdim=True), depth.amax((2, 3), keepdim=True)
        return ((depth - low) / (high - low).clamp(min=1e-12)).movedim(1, -1).expand(-1, -1, -1, 3).contiguous()

    def fitted(self, height: int, width: int) -> tuple[int, int]:
        """The size a picture is looked at: as near to the training's as its shape, and the multiple, let it be."""
        down, across = self.size[0] / height, self.size[1] / width
        if self.keeps_aspect:  # the side that changes less decides
            down = across = down if abs(1 - down) < abs(1 - across) else across
        sides = (height * down, width * across)
        return tuple(max(self.multiple, round(side / self.multiple) * self.multiple) for side in sides)  # type: ignore[return-value]


def load_depth(folder: Path, place: Place | None = None) -> DepthModel:
    """The depth network of a folder with ``config.json`` and ``model.safetensors``, as transformers saves it."""
    config = _read(folder / "config.json")
    if not (folder / WEIGHTS).is_file():
        raise CheckpointError(folder, f"it has no {WEIGHTS} in it")
    architecture = (config.get("architectures") or [""])[0]
    if not str(architecture).endswith("ForDepthEstimation"):
        raise CheckpointError(folder, f"its network is {architecture or 'not named'}, which does not estimate depth")
    network, tensors = _loaded(folder)

    def build() -> nn.Module:
        with networks.on_meta():
            module: nn.Module = type(network)(network.config)
        return module

    ready = _read(folder / "preprocessor_config.json")
    part = Part("depth", build, straight(tensors), tensors)
    mean, std = (tuple(ready.get(f"image_{name}", default)) for name, default in (("mean", IMAGENET[0]), ("std", IMAGENET[1])))
    patch = int(config.get("patch_size") or (config.get("backbone_config") or {}).get("patch_size") or 1)
    return DepthModel(
        part, place or Residency(), _size(ready), int(ready.get("ensure_multiple_of") or patch),
        bool(ready.get("keep_aspect_ratio", False)), mean, std, config.get("depth_estimation_type") == "metric",
    )  # fmt: skip


def _loaded(folder: Path) -> tuple[Any, Tensors]:
    """The network as transformers reads it, which knows the names of older files, and its weights."""
    from transformers import AutoModelForDepthEstimation

    try:
        found: Any = AutoModelForDepthEstimation.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(folder, f"transformers cannot read it: {str(error).splitlines()[0]}") from error
    network, told = found
    if told["missing_keys"]:
        raise CheckpointError(folder, f"weights are missing: {', '.join(sorted(told['missing_keys'])[:3])} ...; fetch it again")
    tensors = dict(network.state_dict())
    return network.to("meta"), tensors


def _size(ready: Mapping[str, Any]) -> tuple[int, int]:
    size = ready.get("size", 518)
    if isinstance(size, Mapping):
        return int(size.get("height", 518)), int(size.get("width", 518))
    return int(size), int(size)


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(path, "it is not readable JSON") from error
    return found if isinstance(found, dict) else {}
