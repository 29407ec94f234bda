"""Weights in blocks of a few bits a number, as GGUF files hold them: how each kind of block becomes numbers.

The kinds and their bytes are ggml's, https://github.com/ggml-org/ggml (MIT), ``src/ggml-common.h``. A function gets blocks
(n, bytes of a block) and gives (n, numbers of a block) in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

CODEBOOK = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
"""What the sixteen codes of the IQ4 kinds stand for."""


@dataclass(frozen=True)
class Kind:
    """One kind of block: how many numbers it holds, in how many bytes, and how they are read."""

    name: str
    numbers: int
    nbytes: int
    read: Callable[[Tensor], Tensor]


def halves(blocks: Tensor, first: int) -> Tensor:
    """The float16 at byte ``first`` of each block, (n, 1) float32."""
    return blocks[:, first : first + 2].contiguous().view(torch.float16).float()


def bits(data: Tensor, width: int, count: int) -> Tensor:
    """(..., k) bytes -> (..., count, k): the first, second ... ``width`` bits of each byte, the low ones first."""
    data, mask = data.contiguous(), (1 << width) - 1
    return torch.stack([data >> width * i & mask for i in range(count)], dim=-2)  # by scalars: a tensor of shifts is slower


def nibbles(data: Tensor) -> Tensor:
    """(n, 16 k) bytes -> (n, 32 k) codes where each 16 bytes hold 32: all the low halves, then all the high ones."""
    return bits(data.reshape(len(data), -1, 16), 4, 2).reshape(len(data), -1)


def fifth_bits(blocks: Tensor, first: int) -> Tensor:
    """(n, 32): the fifth bit of each code of a Q5_0 or Q5_1 block, at its place."""
    return bits(blocks[:, first : first + 4], 1, 8).transpose(1, 2).reshape(-1, 32) << 4


def q4_0(b: Tensor) -> Tensor:
    return (nibbles(b[:, 2:]).float() - 8) * halves(b, 0)


def q4_1(b: Tensor) -> Tensor:
    return nibbles(b[:, 4:]).float() * halves(b, 0) + halves(b, 2)


def q5_0(b: Tensor) -> Tensor:
    return ((nibbles(b[:, 6:]) | fifth_bits(b, 2)).float() - 16) * halves(b, 0)


def q5_1(b: Tensor) -> Tensor:
    return (nibbles(b[:, 8:]) | fifth_bits(b, 4)).float() * halves(b, 0) + halves(b, 2)


def q8_0(b: Tensor) -> Tensor:
    return b[:, 2:].view(torch.int8).float() * halves(b, 0)


def iq4_nl(b: Tensor) -> Tensor:
    return torch.tensor(CODEBOOK, dtype=torch.float32)[nibbles(b[:, 2:]).long()] * halves(b, 0)


def q2_k(b: Tensor) -> Tensor:
    scales, codes = b[:, :16], bits(b[:, 16:80].reshape(-1, 2, 32), 2, 4).reshape(-1, 16, 16)
    steps, lows = (scales & 15).float() * halves(b, 80), (scales >> 4).float() * halves(b, 82)
    return (codes.float() * steps.unsqueeze(-1) - lows.unsqueeze(-1)).flatten(1)


def q3_k(b: Tensor) -> Tensor:
    high = bits(b[:, :32], 1, 8).reshape(-1, 16, 16)
    codes = (bits(b[:, 32:96].reshape(-1, 2, 32), 2, 4).reshape(-1, 16, 16) | high << 2).float() - 4
    packed = b[:, 96:108]
    scales = bits(packed[:, :8], 4, 2).reshape(-1, 16) | bits(packed[:, 8:], 2, 4).reshape(-1, 16) << 4
    return (codes * ((scales.float() - 32) * halves(b, 108)).unsqueeze(-1)).flatten(1)


def six_bit_pairs(packed: Tensor) -> tuple[Tensor, Tensor]:
    """(n, 12) bytes -> the eight scales and the eight minima of a Q4_K or Q5_K block, six bits each, as float32."""
    scale, low, rest = packed[:, :4], packed[:, 4:8], packed[:, 8:]
    scales = torch.cat([scale & 63, (rest & 15) | (scale >> 6) << 4], dim=1)
    lows = torch.cat([low & 63, (rest >> 4) | (low >> 6) << 4], dim=1)
    return scales.float(), lows.float()


def eighths(codes: Tensor, b: Tensor) -> Tensor:
    """Codes (n, 8, 32) by the scales and minima in bytes 0 to 16 of each block."""
    scales, lows = six_bit_pairs(b[:, 4:16])
    steps, lows = scales * halves(b, 0), lows * halves(b, 2)
    return (codes.float() * steps.unsqueeze(-1) - lows.unsqueeze(-1)).flatten(1)


def q4_k(b: Tensor) -> Tensor:
    return eighths(bits(b[:, 16:].reshape(-1, 4, 32), 4, 2).reshape(-1, 8, 32), b)


def q5_k(b: Tensor) -> Tensor:
    return eighths(bits(b[:, 48:].reshape(-1, 4, 32), 4, 2).reshape(-1, 8, 32) | bits(b[:, 16:48], 1, 8) << 4, b)


def q6_k(b: Tensor) -> Tensor:
    low = bits(b[:, :128].reshape(-1, 2, 64), 4, 2).reshape(-1, 16, 16)
    high = bits(b[:, 128:192].reshape(-1, 2, 32), 2, 4).reshape(-1, 16, 16)
    scales = b[:, 192:208].contiguous().view(torch.int8).float() * halves(b, 208)
    return (((low | high << 4).float() - 32) * scales.unsqueeze(-1)).flatten(1)


def iq4_xs(b: Tensor) -> Tensor:
    high = bits(b[:, 2:4], 2, 4).transpose(1, 2).reshape(-1, 8)
    scales = bits(b[:, 4:8], 4, 2).transpose(1, 2).reshape(-1, 8) | high << 4
    codes = bits(b[:, 8:].reshape(-1, 8, 16), 4, 2).reshape(-1, 8, 32)
    numbers = torch.tensor(CODEBOOK, dtype=torch.float32)[codes.long()]
    return (numbers * ((scales.float() - 32) * halves(b, 0)).unsqueeze(-1)).flatten(1)


KINDS: Mapping[int, Kind] = {
    2: Kind("Q4_0", 32, 18, q4_0),
    3: Kind("Q4_1", 32, 20, q4_1),
    6: Kind("Q5_0", 32, 22, q5_0),
    7: Kind("Q5_1", 32, 24, q5_1),
    8: Kind("Q8_0", 32, 34, q8_0),
    10: Kind("Q2_K", 256, 84, q2_k),
    11: Kind("Q3_K", 256, 110, q3_k),
    12: Kind("Q4_K", 256, 144, q4_k),
    13: Kind("Q5_K", 256, 176, q5_k),
    14: Kind("Q6_K", 256, 210, q6_k),
    20: Kind("IQ4_NL", 32, 18, iq4_nl),
    23: Kind("IQ4_XS", 256, 136, iq4_xs),
}
"""By the number a file calls them."""

UNKNOWN: Mapping[int, str] = {
    9: "Q8_1", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 21: "IQ3_S", 22: "IQ2_S", 29: "IQ1_M",
    34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
}  # fmt: skip
"""Kinds that are not read here."""
