"""The prompts of the study, as what a picture must show, and the judge's verdict on whether it does."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .captions import article
from .concepts import NOUNS, OBJECT_COLOURS, SCENES, STYLES
from .judge import BACKGROUNDS, Judge, half


@dataclass(frozen=True)
class Wanted:
    """One or two things, each a noun with or without a colour before it; a background; a style or none."""

    things: tuple[str, ...]
    ground: str
    style: str = ""

    def __str__(self) -> str:
        """``a red car and a blue balloon on a white background, flat style``."""
        things = " and ".join(article(thing) for thing in self.things)
        ground = SCENES[self.ground][0] if self.ground in SCENES else f"on {article(self.ground)} background"
        return f"{things} {ground}" + (f", {self.style} style" if self.style else "")

    @torch.no_grad()
    def seen(self, z: Tensor, judge: Judge) -> dict[str, Tensor]:
        """For each thing asked of latents (n, 4, 16, 16), in which of them the judge sees it: (n,) of 0 and 1.

        Of two things the first must be in the left half and the second in the right one, each with its own colour.
        """
        whole, two = judge(z), len(self.things) == 2
        nouns, colours = [], []
        for slot, thing in enumerate(self.things):
            verdict = judge(half(z, slot)) if two else whole
            colour, noun = named(thing)
            nouns.append(verdict.noun.argmax(1) == list(NOUNS).index(noun))
            if colour:
                colours.append(verdict.colour.argmax(1) == list(OBJECT_COLOURS).index(colour))
        ground = whole.background.argmax(1) == BACKGROUNDS.index(self.ground)
        asked = {"things": nouns, "colours": colours, "background": [ground]}
        if self.style:
            asked["style"] = [whole.style.argmax(1) == list(STYLES).index(self.style)]
        return {name: torch.stack(each).all(0).float() for name, each in asked.items() if each}


def named(thing: str) -> tuple[str, str]:
    """The colour, if one is said, and the noun."""
    first, _, rest = thing.partition(" ")
    return (first, rest) if first in OBJECT_COLOURS and rest in NOUNS else ("", thing)


SINGLE = tuple(
    Wanted((thing,), ground)
    for thing, ground in (
        ("cat", "blue"), ("car", "white"), ("house", "snow"), ("apple", "pink"), ("butterfly", "white"), ("owl", "night"),
        ("mushroom", "grass"), ("watermelon", "yellow"), ("panda", "green"), ("umbrella", "beach"), ("pizza", "red"),
        ("ghost", "black"),
    )
)
"""One noun on one background. All are nouns that the model draws plainly."""

PAIRS = tuple(
    Wanted(things, ground)
    for things, ground in (
        (("cat", "dog"), "blue"), (("pizza", "donut"), "green"), (("panda", "penguin"), "snow"),
        (("lemon", "strawberry"), "white"), (("fox", "owl"), "night"), (("red car", "blue balloon"), "white"),
        (("purple umbrella", "yellow car"), "gray"), (("blue butterfly", "red mushroom"), "grass"),
        (("pink heart", "green star"), "black"), (("green apple", "lemon"), "pink"),
    )
)
"""Two nouns; in the last five each has a colour of its own, which must not go to the other."""

STYLED = tuple(
    Wanted((thing,), ground, style)
    for thing, ground, style in (
        ("cat", "blue", "flat"), ("apple", "pink", "3d"), ("car", "white", "cartoon"), ("ghost", "black", "flat"),
        ("fox", "green", "3d"), ("blue heart", "yellow", "cartoon"), ("house", "snow", "3d"), ("red balloon", "gray", "flat"),
        ("watermelon", "white", "cartoon"), ("owl", "night", "3d"),
    )
)
"""One noun in a style."""

PROMPTS = {"single": SINGLE, "few": SINGLE, "pairs": PAIRS, "styles": STYLED}
"""``few`` are drawn with half as many seeds."""
