"""Renders the training pictures.

python -m tools.demo_model.prepare --count 30000 --processes 2
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from .captions import caption
from .concepts import Scene
from .grids import grid
from .icons import load_atlas
from .paths import Paths, add_paths
from .pictures import SIZE, picture


def parse() -> argparse.Namespace:
    """The command's options."""
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add_paths(ap)
    ap.add_argument("--count", type=int, default=30000)
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--processes", type=int, default=2)
    ap.add_argument("--sheet", action="store_true", help="only draw 96 of them on one sheet and print their captions")
    return ap.parse_args()


def render_part(part: range, paths: Paths, seed: int) -> list[Scene]:
    """Draws some of the pictures into the shared array and returns what is in them."""
    atlas = load_atlas(paths.atlas, paths.packages)
    images = np.load(paths.data / "images.npy", mmap_mode="r+")
    scenes: list[Scene] = []
    for i in part:
        images[i], scene = picture(atlas, i, seed)
        scenes.append(scene)
        if len(scenes) % 2000 == 0:
            print(f"{len(scenes)} of {len(part)}", flush=True)
    return scenes


def render_all(count: int, seed: int, processes: int, paths: Paths) -> None:
    """Writes ``images.npy`` and ``meta.json``; the result does not depend on the number of processes."""
    paths.data.mkdir(parents=True, exist_ok=True)
    load_atlas(paths.atlas, paths.packages)
    np.lib.format.open_memmap(paths.data / "images.npy", mode="w+", dtype=np.uint8, shape=(count, SIZE, SIZE, 3)).flush()
    parts = [range(count * k // processes, count * (k + 1) // processes) for k in range(processes)]
    with get_context("spawn").Pool(processes) as pool:
        scenes = pool.map(partial(render_part, paths=paths, seed=seed), parts)
    (paths.data / "meta.json").write_text(json.dumps([scene for part in scenes for scene in part]))


def sheet(seed: int, path: Path, paths: Paths) -> None:
    """Ninety-six pictures, with a caption of each on the terminal."""
    atlas = load_atlas(paths.atlas, paths.packages)
    drawn = [picture(atlas, i, seed) for i in range(96)]
    for i, (_, scene) in enumerate(drawn):
        print(i, caption(scene, np.random.default_rng(i)))
    grid(torch.from_numpy(np.stack([image for image, _ in drawn])), 12).save(path)


def main() -> None:
    """Draws the sheet or everything."""
    a = parse()
    paths = Paths.of(a)
    if a.sheet:
        sheet(a.seed, paths.work / "sheet.png", paths)
    else:
        render_all(a.count, a.seed, a.processes, paths)


if __name__ == "__main__":
    main()
