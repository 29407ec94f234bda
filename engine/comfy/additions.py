"""Samplers and schedulers that packs add to the lists: offered by every node that has such a list, and known to the engine."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

from engine.spec import NodeSpec, Port
from engine.types import SamplerName, SchedulerName


def extended(specs: Mapping[str, NodeSpec]) -> dict[str, NodeSpec]:
    """The node types with longer lists where packs made them so; the same ones if none did."""
    faces = sys.modules.get("engine.comfy.faces.comfy.samplers")
    if faces is None:
        return dict(specs)
    lists = {tuple(get_args(SamplerName)): samplers_of(faces), tuple(get_args(SchedulerName)): schedulers_of(faces)}
    if all(old == new for old, new in lists.items()):
        return dict(specs)
    register(faces)

    def longer(port: Port) -> Port:
        known = port.choices
        return replace(port, choices=lists.get(known, known)) if isinstance(known, tuple) else port

    return {name: replace(spec, inputs=tuple(map(longer, spec.inputs))) for name, spec in specs.items()}


def samplers_of(faces: Any) -> tuple[str, ...]:
    """Every name a pack may have put into one of the lists, or into a list of its own in their place."""
    return tuple(dict.fromkeys([*faces.SAMPLER_NAMES, *faces.KSampler.SAMPLERS]))


def schedulers_of(faces: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*faces.SCHEDULER_NAMES, *faces.KSampler.SCHEDULERS, *faces.SCHEDULER_HANDLERS]))


def register(faces: Any) -> None:
    """Tell the engine's tables what packs added; what has no function is left out."""
    from engine.diffusion import schedules
    from engine.diffusion.samplers import SAMPLERS

    samplers: Any = SAMPLERS
    schedulers: Any = schedules.SCHEDULERS
    functions = sys.modules.get("engine.comfy.faces.comfy.k_diffusion.sampling")
    for name in samplers_of(faces):
        function = vars(functions).get(f"sample_{name}") if functions is not None else None
        if name not in samplers and function is not None:
            samplers[name] = faces.KSAMPLER(function).to_engine()
    for name in schedulers_of(faces):
        if name not in schedulers:
            schedulers[name] = _scheduler(faces, name)


def _scheduler(faces: Any, name: str) -> Any:
    def scheduler(parametrization: Any, steps: int) -> Any:
        from engine.comfy.faces.comfy.model_sampling import ModelSampling

        return faces.calculate_sigmas(ModelSampling.of_engine(parametrization), name, steps)

    return scheduler
