"""Draws the grids to look at and lets the judge score them.

python -m tools.demo_model.evaluate --unet unet/final.pt --vae vae/polished.pt --out grids
python -m tools.demo_model.evaluate --unet unet/final.pt --lcm lcm/final.pt --draw-steps 4 --out grids_lcm
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from .architecture import load_vae
from .captions import article
from .checkpoint import Pair, load_pair
from .concepts import BACKGROUND_COLOURS, NOUNS, OBJECT_COLOURS, SCENES, STYLES
from .diffusion import decode, dpmpp_2m, lcm
from .export import load_lora
from .grids import grid
from .judge import BACKGROUNDS, SHIPPED, Judge, half, load_judge
from .paths import Paths, add_paths
from .tokens import Compact, Tokenizer

CHUNK = 24
PAIR_PROMPTS = (
    "a cat and a dog on a blue background", "a red car and a blue balloon on a white background",
    "a pizza and a donut on a green background", "a panda and a penguin in the snow", "a star and a heart",
    "a rocket next to a house at night", "a green apple and a banana on a pink background",
)
STYLE_NOUNS = ("owl", "cat", "car", "house", "apple", "fox", "ghost")


@dataclass
class Painter:
    """Draws pictures of prompts, with guidance or in few steps."""

    pair: Pair
    vae: AutoencoderKL
    steps: int
    cfg: float
    few: bool

    @torch.no_grad()
    def latents(self, prompts: list[str], seeds: list[int]) -> Tensor:
        """(N, 4, 16, 16)."""
        parts = []
        for i in range(0, len(prompts), CHUNK):
            some, some_seeds = prompts[i : i + CHUNK], seeds[i : i + CHUNK]
            c = self.pair.context(some)
            if self.few:
                parts.append(lcm(self.pair.unet, c, some_seeds, steps=self.steps))
            else:
                u = self.pair.context([""] * len(some))
                parts.append(dpmpp_2m(self.pair.unet, c, u, some_seeds, steps=self.steps, cfg=self.cfg))
        return torch.cat(parts)

    def pictures(self, z: Tensor) -> Tensor:
        """(N, 128, 128, 3) bytes."""
        return torch.cat([decode(self.vae, part) for part in z.split(CHUNK)])


@dataclass
class Sheet:
    """Prompts with their seeds and short labels, and how they are laid out."""

    columns: int
    prompts: list[str] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)

    def add(self, prompt: str, seed: int, label: str | None = None) -> None:
        """One picture."""
        self.prompts.append(prompt)
        self.seeds.append(seed)
        self.labels.append(prompt[-21:] if label is None else label)


def named(noun: str) -> str:
    """The noun with its article."""
    return noun if "p" in NOUNS[noun].flags else article(noun)


def nouns_sheet() -> Sheet:
    """Every noun on a background that changes; seeds from 100 on."""
    sheet, colours = Sheet(12), list(BACKGROUND_COLOURS)
    for i, noun in enumerate(NOUNS):
        sheet.add(f"{named(noun)} on {article(colours[i * 7 % 11])} background", 100 + i, noun)
    return sheet


def colours_sheet() -> Sheet:
    """Four nouns in seven colours, and a cat in every scene."""
    sheet = Sheet(7)
    for noun, background in (("car", "white"), ("balloon", "gray"), ("umbrella", "yellow"), ("heart", "black")):
        for k, colour in enumerate(OBJECT_COLOURS):
            sheet.add(f"{article(colour)} {noun} on a {background} background", 7 + k)
    for k, names in enumerate(SCENES.values()):
        sheet.add(f"a cat {names[0]}", 35 + k)
    return sheet


def styles_sheet() -> Sheet:
    """Seven nouns in three styles, the same seed down a column."""
    sheet = Sheet(7)
    for style in STYLES:
        for k, noun in enumerate(STYLE_NOUNS):
            sheet.add(f"{named(noun)} on a blue background, {style} style", 60 + k)
    return sheet


def pairs_sheet() -> Sheet:
    """The seven two-object prompts, three seeds each."""
    sheet = Sheet(7)
    for seed in (49, 149, 249):
        for k, prompt in enumerate(PAIR_PROMPTS):
            sheet.add(prompt, seed + k)
    return sheet


def seeds_sheet() -> Sheet:
    """Twelve seeds of six prompts."""
    sheet = Sheet(12)
    prompts = ("a cat", "a red car on a yellow background", "a rocket at night", "a house in the snow", "a butterfly", "an owl")
    for prompt in prompts:
        for seed in range(1, 13):
            sheet.add(prompt, seed, "")
    return sheet


SHEETS: dict[str, Callable[[], Sheet]] = {
    "nouns": nouns_sheet, "colours": colours_sheet, "styles": styles_sheet, "pairs": pairs_sheet, "seeds": seeds_sheet,
}


def rate(scores: Tensor, wanted: list[int]) -> float:
    """The part of the pictures the judge names rightly."""
    return float((scores.argmax(1) == torch.tensor(wanted)).float().mean())


@torch.no_grad()
def judged_nouns(painter: Painter, judge: Judge) -> dict[str, object]:
    """Every noun with two seeds on plain backgrounds."""
    nouns, colours = list(NOUNS) * 2, list(BACKGROUND_COLOURS)
    grounds = [colours[i * 7 % 11] for i in range(len(nouns))]
    prompts = [f"{named(noun)} on {article(ground)} background" for noun, ground in zip(nouns, grounds, strict=True)]
    verdict = judge(painter.latents(prompts, [500 + i for i in range(len(prompts))]))
    right = verdict.noun.argmax(1) == torch.tensor([list(NOUNS).index(noun) for noun in nouns])
    both = right.view(2, -1).all(0)
    return {
        "nouns": float(right.float().mean()),
        "nouns right with both seeds": int(both.sum()),
        "nouns never right": [noun for noun, ok in zip(NOUNS, right.view(2, -1).any(0).tolist(), strict=True) if not ok],
        "backgrounds": rate(verdict.background, [BACKGROUNDS.index(ground) for ground in grounds]),
    }


@torch.no_grad()
def judged_pairs(painter: Painter, judge: Judge, count: int = 72) -> dict[str, object]:
    """Random pairs of nouns, each half judged apart."""
    rng, nouns = np.random.default_rng(21), list(NOUNS)
    drawn = [rng.choice(len(nouns), size=2, replace=False) for _ in range(count)]
    prompts = [f"{named(nouns[a])} and {named(nouns[b])} on a white background" for a, b in drawn]
    z = painter.latents(prompts, list(range(900, 900 + count)))
    sides = [judge(half(z, slot)).noun.argmax(1) == torch.tensor([int(pair[slot]) for pair in drawn]) for slot in (0, 1)]
    either = torch.stack(sides).float()
    return {"pairs, both right and in order": float(either.prod(0).mean()), "pairs, an object right": float(either.mean())}


@torch.no_grad()
def judged_styles(painter: Painter, judge: Judge) -> dict[str, object]:
    """Every fifth noun in every style."""
    wanted = [(noun, k, style) for noun in list(NOUNS)[::5] for k, style in enumerate(STYLES)]
    z = painter.latents([f"{named(noun)}, {style} style" for noun, _, style in wanted], [700 + i for i in range(len(wanted))])
    return {"styles": rate(judge(z).style, [k for _, k, _ in wanted])}


def seconds_a_picture(painter: Painter) -> float:
    """One picture alone, the better of three."""
    times = []
    for seed in range(3):
        start = time.monotonic()
        painter.pictures(painter.latents(["a cat"], [seed]))
        times.append(time.monotonic() - start)
    return min(times)


def parse() -> argparse.Namespace:
    """The command's options."""
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add_paths(ap)
    ap.add_argument("--unet", type=Path, default=Path("unet/final.pt"), help="a state below --work, as the following")
    ap.add_argument("--vae", type=Path, default=Path("vae/final.pt"))
    ap.add_argument("--lcm", type=Path, help="the few-step LoRA, to draw with it")
    ap.add_argument("--judge", type=Path, default=SHIPPED)
    ap.add_argument("--out", type=Path, default=Path("grids"), help="folder below --work")
    ap.add_argument("--draw-steps", type=int, default=20)
    ap.add_argument("--cfg", type=float, default=4.0)
    ap.add_argument("--sheets", nargs="*", default=list(SHEETS), choices=list(SHEETS))
    ap.add_argument("--scores", action=argparse.BooleanOptionalAction, default=True)
    ap.add_argument("--threads", type=int, default=2)
    return ap.parse_args()


def main() -> None:
    """Sheets first, then scores."""
    a = parse()
    paths = Paths.of(a)
    torch.set_num_threads(a.threads)
    pair = load_pair(paths.work / a.unet, Compact(Tokenizer(paths.wheel)))
    if a.lcm:
        load_lora(pair, paths.work / a.lcm).merge_into(pair.unet)
    pair.unet.eval()
    pair.text.eval()
    painter = Painter(pair, load_vae(paths.work / a.vae), a.draw_steps, a.cfg, bool(a.lcm))
    out = paths.work / a.out
    out.mkdir(parents=True, exist_ok=True)
    for name in a.sheets:
        sheet = SHEETS[name]()
        grid(painter.pictures(painter.latents(sheet.prompts, sheet.seeds)), sheet.columns, sheet.labels).save(out / f"{name}.png")
    scores: dict[str, object] = {"seconds a picture": round(seconds_a_picture(painter), 2)}
    if a.scores:
        judge = load_judge(a.judge)
        for ask in (judged_nouns, judged_pairs, judged_styles):
            scores |= ask(painter, judge)
    (out / "scores.json").write_text(json.dumps(scores, indent=1))
    print(json.dumps(scores, indent=1))


if __name__ == "__main__":
    main()
