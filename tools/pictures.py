"""The README's contact sheet and the shipped workflows' thumbnails, by the shipped model: python tools/pictures.py"""

from __future__ import annotations

import functools
import sys
import tempfile
import uuid
from pathlib import Path

from PIL import Image, ImageDraw

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from engine.cache import Cache  # noqa: E402
from engine.commands.run import read_workflow  # noqa: E402
from engine.executors.local import LocalExecutor  # noqa: E402
from engine.folders import Folders  # noqa: E402
from engine.graph import build  # noqa: E402
from engine.overrides import override  # noqa: E402
from engine.problems import GraphError  # noqa: E402
from engine.registry import load  # noqa: E402
from engine.run import Job  # noqa: E402
from engine.settings import Settings  # noqa: E402

PROMPTS = (
    "a cat on a blue background",
    "a red car on a yellow background",
    "a panda in the snow",
    "a rocket at night",
    "a slice of pizza on a green background",
    "a snowman in the snow",
    "a penguin at sunset",
    "a green apple on a pink background",
    "a castle at sunset",
    "a butterfly on a white background",
    "a cat and a dog on a blue background",
    "a star and a heart",
    "an avocado on a red background",
    "a robot on the beach",
    "a purple umbrella on the beach",
    "a watermelon on a white background",
)
HELLO = PROJECT / "workflows" / "hello.json"
SEEDS = (1, 2)
SIDE, LABEL, GAP = 128, 14, 6
THUMBNAIL = 256


class Studio:
    """The engine with the shipped model, kept loaded between pictures."""

    def __init__(self, output: Path) -> None:
        from engine.diffusion.residency import Residency

        self.registry = load()
        self.folders = Folders(output=output, temp=output / "temp")
        self.executor = LocalExecutor(self.registry.specs, Cache(1_000_000_000))
        self.residency = functools.cache(Residency)

    def draw(self, workflow: Path, changes: list[str], seed: int | None = None) -> Image.Image:
        prompt = override(read_workflow(workflow, Settings(), self.registry, self.folders), changes, seed=seed)
        job = Job(id=uuid.uuid4().hex, prompt=prompt.raw, folders=self.folders, residency=self.residency)
        shown = self.executor.run_sync(build(prompt, self.registry.specs, self.folders), job).ui
        files = [image for ui in shown.values() for image in ui.get("images", [])]
        file = min(files, key=lambda image: image["type"] != "output")  # a saved picture before a preview
        return Image.open(self.folders.work(file["type"]) / file["subfolder"] / file["filename"]).convert("RGB")


def contact_sheet(studio: Studio, to: Path, columns: int = 8) -> None:
    """Each prompt's pictures under one another, the prompt below them."""
    to.parent.mkdir(parents=True, exist_ok=True)
    cell = SIDE + GAP, len(SEEDS) * (SIDE + 2) + LABEL + GAP
    sheet = Image.new("RGB", (columns * cell[0] + GAP, -(-len(PROMPTS) // columns) * cell[1] + GAP), "white")
    write = ImageDraw.Draw(sheet)
    for i, prompt in enumerate(PROMPTS):
        left, top = GAP + i % columns * cell[0], GAP + i // columns * cell[1]
        for row, seed in enumerate(SEEDS):
            sheet.paste(studio.draw(HELLO, [f"6.text={prompt}"], seed), (left, top + row * (SIDE + 2)))
        words = prompt.removesuffix(" background")
        write.text((left, top + len(SEEDS) * (SIDE + 2)), words[:21], fill="black")
    sheet.save(to, optimize=True)


def thumbnails(studio: Studio) -> None:
    """``workflows/NAME.webp`` for every workflow that draws a picture with what ships."""
    for workflow in sorted((PROJECT / "workflows").glob("*.json")):
        try:
            picture = studio.draw(workflow, [])
        except GraphError as error:
            print(f"{workflow.stem}: {error}")
            continue
        picture.thumbnail((THUMBNAIL, THUMBNAIL))
        picture.save(workflow.with_suffix(".webp"), quality=85)


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        studio = Studio(Path(place))
        with studio.executor:
            contact_sheet(studio, PROJECT / "docs" / "pictures" / "contact-sheet.png")
            thumbnails(studio)


if __name__ == "__main__":
    main()
