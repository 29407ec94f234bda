"""One training picture: what is in it, and how it is drawn."""

from __future__ import annotations

import numpy as np
from PIL import Image

from .backgrounds import SIZE, X, Y, background
from .colour import Floats, Picture, recolour
from .concepts import BACKGROUND_COLOURS, NOUNS, OBJECT_COLOURS, RECIPE_NOUNS, SCENES, STYLES, Scene, Thing
from .icons import Atlas

PAIRS = 0.42
"""The part of pictures with two objects: binding colours and sides to nouns takes far more examples than nouns alone."""


def noun_weights() -> Floats:
    """How often each noun is drawn: those the first training stage did not know half as often again."""
    w = np.array([1.0 if noun in RECIPE_NOUNS else 1.5 for noun in NOUNS])
    return w / w.sum()


def random_thing(noun: str, rng: np.random.Generator, *, alone: bool) -> Thing:
    """The noun with a colour, where it may be recoloured, and a size, where it stands alone."""
    thing: Thing = {"noun": noun}
    flags = NOUNS[noun].flags
    if "a" in flags:
        thing["colour"] = ("red", "green")[rng.integers(2)]
    elif "c" in flags and rng.random() < 0.72:
        thing["colour"] = list(OBJECT_COLOURS)[rng.integers(len(OBJECT_COLOURS))]
    if alone:
        r = rng.random()
        thing["size"] = "small" if r < 0.12 else "big" if r < 0.24 else None
    return thing


def random_scene(rng: np.random.Generator) -> Scene:
    """A style, one or two things and a background."""
    style = list(STYLES)[rng.integers(3)]
    count = 2 if rng.random() < PAIRS else 1
    names, weights = list(NOUNS), noun_weights()
    things: list[Thing] = []
    for _ in range(count):
        noun = names[rng.choice(len(names), p=weights)]
        while things and noun == things[0]["noun"]:
            noun = names[rng.choice(len(names), p=weights)]
        things.append(random_thing(noun, rng, alone=count == 1))
    choices = list(SCENES if rng.random() < 0.3 else BACKGROUND_COLOURS)
    return {"objs": things, "style": style, "bg": choices[rng.integers(len(choices))]}


def icon_of(atlas: Atlas, thing: Thing, style: str, rng: np.random.Generator) -> Picture:
    """The thing's icon in its colour."""
    noun, colour = thing["noun"], thing.get("colour")
    if "a" in NOUNS[noun].flags:
        return atlas[style, noun, int(colour == "green")]
    icon = atlas[style, noun, 0]
    return recolour(icon, colour, rng) if colour else icon


def scaled(icon: Picture, thing: Thing, count: int, rng: np.random.Generator) -> Floats:
    """The icon at its size in the picture, mirrored half the time, premultiplied RGBA in 0..1."""
    sizes = {"small": (0.32, 0.44), "big": (0.82, 0.93)}
    low, high = (0.42, 0.48) if count == 2 else sizes.get(thing.get("size") or "", (0.52, 0.78))
    k = rng.uniform(low, high) * SIZE / max(icon.shape[:2])
    width, height = max(4, round(icon.shape[1] * k)), max(4, round(icon.shape[0] * k))
    image = Image.fromarray(icon).convert("RGBa")
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS)).astype(np.float32) / 255


def corner(
    shape: tuple[int, ...], slot: int, count: int, ground: float | None, flies: bool, rng: np.random.Generator
) -> tuple[int, int]:
    """Where the icon's upper left corner goes: pairs left and right, standing things on the ground."""
    height, width = shape[:2]
    x = SIZE * (0.5 + rng.uniform(-0.1, 0.1)) if count == 1 else SIZE * ((0.265, 0.735)[slot] + rng.uniform(-0.02, 0.02))
    if ground is not None and not flies:
        y = SIZE * rng.uniform(0.84, 0.94) - height / 2
    else:
        y = SIZE * (0.5 + rng.uniform(-0.1, 0.1))
    left = round(np.clip(x - width / 2, 1, SIZE - width - 1)) if width < SIZE - 2 else 0
    top = round(np.clip(y - height / 2, 1, SIZE - height - 1)) if height < SIZE - 2 else 0
    return top, left


def paste(im: Floats, patch: Floats, top: int, left: int, *, shadow: bool) -> Floats:
    """The picture with the premultiplied patch over it, on a soft shadow where it stands."""
    height, width = patch.shape[:2]
    if shadow:
        distance = np.hypot((X - left - width / 2) / (width * 0.5), (Y - top - height + 1) / (height * 0.07 + 2))
        im = im * (1 - 0.3 * np.clip(1.25 - distance, 0, 1))[..., None]
    region = im[top : top + height, left : left + width]
    im[top : top + height, left : left + width] = region * (1 - patch[..., 3:]) + patch[..., :3]
    return im


def render(atlas: Atlas, scene: Scene, rng: np.random.Generator) -> Picture:
    """Draws the scene, (128, 128, 3)."""
    im, ground = background(scene["bg"], rng)
    count = len(scene["objs"])
    for slot, thing in enumerate(scene["objs"]):
        flies = "s" in NOUNS[thing["noun"]].flags
        icon = icon_of(atlas, thing, scene["style"], rng)
        patch = scaled(icon, thing, count, rng)
        top, left = corner(patch.shape, slot, count, ground, flies, rng)
        im = paste(im, patch, top, left, shadow=ground is not None and not flies)
    return (np.clip(im, 0, 1) * 255).round().astype(np.uint8)


def picture(atlas: Atlas, index: int, seed: int) -> tuple[Picture, Scene]:
    """The training picture of that number: it depends on nothing but its number and the seed."""
    rng = np.random.default_rng([seed, index])
    scene = random_scene(rng)
    return render(atlas, scene, rng), scene
