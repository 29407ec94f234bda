"""What the demo model is taught: nouns, colours, scenes and styles. Plain data, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

STYLES: dict[str, str] = {"flat": "fluent-emoji-flat", "3d": "fluent-emoji", "cartoon": "noto"}
"""Style word -> Iconify set. All three are permissive: fluent-emoji* is MIT, noto is Apache-2.0."""


class Thing(TypedDict, total=False):
    """One object of a picture, as stored in ``meta.json``."""

    noun: str
    colour: str
    size: str | None


class Scene(TypedDict):
    """What a picture shows: what captions are written from."""

    objs: list[Thing]
    style: str
    bg: str


@dataclass(frozen=True)
class Noun:
    """An icon by its Iconify name; flags: c = may be recoloured, s = in the sky, p = plural, a = red or green apple."""

    icon: str
    synonyms: tuple[str, ...] = ()
    flags: str = ""


NOUNS: dict[str, Noun] = {
    "cat": Noun("cat-face", ("kitten", "cat face")),
    "dog": Noun("dog-face", ("puppy", "dog face")),
    "fox": Noun("fox"),
    "bear": Noun("bear", ("brown bear",)),
    "panda": Noun("panda", ("panda bear",)),
    "tiger": Noun("tiger-face"),
    "lion": Noun("lion"),
    "pig": Noun("pig-face", ("piglet",)),
    "frog": Noun("frog"),
    "monkey": Noun("monkey-face"),
    "rabbit": Noun("rabbit-face", ("bunny",)),
    "penguin": Noun("penguin"),
    "owl": Noun("owl"),
    "unicorn": Noun("unicorn"),
    "elephant": Noun("elephant"),
    "turtle": Noun("turtle", ("tortoise",)),
    "bee": Noun("honeybee", (), "s"),
    "butterfly": Noun("butterfly", (), "cs"),
    "ladybug": Noun("lady-beetle", ("beetle",)),
    "fish": Noun("tropical-fish", ("tropical fish",)),
    "whale": Noun("spouting-whale"),
    "dinosaur": Noun("t-rex", ("t-rex",)),
    "chick": Noun("front-facing-baby-chick", ("chicken",)),
    "octopus": Noun("octopus"),
    "apple": Noun("red-apple", (), "a"),
    "orange": Noun("tangerine", ("tangerine",)),
    "lemon": Noun("lemon"),
    "banana": Noun("banana"),
    "watermelon": Noun("watermelon"),
    "grapes": Noun("grapes", (), "p"),
    "strawberry": Noun("strawberry"),
    "cherries": Noun("cherries", (), "p"),
    "pineapple": Noun("pineapple"),
    "avocado": Noun("avocado"),
    "carrot": Noun("carrot"),
    "mushroom": Noun("mushroom", ("toadstool",), "c"),
    "hamburger": Noun("hamburger", ("burger",)),
    "pizza": Noun("pizza", ("slice of pizza",)),
    "donut": Noun("doughnut", ("doughnut",)),
    "cake": Noun("birthday-cake", ("birthday cake",)),
    "cupcake": Noun("cupcake", ("muffin",)),
    "ice cream": Noun("soft-ice-cream", ("ice cream cone",)),
    "cup of coffee": Noun("hot-beverage", ("coffee", "cup of tea")),
    "sunflower": Noun("sunflower"),
    "tulip": Noun("tulip", ("flower",), "c"),
    "rose": Noun("rose", (), "c"),
    "cactus": Noun("cactus"),
    "palm tree": Noun("palm-tree", ("palm",)),
    "pine tree": Noun("evergreen-tree", ("fir tree",)),
    "tree": Noun("deciduous-tree"),
    "sun": Noun("sun", (), "s"),
    "moon": Noun("crescent-moon", ("crescent moon",), "s"),
    "star": Noun("star", (), "cs"),
    "cloud": Noun("cloud", (), "s"),
    "rainbow": Noun("rainbow", (), "s"),
    "snowman": Noun("snowman-without-snow"),
    "fire": Noun("fire", ("flame",)),
    "umbrella": Noun("umbrella", (), "c"),
    "car": Noun("automobile", ("automobile",), "c"),
    "bus": Noun("bus"),
    "rocket": Noun("rocket", ("spaceship",), "s"),
    "airplane": Noun("airplane", ("plane",), "s"),
    "helicopter": Noun("helicopter", (), "s"),
    "sailboat": Noun("sailboat", ("boat",)),
    "train": Noun("locomotive", ("locomotive",)),
    "ufo": Noun("flying-saucer", ("flying saucer",), "s"),
    "house": Noun("house", ("home",)),
    "castle": Noun("castle"),
    "guitar": Noun("guitar"),
    "soccer ball": Noun("soccer-ball", ("football",)),
    "basketball": Noun("basketball"),
    "balloon": Noun("balloon", (), "cs"),
    "gift": Noun("wrapped-gift", ("present",)),
    "light bulb": Noun("light-bulb", ("lightbulb",)),
    "key": Noun("key"),
    "book": Noun("closed-book", (), "c"),
    "crown": Noun("crown"),
    "hat": Noun("top-hat", ("top hat",)),
    "shirt": Noun("t-shirt", ("t-shirt",), "c"),
    "pumpkin": Noun("jack-o-lantern", ("halloween pumpkin",)),
    "ghost": Noun("ghost"),
    "robot": Noun("robot"),
    "alien": Noun("alien"),
    "skull": Noun("skull"),
    "heart": Noun("red-heart", (), "c"),
    "teddy bear": Noun("teddy-bear", ("teddy",)),
    "christmas tree": Noun("christmas-tree"),
    "smiling face": Noun("smiling-face-with-smiling-eyes", ("happy face", "smiley")),
    "sad face": Noun("crying-face", ("crying face",)),
    "angry face": Noun("angry-face"),
    "face with sunglasses": Noun("smiling-face-with-sunglasses", ("cool face",)),
}

RECIPE_NOUNS: frozenset[str] = frozenset({
    "cat", "dog", "panda", "fox", "frog", "lion", "penguin", "pig", "owl", "apple", "banana", "strawberry", "pizza", "donut",
    "watermelon", "cactus", "tree", "star", "heart", "balloon", "car", "rocket", "house", "umbrella", "mushroom", "basketball",
    "rose", "book", "butterfly", "ghost",
})
"""The thirty nouns the first training stage knew; the later stages draw all other nouns half as often again."""

OBJECT_COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (2.0, 1.0, 1.0),
    "orange": (26.0, 1.0, 1.05),
    "yellow": (48.0, 1.0, 1.12),
    "green": (125.0, 0.9, 0.85),
    "blue": (214.0, 1.0, 1.0),
    "purple": (275.0, 0.85, 0.9),
    "pink": (328.0, 0.6, 1.15),
}
"""Hue in degrees, saturation factor, value factor."""

Range = tuple[float, float]

BACKGROUND_COLOURS: dict[str, tuple[Range, Range, Range]] = {
    "red": ((-6.0, 6.0), (0.7, 0.95), (0.72, 0.95)),
    "orange": ((20.0, 32.0), (0.75, 0.95), (0.9, 1.0)),
    "yellow": ((46.0, 56.0), (0.5, 0.9), (0.93, 1.0)),
    "green": ((105.0, 145.0), (0.4, 0.8), (0.55, 0.85)),
    "blue": ((202.0, 226.0), (0.5, 0.9), (0.65, 0.97)),
    "purple": ((266.0, 286.0), (0.4, 0.75), (0.5, 0.85)),
    "pink": ((326.0, 344.0), (0.22, 0.48), (0.96, 1.0)),
    "brown": ((18.0, 32.0), (0.5, 0.7), (0.35, 0.55)),
    "black": ((0.0, 360.0), (0.0, 0.15), (0.02, 0.13)),
    "gray": ((0.0, 360.0), (0.0, 0.06), (0.42, 0.68)),
    "white": ((0.0, 360.0), (0.0, 0.03), (0.95, 1.0)),
}
"""Ranges of hue in degrees, saturation and value."""

SCENES: dict[str, tuple[str, ...]] = {
    "grass": ("on the grass", "on grass", "in a meadow", "on a green field", "outdoors"),
    "beach": ("on the beach", "at the beach", "on a sandy beach"),
    "snow": ("in the snow", "in winter", "on snow"),
    "night": ("at night", "under the stars", "in the night"),
    "sunset": ("at sunset", "in the evening", "with a sunset sky"),
    "underwater": ("underwater", "under water", "in the sea"),
}
"""Scene -> what captions call it; the first is used half the time."""
