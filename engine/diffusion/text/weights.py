r"""Prompt weights: ``(word)`` is 1.1 times, ``(word:1.3)`` exactly 1.3; nested brackets multiply; ``\(`` is a bracket.

The text between two brackets is one segment with one weight. A number after the last colon of a bracket sets the weight,
whatever surrounds it. Square brackets mean nothing.
"""

from __future__ import annotations

from typing import NamedTuple

ESCAPES = {"\\(": "\x01", "\\)": "\x02"}
UNESCAPES = {"\x01": "(", "\x02": ")"}
FACTOR = 1.1
DEEPEST = 64  # brackets deeper than this are text: nobody means them, and each costs a pass over what is inside


class Segment(NamedTuple):
    """A piece of a prompt and how much it counts."""

    text: str
    weight: float


def parse(prompt: str) -> list[Segment]:
    """The segments of a prompt, in order; escapes resolved, brackets gone."""
    for escaped, mark in ESCAPES.items():
        prompt = prompt.replace(escaped, mark)
    return [Segment(_unescaped(text), weight) for text, weight in _weighted(prompt, 1.0, 0)]


def _weighted(text: str, weight: float, depth: int) -> list[Segment]:
    segments: list[Segment] = []
    for item in _split(text):
        if len(item) < 2 or item[0] != "(" or item[-1] != ")" or depth == DEEPEST:
            segments.append(Segment(item, weight))
            continue
        inside, inner = item[1:-1], weight * FACTOR
        colon = inside.rfind(":")
        if colon > 0 and (number := _number(inside[colon + 1 :])) is not None:
            inside, inner = inside[:colon], number
        segments += _weighted(inside, inner, depth + 1)
    return segments


def _split(text: str) -> list[str]:
    """Text cut at outermost brackets, brackets kept: ``a (b (c)) d`` -> ``a ``, ``(b (c))``, `` d``."""
    items: list[str] = []
    start, depth = 0, 0
    for i, character in enumerate(text):
        if character == "(":
            if depth == 0 and i > start:
                items.append(text[start:i])
                start = i
            depth += 1
        elif character == ")":
            depth -= 1
            if depth == 0:
                items.append(text[start : i + 1])
                start = i + 1
    if start < len(text):
        items.append(text[start:])
    return items


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < 1e6 else None


def _unescaped(text: str) -> str:
    for mark, character in UNESCAPES.items():
        text = text.replace(mark, character)
    return text
