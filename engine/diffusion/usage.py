"""The settings a model file was made for: those of its family, and what the file's own words say over them.

Nothing in the weights of a distilled network shows that it is one, but for LCM's full UNets (an input for the guidance). Files
say it in the keys of the model specification (https://github.com/Stability-AI/ModelSpec, ``usage_hint``) or of their trainer.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from engine.diffusion.families.family import Defaults
from engine.diffusion.samplers import SAMPLERS
from engine.diffusion.schedules import SCHEDULERS

HINT = "modelspec.usage_hint"
NAMES = (HINT, "modelspec.title", "modelspec.architecture", "modelspec.tags", "ss_output_name")
"""Where a file says what it is, the plainest first. Descriptions are left out: they also say what a file is not."""


@dataclass(frozen=True)
class Said:
    """What a file says of its use; None where it says nothing."""

    steps: int | None = None
    cfg: float | None = None
    sampler: str | None = None
    scheduler: str | None = None
    width: int | None = None
    height: int | None = None
    few_steps: bool = False

    def over(self, usual: Defaults) -> Defaults:
        """``usual`` with all that was said."""
        return replace(usual, **self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """What was said, by name."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in said.items() if value is not None and value is not False}


# The training timesteps of all of these are those of sgm_uniform: DMD2's 999, 749, 499 and 249, diffusers' "trailing".
DISTILLED: tuple[tuple[str, Said], ...] = (
    (r"\b(lcm|dmd ?2|latent consistency)\b", Said(4, 1.0, "lcm", "sgm_uniform", few_steps=True)),
    (r"\b(sd|sdxl) lightning\b|\blightning\b.*\bsteps?\b", Said(4, 1.0, "euler", "sgm_uniform", few_steps=True)),
    (r"\bhyper ?(sd|sdxl)\b|\bhyper\b.*\bsteps?\b", Said(8, 1.0, "euler", "sgm_uniform", few_steps=True)),
    (r"\b(sd|sdxl) turbo\b|\bturbo\b.*\bsteps?\b", Said(4, 1.0, "euler_ancestral", "sgm_uniform", few_steps=True)),
)
"""Words by which a distilled file names its method, and the settings its authors give."""

STEPS = re.compile(r"\b(\d{1,3}) ?(?:(?:to|or|/) ?\d{1,3} ?)?steps?\b|\bsteps? ?:? ?(\d{1,3})\b")
CFG = re.compile(r"\b(?:cfg|guidance)(?: scale)? ?[:=]? ?(\d{1,2}(?:\.\d+)?)")
SIZE = re.compile(r"^(\d{2,4})x(\d{2,4})$")
FEW = 10
"""Steps with which no plain model draws."""


def said(metadata: Mapping[str, str]) -> Said:
    """What the metadata of a file say of its use."""
    texts = [_plain(metadata.get(name, "")) for name in NAMES]
    found = next((made for pattern, made in DISTILLED if any(re.search(pattern, text) for text in texts)), Said())
    for text in reversed(texts):
        if steps := STEPS.search(text):
            found = replace(found, steps=int(steps[1] or steps[2]) or None)
        if cfg := CFG.search(text):
            found = replace(found, cfg=float(cfg[1]))
    hint = metadata.get(HINT, "").lower()
    found = replace(found, sampler=_named("sampler", hint, SAMPLERS) or found.sampler)
    found = replace(found, scheduler=_named("scheduler", hint, SCHEDULERS) or found.scheduler)
    few = found.few_steps or (found.steps is not None and found.steps <= FEW and found.cfg == 1)
    return replace(found, few_steps=few)


def settings(usual: Defaults, metadata: Mapping[str, str]) -> Defaults:
    """What a checkpoint of a family with these defaults was made for."""
    found = said(metadata)
    if size := SIZE.match(metadata.get("modelspec.resolution", "").lower().replace(" ", "")):
        found = replace(found, width=int(size[1]), height=int(size[2]))
    return found.over(usual)


def adapter_settings(metadata: Mapping[str, str]) -> Said | None:
    """What a model becomes made for by a LoRA; None for one that distils nothing."""
    found = said(metadata)
    return found if found.few_steps else None


def sentence(made: Mapping[str, Any]) -> str:
    """Settings for people: "4 steps, cfg 1, lcm sgm_uniform, 512 x 512", as far as they are known."""
    said = [f"{made['steps']} steps"] if "steps" in made else []
    said += [f"cfg {made['cfg']:g}"] if "cfg" in made else []
    said += [" ".join(made[name] for name in ("sampler", "scheduler") if name in made)]
    said += [f"{made['width']} x {made['height']}"] if "width" in made else []
    return ", ".join(part for part in said if part)


def _named(what: str, hint: str, known: Container[str]) -> str | None:
    """The name after the word for it, if there is such a one."""
    found = re.search(rf"\b{what} ?[:=]? ?(\w+)", hint)
    return found[1] if found and found[1] in known else None


def _plain(text: str) -> str:
    """Lower case, with blanks for what joins words; a number and the word after it fall apart."""
    return re.sub(r"(?<=\d)(?=steps?\b)", " ", re.sub(r"[\s_,;()\[\]-]+", " ", text.lower()))
