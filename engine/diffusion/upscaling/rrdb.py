"""ESRGAN's network of residual-in-residual dense blocks, in every naming it was published in.

Wang et al. 2018, https://arxiv.org/abs/1809.00219; Real-ESRGAN, https://arxiv.org/abs/2107.10833, whose x2 and x1 models
first fold pixels into channels; ESRGAN+, https://arxiv.org/abs/2001.08073, with two more ways past its convolutions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.diffusion.parts import KeyMap, Row, Tensors

RENAMES = (
    (r"^model\.0\.", "conv_first."),
    (r"^model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.", r"body.\1.rdb\2.conv\3."),
    (r"^model\.1\.sub\.(\d+)\.RDB(\d)\.conv1x1\.", r"body.\1.rdb\2.conv1x1."),
    (r"^model\.1\.sub\.\d+\.(weight|bias)$", r"conv_body.\1"),
    (r"^RRDB_trunk\.(\d+)\.RDB(\d)\.", r"body.\1.rdb\2."),
    (r"^trunk_conv\.", "conv_body."),
    (r"^upconv(\d)\.", r"ups.\1."),
    (r"^conv_up(\d)\.", r"ups.\1."),
    (r"^HRconv\.", "conv_hr."),
)


@dataclass(frozen=True)
class RRDBConfig:
    """The shape of the network."""

    in_channels: int  # of the picture
    out_channels: int
    width: int
    growth: int
    blocks: int
    doublings: int
    fold: int  # pixels each way that become channels first
    plus: bool = False

    @property
    def scale(self) -> int:
        """Pixels out for one in, each way."""
        return (1 << self.doublings) // self.fold


class Dense(nn.Module):
    def __init__(self, width: int, growth: int, plus: bool) -> None:
        super().__init__()
        for i in range(1, 6):
            setattr(self, f"conv{i}", nn.Conv2d(width + (i - 1) * growth, width if i == 5 else growth, 3, 1, 1))
        self.conv1x1 = nn.Conv2d(width, growth, 1, bias=False) if plus else None

    def forward(self, x: Tensor) -> Tensor:
        seen, past = x, None
        for i in range(1, 5):
            new = F.leaky_relu(self.get_submodule(f"conv{i}")(seen), 0.2, inplace=True)
            if self.conv1x1 is not None and i in (2, 4):
                new = past = new + (self.conv1x1(x) if past is None else past)
            seen = torch.cat([seen, new], dim=1)
        out: Tensor = self.get_submodule("conv5")(seen) * 0.2 + x
        return out


class Block(nn.Module):
    def __init__(self, width: int, growth: int, plus: bool) -> None:
        super().__init__()
        self.rdb1 = Dense(width, growth, plus)
        self.rdb2 = Dense(width, growth, plus)
        self.rdb3 = Dense(width, growth, plus)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.rdb3(self.rdb2(self.rdb1(x))) * 0.2 + x
        return out


class RRDB(nn.Module):
    """(B, C, H, W) in 0..1 -> the same ``scale`` times as large."""

    def __init__(self, config: RRDBConfig) -> None:
        super().__init__()
        self.fold = config.fold
        width = config.width
        self.conv_first = nn.Conv2d(config.in_channels * config.fold**2, width, 3, 1, 1)
        self.body = nn.Sequential(*(Block(width, config.growth, config.plus) for _ in range(config.blocks)))
        self.conv_body = nn.Conv2d(width, width, 3, 1, 1)
        self.ups = nn.ModuleList(nn.Conv2d(width, width, 3, 1, 1) for _ in range(config.doublings))
        self.conv_hr = nn.Conv2d(width, width, 3, 1, 1)
        self.conv_last = nn.Conv2d(width, config.out_channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        if self.fold > 1:
            x = F.pixel_unshuffle(x, self.fold)
        x = self.conv_first(x)
        x = x + self.conv_body(self.body(x))
        for up in self.ups:
            x = F.leaky_relu(up(F.interpolate(x, scale_factor=2, mode="nearest")), 0.2, inplace=True)
        out: Tensor = self.conv_last(F.leaky_relu(self.conv_hr(x), 0.2, inplace=True))
        return out


def keymap(tensors: Tensors) -> KeyMap:
    """Rows for any of the namings."""
    tail = _tail(tensors)
    rows = []
    for name in tensors:
        target = name
        for pattern, new in RENAMES:
            target = re.sub(pattern, new, target)
        target = re.sub(r"^ups\.(\d+)\.", lambda found: f"ups.{int(found[1]) - 1}.", target)
        number = re.match(r"^model\.(\d+)\.", target)
        if number is not None and int(number[1]) in tail:
            target = tail[int(number[1])] + target[number.end() - 1 :]
        rows.append(Row(target, name))
    return tuple(rows)


def _tail(tensors: Tensors) -> Mapping[int, str]:
    """The old naming's numbers after the body: doublings, then the last two convolutions."""
    numbers = sorted({int(found[1]) for name in tensors if (found := re.match(r"^model\.(\d+)\.weight$", name))} - {0, 1})
    if len(numbers) < 2:
        return {}
    ups = {number: f"ups.{i}" for i, number in enumerate(numbers[:-2])}
    return {**ups, numbers[-2]: "conv_hr", numbers[-1]: "conv_last"}


def read_config(tensors: Tensors) -> RRDBConfig | None:
    """The configuration these names and shapes imply; None if they are no such network's."""
    by_target = {row.target: tensors[row.source].shape for row in keymap(tensors)}
    try:
        width, first = by_target["conv_first.weight"][:2]
        growth = by_target["body.0.rdb1.conv1.weight"][0]
        out = by_target["conv_last.weight"][0]
    except KeyError:
        return None
    fold = 1
    while first > 4 and out * fold**2 != first and fold < 8:
        fold *= 2
    return RRDBConfig(
        in_channels=first // fold**2,
        out_channels=out,
        width=width,
        growth=growth,
        blocks=len({name.split(".")[1] for name in by_target if name.startswith("body.")}),
        doublings=len({name.split(".")[1] for name in by_target if name.startswith("ups.")}),
        fold=fold,
        plus="body.0.rdb1.conv1x1.weight" in by_target,
    )
