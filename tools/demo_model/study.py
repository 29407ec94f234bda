"""Measures what distilling costs in variety, and what gives it back: the figures and plots of ``docs/distilled.md``.

The same prompts and seeds are drawn in many ways with the shipped files; the diversity meter compares them, and the judge
says how many pictures show what was asked for. Needs nothing but the repository.

python -m tools.demo_model.study --seeds 16 --out docs/pictures
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.containers import read_tensors
from engine.diffusion.diversity_report import contact_sheet, numbers, scatter, summary
from engine.diffusion.diversity_run import Bench, Diversity, Measured, Setting
from engine.diffusion.lora import read_adapters
from engine.diffusion.residency import Residency

from .architecture import SCALE
from .judge import Judge, load_judge
from .prompts import PROMPTS, Wanted
from .ways import Ways

GROUPS = {
    "collapse": ("single", "collapse"), "base-first": ("single", "base_first"), "others": ("single", "others"),
    "pairs": ("pairs", "best"), "styles": ("styles", "best"), "doses": ("few", "doses"), "doses-20": ("few", "doses_20"),
}  # fmt: skip
"""A report's name: its prompts and its ways. The first way is what the others are compared with."""

SHOWN = {
    "pictures": ("single", (
        "base, 20 steps", "distilled, 4 steps", "base first, seam 1, 3 own, cfg 4", "base first, seam 1, 1 own, cfg 1",
        "seed variance 2", "TCD, eta 0.3",
    )),
    "pairs-pictures": ("pairs", (
        "base, 20 steps", "distilled, 4 steps", "base first, seam 1, 3 own, cfg 4", "base first, seam 1, 1 own, cfg 1",
        "seed variance 2", "TCD, eta 0.3",
    )),
    "styles-pictures": ("styles", ("base, 20 steps", "distilled, 4 steps", "base first, seam 1, 3 own, cfg 4", "TCD, eta 0.3")),
    "doses-pictures": ("few", (
        "base, 20 steps", "base, 8 steps", "base, 8 steps, LoRA at 0.1", "base, 8 steps, LoRA at 0.3",
        "base, 8 steps, LoRA at 0.5", "base, 8 steps, LoRA 0 to 0.5 late",
    )),
}  # fmt: skip
"""Contact sheets: four seeds of the first eight prompts, of chosen settings."""


@dataclass(eq=False)
class Study:
    """Settings measured on a set of prompts, each once."""

    bench: Bench
    wanted: Sequence[Wanted]
    judge: Judge
    keep: Path | None = None  # where what was measured is kept for the next run
    done: dict[str, Measured] = field(default_factory=dict)
    seen: dict[str, dict[str, float]] = field(default_factory=dict)

    def measured(self, setting: Setting) -> Measured:
        """With the share of each prompt's pictures that show all that was asked for as fidelity."""
        if setting.name not in self.done:
            made, shares = self.drawn(setting), []
            parts: dict[str, list[float]] = {}
            for images, wanted in zip(made.images, self.wanted, strict=True):
                seen = wanted.seen(self.bench.vae.encode(images) * SCALE, self.judge)
                shares.append(float(torch.stack([*seen.values()]).prod(0).mean()))
                for name, each in seen.items():
                    parts.setdefault(name, []).append(float(each.mean()))
            self.done[setting.name] = replace(made, fidelity=tuple(shares))
            self.seen[setting.name] = {name: round(sum(some) / len(some), 4) for name, some in parts.items()}
        return self.done[setting.name]

    def drawn(self, setting: Setting) -> Measured:
        """The meter's word on a setting, now or from an earlier run."""
        if self.keep is None:
            return self.bench.measure(setting)
        known = sha256("\n".join((setting.name, str(self.bench.seeds), *self.bench.prompts)).encode())
        path = self.keep / f"{known.hexdigest()[:16]}.pt"
        if not path.exists():
            self.keep.mkdir(parents=True, exist_ok=True)
            torch.save(self.bench.measure(setting), path)
        kept: Measured = torch.load(path, weights_only=False)
        return kept

    def report(self, settings: Sequence[Setting]) -> Diversity:
        """All of them side by side, told as they come."""
        report = Diversity()
        for setting in settings:
            report = report.with_setting(self.bench.prompts, self.bench.seeds, self.measured(setting))
            print(summary(report).splitlines()[-1], flush=True)
        return report

    def numbers(self, report: Diversity) -> dict[str, Any]:
        """The meter's, and which of the things asked for are right: ``seen``, over all prompts that ask for such a thing."""
        data = numbers(report)
        for line in data["settings"]:
            line["seen"] = self.seen[line["name"]]
        return data


def parse() -> argparse.Namespace:
    """The command's options."""
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    ap.add_argument("--checkpoint", type=Path, default=Path("models/checkpoints/loom-demo.safetensors"))
    ap.add_argument("--lora", type=Path, default=Path("models/loras/loom-demo-lcm.safetensors"))
    ap.add_argument("--seeds", type=int, default=16)
    ap.add_argument("--prompts", type=int, default=12, help="at most so many of each set")
    ap.add_argument("--groups", nargs="*", default=list(GROUPS), choices=list(GROUPS))
    ap.add_argument("--out", type=Path, default=Path("docs/pictures"))
    ap.add_argument("--keep", type=Path, help="a folder for what was measured: a second run goes on from there")
    ap.add_argument("--threads", type=int, default=2)
    return ap.parse_args()


def main() -> None:
    """Measures group after group; JSON, a scatter and contact sheets of each."""
    a = parse()
    torch.set_num_threads(a.threads)
    checkpoint = load_checkpoint(a.checkpoint, Residency("cpu"))
    assert checkpoint.clip is not None
    assert checkpoint.vae is not None
    adapter = read_adapters(read_tensors(a.lora).tensors, [checkpoint.model.part])[0]
    ways, judge, studies = Ways(checkpoint.model, adapter), load_judge(), {}
    for name, all_wanted in PROMPTS.items():
        wanted = all_wanted[: a.prompts]
        prompts = tuple(str(one) for one in wanted)
        seeds = a.seeds // 2 if name == "few" else a.seeds
        bench = Bench(checkpoint.clip, checkpoint.vae, prompts, seeds=seeds, first_seed=1, width=128, height=128)
        studies[name] = Study(bench, wanted, judge, a.keep)
    a.out.mkdir(parents=True, exist_ok=True)
    for group in a.groups:
        prompts_name, ways_name = GROUPS[group]
        study = studies[prompts_name]
        print(f"-- {group}", flush=True)
        report = study.report(list(getattr(ways, ways_name)()))
        (a.out / f"distilled-{group}.json").write_text(json.dumps(study.numbers(report), indent=1) + "\n")
        scatter(report).save(a.out / f"distilled-{group}.png")
    for name, (prompts_name, settings) in SHOWN.items():
        if all(setting in studies[prompts_name].done for setting in settings):
            sheet(studies[prompts_name], settings).save(a.out / f"distilled-{name}.webp", quality=80)


def sheet(study: Study, settings: Sequence[str]) -> Image.Image:
    """Some settings side by side."""
    report = Diversity(study.bench.prompts[:8], study.bench.seeds)
    return contact_sheet(
        replace(report, settings=tuple(replace(study.done[name], images=study.done[name].images[:8]) for name in settings)), 4
    )


if __name__ == "__main__":
    main()
