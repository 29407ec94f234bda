"""The ways of drawing that the study compares: the base model, the distilled one, and the timeline's presets on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from torch import Tensor

from engine.diffusion.diversity_run import Setting
from engine.diffusion.model import Model
from engine.diffusion.patches import Adapter
from engine.diffusion.samplers import Sampler
from engine.diffusion.sampling import named_sampler, schedule
from engine.diffusion.timeline import Point, Ramp, Segment, Timeline, at_timesteps
from engine.diffusion.timeline_presets import PRESETS, Plan

from .distill import VISITED

CFG = 4.0


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
        yield from (self.guided(steps) for steps in (20, 8, 4))
        for steps in (4, 8):
            yield self.plain(f"distilled, {steps} steps", self.distilled, 1.0, "lcm", self.levels(steps))
        yield self.plain("distilled, Euler", self.distilled, 1.0, "euler", self.levels())
        yield self.plain("distilled, cfg 1.5", self.distilled, 1.5, "lcm", self.levels())

    def base_first(self) -> Iterator[Setting]:
        """The base model for the noisiest part, by Euler, which keeps a seed's noise."""
        yield self.guided(20)
        for seam, own, cfg in ((1, 3, CFG), (1, 2, CFG), (1, 1, 1.0), (1, 1, CFG), (2, 5, CFG)):
            name = f"base first, seam {seam}, {own} own, cfg {cfg:g}"
            yield self.preset(name, "base first", seam=seam, base_steps=own, base_cfg=cfg)
        yield self.preset("base first, seam 1, 3 own, cfg 4, all LCM", "base first", base_steps=3, base_sampler=None)

    def others(self) -> Iterator[Setting]:
        """The other presets; those that change a run on the distilled model unless said otherwise."""
        yield self.guided(20)
        yield self.preset("base in high noise until 0.25, 8 steps", "base in high noise", steps=8, end=0.25)
        yield self.preset("LoRA ramp, 6 steps", "LoRA ramp", steps=6, amount=1.0, end=0.4)
        yield self.preset("LoRA at 0.6, 8 steps, cfg 1.5", "LoRA at part strength", steps=8, amount=0.6, distilled_cfg=1.5)
        yield self.preset(
            "base, 10 steps, cfg 4 from 0.05 to 0.6", "cfg interval", named_sampler("dpmpp_2m"), distilled=None,
            sigmas=schedule(self.base, "karras", 10), start=0.05, end=0.6,
        )  # fmt: skip
        for amount in (1.0, 2.0):
            yield self.preset(f"seed variance {amount:g}", "seed variance", amount=amount, end=0.3)
        yield self.preset("CADS 0.5", "CADS", amount=0.5, start=0.1, end=0.4)
        yield self.preset("TCD, eta 0.3", "TCD", amount=0.3)
        first = self.preset("", "base first", base_steps=3)
        yield self.preset(
            "base first, 3 own, and seed variance 1", "seed variance", timeline=first.timeline, sigmas=first.sigmas, amount=1.0,
            end=0.3,
        )  # fmt: skip

    def best(self) -> Iterator[Setting]:
        """What is tried on harder prompts: both models, and what gave variety back on the easy ones."""
        kept = (
            "base, 20 steps", "base, 8 steps", "distilled, 4 steps", "base first, seam 1, 3 own, cfg 4",
            "base first, seam 1, 1 own, cfg 1", "seed variance 2", "TCD, eta 0.3",
        )  # fmt: skip
        known = {setting.name: setting for group in (self.collapse, self.base_first, self.others) for setting in group()}
        yield from (known[name] for name in kept)

    def doses(self) -> Iterator[Setting]:
        """The base model in 8 steps with a little of the LoRA, all along or where the picture is nearly done."""
        yield self.guided(8)
        yield from (self.dosed(8, strength) for strength in (0.05, 0.1, 0.2, 0.3, 0.5))
        late = ((Point(0.5, "percent"), 0.0), (Point(0.7, "percent"), 0.5))
        setting = self.guided(8, name="base, 8 steps, LoRA 0 to 0.5 late")
        yield replace(setting, timeline=replace(setting.timeline, ramps=(Ramp(self.adapter, late),)))

    def doses_20(self) -> Iterator[Setting]:
        """The same in 20 steps."""
        yield self.guided(20)
        yield from (self.dosed(20, strength) for strength in (0.1, 0.3))

    def dosed(self, steps: int, strength: float) -> Setting:
        """The base model with the LoRA at a strength all along."""
        return self.guided(steps, self.base.with_patches(self.adapter, strength), f"base, {steps} steps, LoRA at {strength:g}")
