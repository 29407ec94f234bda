"""Measures what distilling costs in variety, and what gives it back: the figures and plots of ``docs/distilled.md``.

The same prompts and seeds are drawn in many ways with the shipped files; the diversity meter compares them, and the judge
says how many pictures show the noun and the background asked for.

python -m tools.demo_model.study --seeds 12 --out docs/pictures
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.containers import read_tensors
from engine.diffusion.diversity_report import as_json, contact_sheet, png, scatter, summary
from engine.diffusion.diversity_run import Bench, Diversity, Measured, Setting
from engine.diffusion.lora import read_adapters
from engine.diffusion.model import Model
from engine.diffusion.patches import Adapter
from engine.diffusion.residency import Residency
from engine.diffusion.samplers import Sampler
from engine.diffusion.samplers.tcd import Tcd
from engine.diffusion.sampling import named_sampler, schedule
from engine.diffusion.timeline import Point, Ramp, Segment, Timeline, at_timesteps
from engine.diffusion.timeline_presets import PRESETS, Plan
from engine.diffusion.vae import Vae

from .captions import article
from .concepts import NOUNS, SCENES
from .distill import VISITED
from .judge import BACKGROUNDS, Judge, load_judge
from .paths import Paths, add_paths

WANTED = (
    ("cat", "blue"), ("car", "white"), ("house", "snow"), ("apple", "pink"), ("butterfly", "white"), ("owl", "night"),
    ("mushroom", "grass"), ("watermelon", "yellow"), ("panda", "green"), ("umbrella", "beach"), ("pizza", "red"),
    ("ghost", "black"),
)
"""Noun and background of the prompts. All are nouns that the model draws plainly."""
CFG = 4.0


def prompt_of(noun: str, ground: str) -> str:
    """``a cat on a blue background``, ``a house in the snow``."""
    return f"{article(noun)} {SCENES[ground][0]}" if ground in SCENES else f"{article(noun)} on {article(ground)} background"


@dataclass(frozen=True, eq=False)
class Ways:
    """The models, and how pictures are drawn with them."""

    base: Model
    adapter: Adapter

    @property
    def distilled(self) -> Model:
        """The base with the LoRA at strength 1."""
        return self.base.with_patches(self.adapter)

    def levels(self, steps: int = 4) -> Tensor:
        """The levels it was distilled at, or others between them in the same way."""
        return at_timesteps(VISITED, self.base.sampling) if steps == 4 else schedule(self.base, "sgm_uniform", steps)

    def plain(self, name: str, model: Model, cfg: float, sampler: str, sigmas: Tensor) -> Setting:
        """One model from beginning to end."""
        return Setting(name, Timeline((Segment(model, cfg),)), named_sampler(sampler), sigmas)

    def guided(self, steps: int, model: Model | None = None, name: str = "") -> Setting:
        """The base model as it is best used."""
        sigmas = schedule(self.base, "karras", steps)
        return self.plain(name or f"base, {steps} steps", model or self.base, CFG, "dpmpp_2m", sigmas)

    def preset(self, name: str, preset: str, sampler: Sampler | None = None, steps: int = 4, **numbers: object) -> Setting:
        """One of the presets of ``SamplingTimeline``."""
        given = {
            "base": self.base, "distilled": self.distilled, "sigmas": self.levels(steps), "base_cfg": CFG,
            "base_sampler": named_sampler("euler"), **numbers,
        }
        timeline, sigmas = PRESETS[preset](Plan(**given))  # type: ignore[arg-type]
        return Setting(name, timeline, sampler or named_sampler("lcm"), sigmas)

    def collapse(self) -> Iterator[Setting]:
        """What there is without a timeline."""
        yield from (self.guided(steps) for steps in (8, 4))
        for steps in (4, 8):
            yield self.plain(f"distilled, {steps} steps", self.distilled, 1.0, "lcm", self.levels(steps))
        yield self.plain("distilled, Euler", self.distilled, 1.0, "euler", self.levels())
        yield self.plain("distilled, cfg 1.5", self.distilled, 1.5, "lcm", self.levels())

    def base_first(self) -> Iterator[Setting]:
        """The base model for the noisiest part, by Euler, which keeps a seed's noise."""
        for seam, own, cfg in ((1, 1, CFG), (1, 1, 1.0), (1, 3, CFG), (2, 5, CFG)):
            name = f"base first, seam {seam}, {own} own" + ("" if cfg == CFG else f", cfg {cfg:g}")
            yield self.preset(name, "base first", seam=seam, base_steps=own, base_cfg=cfg)
        yield self.preset("base first, seam 1, 3 own, all LCM", "base first", base_steps=3, base_sampler=None)

    def others(self) -> Iterator[Setting]:
        """The other presets, on the distilled model."""
        yield self.preset("LoRA ramp, 6 steps", "LoRA ramp", steps=6, amount=1.0, end=0.4)
        yield self.preset("LoRA at 0.6, 8 steps, cfg 1.5", "LoRA at part strength", steps=8, amount=0.6, distilled_cfg=1.5)
        yield self.preset("seed variance 1", "seed variance", amount=1.0, end=0.3)
        yield self.preset("seed variance 2", "seed variance", amount=2.0, end=0.3)
        yield self.preset("CADS 0.5", "CADS", amount=0.5, start=0.1, end=0.4)
        yield self.preset("TCD, eta 0.3", "TCD", Tcd(options={"eta": 0.3}), amount=0.3)
        first = self.preset("", "base first", base_steps=3)
        on = {"timeline": first.timeline, "sigmas": first.sigmas}
        yield self.preset("base first and seed variance 1", "seed variance", amount=1.0, end=0.3, **on)

    def doses(self) -> Iterator[Setting]:
        """The base model with a little of the LoRA, all along or where the picture is nearly done."""
        yield self.guided(8, name="base, 8 steps, no LoRA")
        for steps, strengths in ((20, (0.1, 0.3)), (8, (0.1, 0.2, 0.3, 0.5))):
            for strength in strengths:
                model = self.base.with_patches(self.adapter, strength)
                yield self.guided(steps, model, f"base, {steps} steps, LoRA at {strength:g}")
        late = ((Point(0.5, "percent"), 0.0), (Point(0.7, "percent"), 0.5))
        setting = self.guided(8, name="base, 8 steps, LoRA 0 to 0.5 late")
        yield replace(setting, timeline=replace(setting.timeline, ramps=(Ramp(self.adapter, late),)))


@torch.no_grad()
def with_fidelity(measured: Measured, vae: Vae, judge: Judge) -> Measured:
    """The share of each prompt's pictures in which the judge sees the noun and the background asked for."""
    shares = []
    for images, (noun, ground) in zip(measured.images, WANTED, strict=False):
        verdict = judge(vae.encode(images) * 0.18215)
        right = (verdict.noun.argmax(1) == list(NOUNS).index(noun)) & (verdict.background.argmax(1) == BACKGROUNDS.index(ground))
        shares.append(float(right.float().mean()))
    return replace(measured, fidelity=tuple(shares))


def parse() -> argparse.Namespace:
    """The command's options."""
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add_paths(ap)
    ap.add_argument("--checkpoint", type=Path, default=Path("models/checkpoints/loom-demo.safetensors"))
    ap.add_argument("--lora", type=Path, default=Path("models/loras/loom-demo-lcm.safetensors"))
    ap.add_argument("--seeds", type=int, default=12)
    ap.add_argument("--prompts", type=int, default=len(WANTED))
    ap.add_argument("--groups", nargs="*", default=["collapse", "base_first", "others", "doses"])
    ap.add_argument("--only", default="", help="settings whose name has this in it")
    ap.add_argument("--out", type=Path, default=Path("docs/pictures"))
    ap.add_argument("--threads", type=int, default=2)
    return ap.parse_args()


def main() -> None:
    """Measures the groups one after the other, each beside the base model."""
    a = parse()
    torch.set_num_threads(a.threads)
    checkpoint = load_checkpoint(a.checkpoint, Residency("cpu"))
    assert checkpoint.clip is not None
    assert checkpoint.vae is not None
    adapter = read_adapters(read_tensors(a.lora).tensors, [checkpoint.model.part])[0]
    ways, judge = Ways(checkpoint.model, adapter), load_judge(Paths.of(a).work / "judge.pt")
    prompts = tuple(prompt_of(*wanted) for wanted in WANTED[: a.prompts])
    bench = Bench(checkpoint.clip, checkpoint.vae, prompts, seeds=a.seeds, first_seed=1, width=128, height=128)
    a.out.mkdir(parents=True, exist_ok=True)

    def measured(setting: Setting) -> Measured:
        return with_fidelity(bench.measure(setting), checkpoint.vae, judge)  # type: ignore[arg-type]

    first = measured(ways.guided(20))
    for group in a.groups:
        report = Diversity().with_setting(prompts, a.seeds, first)
        for setting in getattr(ways, group)():
            if a.only in setting.name:
                report = report.with_setting(prompts, a.seeds, measured(setting))
                print(summary(report).splitlines()[-1], flush=True)
        name = group.replace("_", "-")
        (a.out / f"distilled-{name}.json").write_bytes(as_json(report))
        (a.out / f"distilled-{name}.png").write_bytes(png(scatter(report)))
        (a.out / f"distilled-{name}-pictures.png").write_bytes(png(contact_sheet(report, 4)))


if __name__ == "__main__":
    main()
