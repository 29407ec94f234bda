"""From a prompt to the rows of 77 tokens CLIP reads: start, 75 tokens, end."""

from __future__ import annotations

import re
from typing import NamedTuple

from torch import Tensor

from engine.diffusion.text.bpe import END, START, ClipBpe
from engine.diffusion.text.embeddings import MARK, FindEmbedding, lookup
from engine.diffusion.text.weights import parse

LENGTH = 77
LONG = 8  # a run of fewer tokens of one weight is not split over two rows


class Token(NamedTuple):
    """A token's id, or the vector (D,) that takes its place, and how much it counts."""

    id: int | Tensor
    weight: float = 1.0


Row = list[Token]


def groups(prompt: str, bpe: ClipBpe, find: FindEmbedding | None, tower: str, width: int) -> list[Row]:
    """The prompt's tokens in runs of one weight; each embedding is a run of its own."""
    found: list[Row] = []
    for text, weight in parse(prompt):
        first, *named = re.split(rf"[ \n]{MARK}", text) if find is not None else [text]
        if find is not None and first.startswith(MARK):
            first, named = "", [first[len(MARK) :], *named]
        found += _run(first, bpe, weight)
        for words in named:
            assert find is not None
            vectors, rest = lookup(words, find, tower, width)
            if vectors is not None:
                found.append([Token(vector, weight) for vector in vectors])
            found += _run(rest, bpe, weight)
    return found


def _run(text: str, bpe: ClipBpe, weight: float) -> list[Row]:
    ids = bpe.ids(text) if text else []
    return [[Token(i, weight) for i in ids]] if ids else []


def rows(runs: list[Row], pad: int) -> list[Row]:
    """Rows of ``LENGTH`` tokens, at least one. A run that does not fit goes to the next row if short, else fills this one."""
    done: list[Row] = []
    row: Row = [Token(START)]
    for run in runs:
        while run:
            room = LENGTH - 1 - len(row)
            if len(run) <= room:
                row, run = row + run, []
                continue
            if len(run) >= LONG:
                row, run = row + run[:room], run[room:]
            done.append(_closed(row, pad))
            row = [Token(START)]
    return [*done, _closed(row, pad)]


def empty(pad: int) -> Row:
    """The row of an empty prompt."""
    return _closed([Token(START)], pad)


def _closed(row: Row, pad: int) -> Row:
    row = [*row, Token(END)]
    return row + [Token(pad)] * (LENGTH - len(row))
