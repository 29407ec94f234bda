"""ESRGAN's residual-in-residual dense blocks, of any depth and width.

Wang et al. 2018, https://arxiv.org/abs/1809.00219; Real-ESRGAN, https://arxiv.org/abs/2107.10833, for the unshuffled input.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.diffusion.parts import Part, Row, Tensors
from engine.diffusion.upscalers.architecture import Found

SLOPE, RESIDUAL = 0.2, 0.2

# Names in files -> names in the network. Three generations: xinntao's first ESRGAN, its rewrite, and Real-ESRGAN (ours).
RENAMES = (
    (r"^model\.0\.", "conv_first."),
    (r"^model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.", r"body.\1.rdb\2.conv\3."),
    (r"^model\.1\.sub\.\d+\.(weight|bias)$", r"conv_body.\1"),
    (r"^RRDB_trunk\.(\d+)\.RDB(\d)\.", r"body.\1.rdb\2."),
    (r"^trunk_conv\.", "conv_body."),
    (r"^upconv(\d)\.", r"conv_up\1."),
    (r"^HRconv\.", "conv_hr."),
)
BLOCK = re.compile(r"body\.(\d+)\.rdb1\.conv1\.weight")


class DenseBlock(nn.Module):
    """Five convolutions, each seeing all before it."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        for i in range(5):
            out = growth if i < 4 else features
            self.add_module(f"conv{i + 1}", nn.Conv2d(features + i * growth, out, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        seen = [x]
        for i in range(4):
            seen.append(F.leaky_relu(self.get_submodule(f"conv{i + 1}")(torch.cat(seen, 1)), SLOPE))
        out: Tensor = self.get_submodule("conv5")(torch.cat(seen, 1))
        return x + out * RESIDUAL


class ResidualBlock(nn.Module):
    """Three dense blocks and a shortcut."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (DenseBlock(features, growth) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.rdb3(self.rdb2(self.rdb1(x)))
        return x + out * RESIDUAL


class Rrdb(nn.Module):
    """(B, C, H, W) -> (B, out, scale H, scale W); ``unshuffle`` folds squares of that side into channels first."""

    def __init__(self, colours: int, out: int, features: int, growth: int, blocks: int, doublings: int, unshuffle: int) -> None:
        super().__init__()
        self.doublings, self.unshuffle = doublings, unshuffle
        self.conv_first = nn.Conv2d(colours, features, 3, padding=1)
        self.body = nn.Sequential(*(ResidualBlock(features, growth) for _ in range(blocks)))
        self.conv_body = nn.Conv2d(features, features, 3, padding=1)
        for i in range(doublings):
            self.add_module(f"conv_up{i + 1}", nn.Conv2d(features, features, 3, padding=1))
        self.conv_hr = nn.Conv2d(features, features, 3, padding=1)
        self.conv_last = nn.Conv2d(features, out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        if self.unshuffle > 1:
            k = self.unshuffle
            x = F.pixel_unshuffle(F.pad(x, (0, -width % k, 0, -height % k), mode="reflect"), k)
        first = self.conv_first(x)
        x = first + self.conv_body(self.body(first))
        for i in range(self.doublings):
            x = F.leaky_relu(self.get_submodule(f"conv_up{i + 1}")(F.interpolate(x, scale_factor=2.0, mode="nearest")), SLOPE)
        out: Tensor = self.conv_last(F.leaky_relu(self.conv_hr(x), SLOPE))
        scale = 2**self.doublings // self.unshuffle
        return out[..., : height * scale, : width * scale]


def renamed(tensors: Tensors) -> dict[str, str]:
    """Network name -> file name."""
    names: dict[str, str] = {}
    for name in tensors:
        ours = name
        for pattern, to in RENAMES:
            ours = re.sub(pattern, to, ours)
        names[ours] = name
    return _with_tail(names)


def _with_tail(names: Mapping[str, str]) -> dict[str, str]:
    """The first ESRGAN numbers its last layers: up to two every third number are upsamplers, then come hr and last."""
    tail = sorted({int(name.split(".")[1]) for name in names if re.match(r"model\.\d+\.(weight|bias)$", name)})
    titles = [*(f"conv_up{i + 1}" for i in range(len(tail) - 2)), "conv_hr", "conv_last"] if len(tail) > 1 else []
    at = {f"model.{number}.": f"{title}." for number, title in zip(tail, titles, strict=False)}
    return {next((n.replace(old, new, 1) for old, new in at.items() if n.startswith(old)), n): file for n, file in names.items()}


def recognise(tensors: Tensors) -> Found | None:
    """The network of a file of this build, else None."""
    names = renamed(tensors)
    blocks = [int(found[1]) for name in names if (found := BLOCK.fullmatch(name))]
    if not blocks or not {"conv_first.weight", "conv_body.weight", "conv_hr.weight", "conv_last.weight"} <= names.keys():
        return None
    first, growing = tensors[names["conv_first.weight"]], tensors[names["body.0.rdb1.conv1.weight"]]
    out = tensors[names["conv_last.weight"]].shape[0]
    doublings = sum(name in names for name in ("conv_up1.weight", "conv_up2.weight", "conv_up3.weight"))
    unshuffle = {out: 1, out * 4: 2, out * 16: 4}.get(first.shape[1])
    if unshuffle is None:
        return None

    def build() -> nn.Module:
        with torch.device("meta"):
            return Rrdb(first.shape[1], out, first.shape[0], growing.shape[0], max(blocks) + 1, doublings, unshuffle)

    if build().state_dict().keys() != names.keys():
        return None
    keymap = tuple(Row(ours, file) for ours, file in names.items())
    return Found(Part("upscaler", build, keymap, tensors), 2**doublings // unshuffle)
