"""How much of the other model each block of a UNet takes: the lists of numbers people share for block-weighted merges."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

PLACE = re.compile(r"^(input_blocks|middle_block|output_blocks)\.(\d+)\.")

SHORT: Mapping[int, tuple[int, tuple[int, ...]]] = {
    17: (26, (0, 2, 3, 5, 6, 8, 9, 13, *range(17, 26))),
    12: (20, (0, 5, 6, 8, 9, 10, *range(11, 17))),
}
"""Lists of only the blocks that attend, as they are written for LoRAs: how long the whole list is, and which places they give."""


BLOCKS = range(25)
"""IN00-11, M00, OUT00-11."""


def _at(*ranges: tuple[int, int], value: float = 1.0) -> tuple[float, ...]:
    """``value`` in these ranges of blocks (first, last), 0 elsewhere."""
    return tuple(value if any(first <= i <= last for first, last in ranges) else 0.0 for i in BLOCKS)


def _smooth(x: float) -> float:
    return x * x * (3 - 2 * x)


MERGES: Mapping[str, tuple[float, ...]] = {
    "ALL_A": _at(),
    "ALL_B": _at((0, 24)),
    "GRAD_V": tuple(abs(i - 12) / 12 for i in BLOCKS),
    "GRAD_A": tuple(1 - abs(i - 12) / 12 for i in BLOCKS),
    "FLAT_25": _at((0, 24), value=0.25),
    "FLAT_75": _at((0, 24), value=0.75),
    "WRAP08": _at((0, 3), (21, 24)),
    "WRAP12": _at((0, 5), (19, 24)),
    "WRAP14": _at((0, 6), (18, 24)),
    "WRAP16": _at((0, 7), (17, 24)),
    "MID12_50": _at((5, 18), value=0.5),
    "OUT07": _at((18, 24)),
    "OUT12": _at((13, 24)),
    "OUT12_5": (*_at((13, 24))[:12], 0.5, *_at((13, 24))[13:]),
    "RING08_SOFT": tuple(
        a + b for a, b in zip(_at((6, 8), (16, 18)), _at((5, 5), (9, 9), (15, 15), (19, 19), value=0.5), strict=True)
    ),
    "RING08_5": _at((6, 9), (15, 18)),
    "RING10_5": _at((5, 9), (15, 19)),
    "RING10_3": _at((6, 10), (14, 18)),
    "SMOOTHSTEP": tuple(_smooth(i / 24) for i in BLOCKS),
    "REVERSE-SMOOTHSTEP": tuple(_smooth(1 - i / 24) for i in BLOCKS),
}
"""Alphas of the 25 blocks by the names they are shared under: bbc-mc/sdweb-merge-block-weighted-gui, csv/preset.tsv."""

LORAS: Mapping[str, str] = {
    "NONE": "00000000000000000",
    "ALL": "11111111111111111",
    "INS": "11100000000000000",
    "IND": "10001110000000000",
    "INALL": "11111110000000000",
    "MIDD": "10001111111100000",
    "OUTD": "10000000111100000",
    "OUTS": "10000000000011111",
    "OUTALL": "10000000111111111",
}
"""BASE and the 16 blocks that attend, for LoRAs: hako-mikan/sd-webui-lora-block-weight."""


@dataclass(frozen=True)
class BlockWeights:
    """An alpha for each weight by its original name.

    ``values``: BASE (text encoders and whatever is in no block), IN00 ..., M00, OUT00 ...: 26 for Stable Diffusion 1 and 2, 20
    for SDXL, as block-weighted merges are written since sd-webui-supermerger. ``named``: beginnings of names and their alphas,
    the longest deciding, where a list of numbers does not say it.
    """

    values: tuple[float, ...] = ()
    named: tuple[tuple[str, float], ...] = ()
    alpha: float = 0.5

    @property
    def base(self) -> float:
        return self.values[0] if self.values else self.alpha

    def __call__(self, name: str) -> float:
        fitting = [(start, value) for start, value in self.named if name.startswith(start)]
        if fitting:
            return max(fitting, key=lambda pair: len(pair[0]))[1]
        if not self.values:
            return self.alpha
        found = PLACE.match(name)
        if found is None:
            return self._outside(name)
        way = (len(self.values) - 2) // 2
        side, number = found[1], int(found[2])
        if side == "middle_block":
            return self.values[1 + way]
        if number >= way:
            raise ValueError(
                f"{len(self.values)} block weights are for {way} blocks each way, but this model has {side}.{number}"
            )
        return self.values[1 + number + (0 if side == "input_blocks" else way + 1)]

    def _outside(self, name: str) -> float:
        """The time embedding goes with the first block, the output with the last, all else is BASE."""
        if name.startswith("time_embed."):
            return self.values[1]
        return self.values[-1] if name.startswith("out.") else self.base


def read(text: str, alpha: float) -> BlockWeights:
    """``0, 0.5, 1 ...`` (26 or 20 numbers), a preset's name, or ``output_blocks.=0.3, middle_block.=1``; nothing is ``alpha``
    for all. Presets of merges have ``alpha`` as their BASE."""
    name = text.strip().upper()
    if name in MERGES:
        return BlockWeights((alpha, *MERGES[name]), (), alpha)
    if name in LORAS:
        text = " ".join(LORAS[name])
    items = [item for item in re.split(r"[,\s]+", text.strip()) if item]
    named: list[tuple[str, float]] = []
    values: list[float] = []
    for item in items:
        start, sign, number = item.rpartition("=")
        try:
            value = float(number)
        except ValueError as error:
            raise ValueError(
                f"block weights: {item!r} is no number; write 26 or 20 of them, a preset such as GRAD_V, or name=number pairs"
            ) from error
        if sign:
            named.append((start, value))
        else:
            values.append(value)
    if len(values) in SHORT:
        whole, places = SHORT[len(values)]
        given = dict(zip(places, values, strict=True))
        values = [given.get(i, alpha) for i in range(whole)]
    if values and len(values) not in (20, 26):
        raise ValueError(
            f"block weights: {len(values)} numbers; write 26 (or 17) for Stable Diffusion 1 and 2: BASE, IN00-11, M00, OUT00-11; "
            "20 (or 12) for SDXL: BASE, IN00-08, M00, OUT00-08"
        )
    return BlockWeights(tuple(values), tuple(named), alpha)
