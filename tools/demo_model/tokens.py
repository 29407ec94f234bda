"""CLIP's byte-pair encoding, and the 204 of its 49,408 tokens that captions use.

Sennrich et al. 2016, https://arxiv.org/abs/1508.07909; the vocabulary is ``bpe_simple_vocab_16e6`` of OpenAI CLIP.
"""

from __future__ import annotations

import gzip
import re
import zipfile
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from .architecture import VOCABULARY
from .captions import known_phrases

BOS, EOS = 49406, 49407
MEMBER = "open_clip/bpe_simple_vocab_16e6.txt.gz"
WORD = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|[^\s\w]+|_+")


def read_merges(wheel: Path) -> list[tuple[str, str]]:
    """The merges, in the order of their rank, from the ``open_clip_torch`` wheel."""
    with zipfile.ZipFile(wheel) as archive:
        lines = gzip.decompress(archive.read(MEMBER)).decode("utf-8").split("\n")
    pairs = (line.split() for line in lines[1 : 49152 - 256 - 2 + 1])
    return [(a, b) for a, b in pairs]


def byte_characters() -> list[str]:
    """The printable character that stands for each byte, in the vocabulary's order."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [b for b in range(256) if b not in printable]
    return [chr(b) for b in printable] + [chr(256 + n) for n in range(len(others))]


def vocabulary_of(merges: list[tuple[str, str]]) -> dict[str, int]:
    """Token -> id: bytes, bytes that end a word, merges, the two marks."""
    characters = byte_characters()
    tokens = [*characters, *(c + "</w>" for c in characters), *(a + b for a, b in merges), "<|startoftext|>", "<|endoftext|>"]
    return {token: i for i, token in enumerate(tokens)}


def merge_pair(parts: list[str], pair: tuple[str, str]) -> list[str]:
    """The parts with every occurrence of the pair joined, from the left."""
    out: list[str] = []
    for part in parts:
        if out and (out[-1], part) == pair:
            out[-1] += part
        else:
            out.append(part)
    return out


class Tokenizer:
    """Text to ids as SD 1 has them. Knows ASCII words only, which is all that captions have."""

    def __init__(self, wheel: Path) -> None:
        merges = read_merges(wheel)
        self.ids = vocabulary_of(merges)
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}
        self.encode = lru_cache(maxsize=None)(self._encode)

    def _encode(self, word: str) -> tuple[int, ...]:
        parts = [*word[:-1], word[-1] + "</w>"]
        while len(parts) > 1:
            pair = min(pairwise(parts), key=lambda p: self.ranks.get(p, len(self.ranks)))
            if pair not in self.ranks:
                break
            parts = merge_pair(parts, pair)
        return tuple(self.ids[part] for part in parts)

    def words(self, text: str) -> list[int]:
        """The ids of the words, without marks."""
        return [i for word in WORD.findall(text.lower()) for i in self.encode(word)]

    def __call__(self, text: str) -> list[int]:
        """77 ids: the start mark, at most 75 tokens, the end mark as padding."""
        ids = self.words(text)[:75]
        return [BOS, *ids, *[EOS] * (76 - len(ids))]


class Compact:
    """The rows of the token table that are trained. Row 0 stands for every other token."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        used = sorted({i for phrase in known_phrases() for i in tokenizer.words(phrase)})
        self.tokenizer = tokenizer
        self.rows = [-1, BOS, EOS, *used]
        self.row_of = {i: row for row, i in enumerate(self.rows)}

    def __len__(self) -> int:
        return len(self.rows)

    def words(self, text: str) -> list[int]:
        """The rows of the words, without marks."""
        return [self.row_of.get(i, 0) for i in self.tokenizer.words(text)]

    def padded(self, rows: list[int]) -> list[int]:
        """77 rows with the marks."""
        rows = rows[:75]
        return [1, *rows, *[2] * (76 - len(rows))]

    def batch(self, texts: list[str]) -> Tensor:
        """(B, 77)."""
        return torch.tensor([self.padded(self.words(text)) for text in texts])

    def expand(self, table: Tensor) -> Tensor:
        """The whole (49408, width) token table."""
        whole = table[0:1].repeat(VOCABULARY, 1).clone()
        whole[torch.tensor(self.rows[1:])] = table[1:]
        return whole

    def reduce(self, table: Tensor) -> Tensor:
        """The trained rows of a whole table; the inverse of :meth:`expand`."""
        spare = next(i for i in range(VOCABULARY) if i not in self.row_of)
        return table[torch.tensor([spare, *self.rows[1:]])].clone()
