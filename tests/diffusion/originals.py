"""Model files in the layout their authors publish, made from nothing: on the meta device at full size, or tiny and random."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from engine.diffusion import autoencoder_kl
from engine.diffusion.families import unet
from engine.diffusion.families.family import Family
from engine.diffusion.families.sd1 import SD1
from engine.diffusion.families.sdxl import MODULES, SDXL, SDXLRefiner
from engine.diffusion.families.unclip import MODULES as LABELS
from engine.diffusion.families.unclip import UnCLIP
from engine.diffusion.families.unet import UNetConfig
from engine.diffusion.families.x4_upscaler import MODULES as NOISE
from engine.diffusion.families.x4_upscaler import X4Upscaler
from engine.diffusion.text.network import ClipText, TextConfig
from engine.diffusion.vision.network import ClipImage, VisionConfig

SD1_FULL = UNetConfig(
    4, 4, (320, 640, 1280, 1280), ((1, 1), (1, 1), (1, 1), (0, 0)), 1, ((0, 0, 0), *((1, 1, 1),) * 3), 768, False, None
)
SD1_INPAINT = replace(SD1_FULL, in_channels=9)
SD2_FULL = replace(SD1_FULL, context=1024, linear=True)
SDXL_FULL = UNetConfig(4, 4, (320, 640, 1280), ((0, 0), (2, 2), (10, 10)), 10, ((10,) * 3, (2,) * 3, (0,) * 3), 2048, True, 2816)
SSD_1B = UNetConfig(4, 4, (320, 640, 1280), ((0, 0), (2, 2), (4, 4)), -1, ((4, 4, 10), (2, 1, 1), (0, 0, 0)), 2048, True, 2816)
VEGA = replace(SSD_1B, down=((0, 0), (1, 1), (2, 2)), up=((2,) * 3, (1,) * 3, (0,) * 3))
KOALA = replace(SSD_1B, down=((0,), (2,), (5,)), up=((5, 5), (2, 2), (0, 0)))
REFINER_FULL = UNetConfig(
    4,
    4,
    (384, 768, 1536, 1536),
    ((0, 0), (4, 4), (4, 4), (0, 0)),
    4,
    ((0,) * 3, (4,) * 3, (4,) * 3, (0,) * 3),
    1280,
    True,
    2560,
)

SD1_TINY = UNetConfig(4, 4, (32, 64), ((1,), (0,)), 1, ((0, 0), (1, 1)), 64, False, None)
SDXL_TINY = UNetConfig(4, 4, (32, 64, 128), ((0,), (1,), (2,)), 2, ((2, 2), (1, 1), (0, 0)), 192, True, 128 + 6 * 256)
REFINER_TINY = UNetConfig(4, 4, (32, 64, 64), ((0,), (1,), (0,)), 1, ((0, 0), (1, 1), (0, 0)), 128, True, 128 + 5 * 256)

SVD_FULL = replace(SD2_FULL, in_channels=8, vector=768)
SVD_TINY = replace(SD1_TINY, in_channels=8, channels=(64, 128), context=64, linear=True, vector=768)
UNCLIP_FULL = replace(SD2_FULL, vector=2048)
X4_FULL = X4Upscaler(
    UNetConfig(7, 4, (256, 512, 512, 1024), ((0, 0), *((1, 1),) * 3), 1, (*((1, 1, 1),) * 3, (0, 0, 0)), 1024, True, None),
    text_only=(False, True, True, False),
)
X4_TINY = X4Upscaler(
    UNetConfig(7, 4, (32, 64, 128), ((0,), (1,), (1,)), 1, ((1, 1), (1, 1), (0, 0)), 128, True, None),
    text_only=(False, True, False),
)
UNCLIP_TINY = replace(SD1_TINY, channels=(64, 128), context=64, linear=True, vector=64)

VAE_FULL = autoencoder_kl.KLConfig(3, 3, 4, (128, 256, 512, 512), 2, True)
VAE_X4 = replace(VAE_FULL, channels=(128, 256, 512))
VAE_TINY = autoencoder_kl.KLConfig(3, 3, 4, (16, 16, 32, 32), 1, True)


def denoiser(family: Family) -> dict[str, Tensor]:
    """The UNet's tensors on the meta device by their original names."""
    assert isinstance(family, SD1 | SDXL | SDXLRefiner) or hasattr(family, "config")
    more = {UnCLIP: LABELS, X4Upscaler: NOISE}.get(type(family), MODULES)
    table = unet.modules(family.config) | more
    return renamed(family.build(), table)


def vae(config: autoencoder_kl.KLConfig) -> dict[str, Tensor]:
    """The autoencoder's, with attention as 1x1 convolutions."""
    tensors = renamed(config.build(), autoencoder_kl.modules(config))
    return {n: t[..., None, None] if ".attn_1." in n and t.ndim == 2 else t for n, t in tensors.items()}


def renamed(network: nn.Module, table: Mapping[str, str]) -> dict[str, Tensor]:
    """A network's tensors by the names ``table`` (original -> network) gives them."""
    back = {target: source for source, target in table.items()}
    found = {}
    for name, tensor in network.state_dict().items():
        end = name.rfind(".")
        while name[:end] not in back:
            end = name.rfind(".", 0, end)
        found[back[name[:end]] + name[end:]] = tensor
    return found


def tower(config: TextConfig) -> dict[str, Tensor]:
    """A text tower's tensors on the meta device in transformers' layout."""
    with torch.device("meta"):
        return dict(ClipText(config).state_dict())


def image_tower(config: VisionConfig) -> dict[str, Tensor]:
    """An image tower's tensors on the meta device in transformers' layout."""
    with torch.device("meta"):
        return dict(ClipImage(config).state_dict())


def open_clip(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tower in open_clip's layout."""
    renames = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "self_attn.out_proj": "attn.out_proj"}
    renames |= {"mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj", "text_model.encoder.layers": "transformer.resblocks"}
    renames |= {"text_model.final_layer_norm": "ln_final", "text_model.embeddings.token_embedding": "token_embedding"}
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if ".self_attn." in name and "out_proj" not in name:
            continue
        for new, old in renames.items():
            name = name.replace(new, old)
        found[name] = tensor
    found["positional_embedding"] = found.pop("text_model.embeddings.position_embedding.weight")
    if "text_projection.weight" in found:
        found["text_projection"] = found.pop("text_projection.weight").t().contiguous()
    layers = {name.split(".")[3] for name in tensors if ".layers." in name}
    for i in layers:
        for kind in ("weight", "bias"):
            parts = [tensors[f"text_model.encoder.layers.{i}.self_attn.{x}_proj.{kind}"] for x in "qkv"]
            found[f"transformer.resblocks.{i}.attn.in_proj_{kind}"] = torch.cat(parts)
    return found


def filled(tensors: Mapping[str, Tensor], seed: int = 0, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Random values of these shapes, tame enough for a network to stay finite."""
    generator = torch.Generator().manual_seed(seed)
    values = {}
    for name, tensor in tensors.items():
        noise = torch.randn(tensor.shape, generator=generator)
        fan = tensor[0].numel() if tensor.ndim > 1 else 1
        values[name] = (1 + noise / 10 if tensor.ndim == 1 and "norm" in name else noise / fan**0.5).to(dtype)
        if tensor.ndim == 1 and not name.endswith("weight"):
            values[name] = (noise / 10).to(dtype)
    return values


def with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}
