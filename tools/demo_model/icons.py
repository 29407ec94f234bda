"""The icon atlas: every noun in every style, drawn from the Iconify packages and cropped to its ink."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .colour import Picture
from .concepts import NOUNS, STYLES

ICON_SIZE = 192
DRAWN_SIZE = 256

Atlas = dict[tuple[str, str, int], Picture]
"""(style, noun, variant) -> RGBA, the longer side ``ICON_SIZE``. Variant 1 is the green apple."""


def variants(noun: str) -> list[str]:
    """The Iconify names of a noun's pictures."""
    return [NOUNS[noun].icon, *(["green-apple"] if "a" in NOUNS[noun].flags else [])]


def svg_text(pack: dict[str, Any], name: str) -> str:
    """The icon as a whole SVG document. https://iconify.design/docs/types/iconify-json.html"""
    icon = pack["icons"][name]
    width, height = (icon.get(k, pack.get(k, 16)) for k in ("width", "height"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {width} {height}" width="{DRAWN_SIZE}" height="{DRAWN_SIZE}">{icon["body"]}</svg>'
    )


def rasterise(svg: str) -> Picture:
    """Draws an icon, cuts it to its ink and scales the longer side to ``ICON_SIZE``."""
    import resvg_py  # only the first drawing of the atlas needs it

    png = resvg_py.svg_to_bytes(svg_string=svg, width=DRAWN_SIZE, height=DRAWN_SIZE)
    image = Image.open(io.BytesIO(bytes(png))).convert("RGBA")
    rows, columns = np.where(np.array(image)[..., 3] > 24)
    image = image.crop((int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1))
    k = ICON_SIZE / max(image.size)
    size = (max(8, round(image.width * k)), max(8, round(image.height * k)))
    return np.array(image.convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA"))


def draw_atlas(packages: Path) -> Atlas:
    """Draws every icon from ``node_modules/@iconify-json``."""
    atlas: Atlas = {}
    for style, package in STYLES.items():
        pack = json.loads((packages / package / "icons.json").read_text())
        for noun in NOUNS:
            for k, name in enumerate(variants(noun)):
                atlas[style, noun, k] = rasterise(svg_text(pack, name))
    return atlas


def load_atlas(cache: Path, packages: Path) -> Atlas:
    """The atlas from ``cache``, drawn into it first if it is not there."""
    if not cache.exists():
        atlas = draw_atlas(packages)
        cache.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(cache, **{"|".join(map(str, key)): icon for key, icon in atlas.items()})  # type: ignore[arg-type]
    with np.load(cache) as file:
        keys = [(style, noun, k) for style in STYLES for noun in NOUNS for k in range(len(variants(noun)))]
        return {key: file["|".join(map(str, key))] for key in keys}
