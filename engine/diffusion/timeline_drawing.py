"""A timeline as a picture: bands of segments over the model's time, the scale and the LoRA strengths as lines, steps as ticks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.diffusion.parametrization import Parametrization
from engine.diffusion.timeline import Stage, Timeline

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 380, 36, 36, 44, 72
LETTERS = 20  # a node shows the picture at less than half its size
BACKGROUND, INK, FAINT = "#16181d", "#e8eaf0", "#8a90a0"
BANDS = ("#2c4a6e", "#5a3a6b", "#2f5d4a", "#6b4a2c", "#6b2f3d")
LINES = ("#ffd166", "#6ee7b7", "#93c5fd", "#fca5a5", "#d8b4fe")
POINTS = 240


def draw(timeline: Timeline, sigmas: Tensor) -> Tensor:
    """(1, H, W, 3) in 0..1. Time runs from the run's first noise level at the left to the finished picture at the right."""
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    stages, sampling = timeline.stages(sigmas), timeline.segments[0].model.sampling
    picture = Image.new("RGB", (WIDTH, HEIGHT), BACKGROUND)
    pen, small = ImageDraw.Draw(picture), ImageFont.load_default(LETTERS)
    levels = _levels(sampling, sigmas)
    places = {level: LEFT + (WIDTH - LEFT - RIGHT) * i / (POINTS - 1) for i, level in enumerate(levels)}

    def x(level: float) -> float:
        return min(places.items(), key=lambda item: abs(item[0] - level))[1]

    for k, stage in enumerate(stages):
        box = (x(min(stage.first, levels[0])), TOP, x(max(stage.last, 0.0)), HEIGHT - BOTTOM)
        pen.rectangle(box, fill=BANDS[k % len(BANDS)])
        pen.text((box[0] + 8, TOP + 8), _label(k, stage), INK, font=small)
    labelled = 0.0
    for sigma in sigmas:
        at = x(float(sigma))
        pen.line((at, HEIGHT - BOTTOM, at, HEIGHT - BOTTOM + 6), FAINT)
        if at - labelled >= 64 or at == LEFT:
            labelled = at
            pen.text((at, HEIGHT - BOTTOM + 10), f"{float(sigma):.2f}", FAINT, font=small, anchor="ma")
    scales = [_cfg(stages, level, sigmas) for level in levels]
    curves = [("cfg", scales)]
    strengths = [timeline.strengths(torch.tensor(level), sampling, sigmas) for level in levels]
    curves += [(f"LoRA {k + 1}", [strength[k] for strength in strengths]) for k in range(len(timeline.ramps))]
    for k, (name, values) in enumerate(curves):
        highest = max(1.0, *values) if name == "cfg" else max(1.0, *(abs(value) for value in values))
        heights = [HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM - 90) * value / highest for value in values]
        pen.line(list(zip(places.values(), heights, strict=True)), LINES[k % len(LINES)], width=3)
        pen.text((LEFT + 160 * k, 12), f"{name}  0-{highest:g}", LINES[k % len(LINES)], font=small)
    told = [reading.title for reading in timeline.readings]
    if timeline.variation:
        told.append(f"{timeline.variation.strength:g} of the noise of seed {timeline.variation.seed}")
    pen.text((WIDTH - RIGHT, 12), ", ".join(told), INK, font=small, anchor="ra")
    pen.text((WIDTH / 2, HEIGHT - 30), "sigma at each step", FAINT, font=small, anchor="ma")
    return torch.from_numpy(np.asarray(picture).copy()).float().div(255)[None]


def _levels(sampling: Parametrization, sigmas: Tensor) -> list[float]:
    """Noise levels evenly spaced in the model's time, from the first of the run to 0."""
    first = float(sampling.timestep(sigmas[0].clamp(max=sampling.sigma_max)))
    times = torch.linspace(first, 0.0, POINTS)
    return [*(float(level) for level in sampling.sigma(times)[:-1]), 0.0]


def _cfg(stages: Sequence[Stage], level: float, sigmas: Tensor) -> float:
    stage = next((stage for stage in stages if stage.covers(level)), stages[-1])
    return stage.cfg(torch.tensor(level), sigmas)


def _label(k: int, stage: Stage) -> str:
    segment = stage.segment
    parts = [f"{k + 1}: cfg {segment.cfg:g}" + (f" to {segment.last_cfg:g}" if segment.last_cfg is not None else "")]
    parts += [f"detail {segment.detail:g}"] if segment.detail else []
    parts += [f"{segment.renoise:.0%} new noise"] if segment.renoise else []
    parts += [f"{len(segment.model.patches)} LoRA"] if segment.model.patches else []
    edits = len(segment.model.edits)
    parts += [f"{edits} edit{'s' * (edits > 1)}"] if edits else []
    parts += [getattr(segment.sampler.function, "__name__", "own sampler")] if segment.sampler is not None else []
    return "\n".join(parts)
