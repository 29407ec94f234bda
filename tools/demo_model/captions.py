"""The caption grammar: what may be said of a picture. Captions are drawn anew each time a picture is used."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .concepts import BACKGROUND_COLOURS, NOUNS, OBJECT_COLOURS, SCENES, STYLES, Scene, Thing

PRAISE = ("cute", "beautiful", "nice", "single")
STYLED_MEDIA = ("icon", "emoji", "picture")
MEDIA = ("an icon", "an emoji", "a picture", "an image", "a drawing", "an illustration", "a photo")
SMALL_WORDS = (
    "a", "an", "the", "and", "on", "in", "with", "of", "to", "left", "right", "next", "background", "style",
    ",", "-", "at", "under", "by",
)


def article(words: str) -> str:
    """``words`` with "a" or "an" before them."""
    vowel = words[0] in "aeiou" and not words.startswith(("uni", "ufo"))
    return ("an " if vowel else "a ") + words


def pick(rng: np.random.Generator, choices: Sequence[str]) -> str:
    """One of ``choices``, each as likely."""
    return choices[rng.integers(len(choices))]


def noun_phrase(thing: Thing, rng: np.random.Generator, *, with_article: bool = True) -> str:
    """"a small red car"; the size and colour are left out now and then, the noun may be a synonym."""
    noun = NOUNS[thing["noun"]]
    name = thing["noun"]
    if noun.synonyms and rng.random() < 0.15:
        name = pick(rng, noun.synonyms)
    words: list[str] = []
    size, colour = thing.get("size"), thing.get("colour")
    if size and rng.random() < 0.9:
        words.append(size)
    if rng.random() < 0.06:
        words.append(pick(rng, PRAISE))
    if colour and rng.random() < 0.93:
        words.append(colour)
    phrase = " ".join([*words, name])
    if not with_article or "p" in noun.flags:
        return phrase
    return f"the {phrase}" if rng.random() < 0.04 else article(phrase)


def subject(scene: Scene, rng: np.random.Generator) -> str:
    """The objects, in their order from left to right."""
    with_article = bool(rng.random() > 0.15)
    things = scene["objs"]
    if len(things) == 1:
        return noun_phrase(things[0], rng, with_article=with_article)
    a, b = (noun_phrase(thing, rng, with_article=with_article) for thing in things)
    r = rng.random()
    if r < 0.65:
        return f"{a} and {b}"
    if r < 0.8:
        return f"{a} next to {b}"
    if r < 0.88:
        return f"{a}, {b}"
    return f"{a} on the left and {b} on the right"


def framed(words: str, style: str, rng: np.random.Generator) -> tuple[str, str]:
    """The subject with "a flat icon of" before it, or a style for the caption's end; 65 % of captions name the style."""
    r = rng.random()
    if r < 0.1:
        return f"{article(style)} {pick(rng, STYLED_MEDIA)} of {words}", ""
    if r < 0.65:
        q = rng.random()
        return words, f", {style} style" if q < 0.8 else f" in {style} style" if q < 0.9 else f", {style}"
    if r < 0.75:
        return f"{pick(rng, MEDIA)} of {words}", ""
    return words, ""


def place(background: str, rng: np.random.Generator) -> str:
    """" on the beach", " on a red background", or nothing for one caption in eight."""
    if rng.random() >= 0.88:
        return ""
    if background in SCENES:
        names = SCENES[background]
        name = names[0] if rng.random() < 0.5 else pick(rng, names)
        return (" " if rng.random() < 0.8 else ", ") + name
    r = rng.random()
    if r < 0.65:
        return f" on {article(background)} background"
    if r < 0.85:
        return f", {background} background"
    if r < 0.95:
        return f" with {article(background)} background"
    return f" on {background}"


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """A random caption that is true of ``scene``."""
    words, style = framed(subject(scene, rng), scene["style"], rng)
    return words + place(scene["bg"], rng) + style


def known_phrases() -> list[str]:
    """Every word and phrase a caption can have; the text model learns their tokens and no others."""
    phrases = {*SMALL_WORDS, *PRAISE, *STYLED_MEDIA, "image", "drawing", "illustration", "photo", "small", "big"}
    phrases |= {*OBJECT_COLOURS, *BACKGROUND_COLOURS, *STYLES}
    for name, noun in NOUNS.items():
        phrases |= {name, *noun.synonyms}
    for names in SCENES.values():
        phrases |= set(names)
    return sorted(phrases)
