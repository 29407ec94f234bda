"""Hooks: weight changes that belong to a prompt, not to a model, at strengths that may follow the noise level.

A conditioning carries them under "hooks"; its predictions are made by a network patched with them, those of other prompts
by the network without. The HOOKS and HOOK_KEYFRAMES values are ``Hooks`` and ``Keyframes``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from torch import Tensor

from engine.diffusion.conditioning import Conditioning, Options, combine, entries, set_mask, set_timestep_range, with_options
from engine.diffusion.lora import AdapterError, read_adapters
from engine.diffusion.lora_names import BUNDLED, of_text
from engine.diffusion.parts import Part, Tensors
from engine.diffusion.patches import Adapter, Delta, Patch, Towards

Side = Literal["model", "clip"]
Interpolation = Literal["linear", "ease_in", "ease_out", "ease_in_out"]


@dataclass(frozen=True)
class Keyframe:
    """From share ``percent`` of the noise schedule on, the hook counts ``strength`` times, for ``steps`` steps at the least."""

    percent: float
    strength: float
    steps: int = 1


@dataclass(frozen=True)
class Keyframes:
    """Keyframes by their share; before the first, the first holds already."""

    frames: tuple[Keyframe, ...] = ()

    def having(self, *more: Keyframe) -> Keyframes:
        return Keyframes(tuple(sorted((*self.frames, *more), key=lambda frame: frame.percent)))

    def __bool__(self) -> bool:
        return bool(self.frames)


def interpolated(first: float, last: float, count: int, how: Interpolation = "linear") -> list[float]:
    """``count`` values from ``first`` to ``last``; the eases are quadratic, the one at both ends a half cosine."""
    shapes: dict[str, Callable[[float], float]] = {
        "linear": lambda t: t,
        "ease_in": lambda t: t * t,
        "ease_out": lambda t: 1 - (1 - t) ** 2,
        "ease_in_out": lambda t: (1 - math.cos(math.pi * t)) / 2,
    }
    return [first + (last - first) * shapes[how](i / (count - 1) if count > 1 else 0.0) for i in range(count)]


def keyframes_of(strengths: Sequence[float], start: float, end: float) -> tuple[Keyframe, ...]:
    """The strengths evenly over a range of shares; only the first is sure of a step, so more frames than steps is no harm."""
    percents = interpolated(start, end, len(strengths))
    pairs = zip(percents, strengths, strict=True)
    return tuple(Keyframe(percent, strength, 1 if i == 0 else 0) for i, (percent, strength) in enumerate(pairs))


class Source(Protocol):
    """Where a hook's weights come from."""

    def adapters(self, parts: Sequence[Part]) -> list[Adapter]:
        """What it changes of these networks."""
        ...


@dataclass(frozen=True, eq=False)
class LoraSource:
    """A LoRA file, read once for each network."""

    tensors: Tensors = field(repr=False)
    known: dict[tuple[Part, ...], list[Adapter]] = field(default_factory=dict, repr=False)

    def adapters(self, parts: Sequence[Part]) -> list[Adapter]:
        """A file for the other half (text or picture) changes nothing here; one for another base is an ``AdapterError``."""
        key = tuple(parts)
        if key not in self.known:
            denoiser = any(part.role == "denoiser" for part in parts)
            nothing = all(of_text(name) is denoiser for name in self.tensors if not name.startswith(BUNDLED))
            self.known[key] = [] if nothing else read_adapters(self.tensors, parts)
        return self.known[key]


@dataclass(frozen=True, eq=False)
class ModelSource:
    """Another model of the same kind: strength 1 is that model, strength 0 the one it hooks onto."""

    parts: tuple[Part, ...]
    known: dict[tuple[Part, ...], list[Adapter]] = field(default_factory=dict, repr=False)

    def adapters(self, parts: Sequence[Part]) -> list[Adapter]:
        key = tuple(parts)
        if key not in self.known:
            others = {part.role: part for part in self.parts}
            self.known[key] = [difference(part, others[part.role]) for part in parts if part.role in others]
        return self.known[key]


def difference(part: Part, other: Part) -> Adapter:
    """The way from a network to another of the same layout; ``AdapterError`` if a weight differs in shape."""
    ours, theirs = part.weights(), other.weights()
    deltas: dict[str, tuple[Delta, ...]] = {}
    for name, weight in ours.items():
        if name not in theirs:
            continue
        if theirs[name].shape != weight.shape:
            raise AdapterError(
                f"this checkpoint is of another family: its {name} is {tuple(theirs[name].shape)}, the model's is "
                f"{tuple(weight.shape)}. Choose one of the model's own family."
            )
        deltas[name] = (Towards(theirs[name], weight),)
    return Adapter(part.role, deltas)


@dataclass(frozen=True, eq=False)
class Hook:
    """One change of weights, by a strength for the denoiser and one for the text encoder."""

    source: Source
    strength_model: float = 1.0
    strength_clip: float = 0.0
    keyframes: Keyframes = Keyframes()

    def patches(self, parts: Sequence[Part], side: Side, factor: float = 1.0) -> tuple[Patch, ...]:
        strength = (self.strength_model if side == "model" else self.strength_clip) * factor
        return tuple(Patch(adapter, strength) for adapter in self.source.adapters(parts)) if strength else ()


@dataclass(frozen=True)
class Hooks:
    """Several hooks together, each once."""

    hooks: tuple[Hook, ...] = ()

    def and_(self, *others: Hooks | None) -> Hooks:
        more = [hook for other in others if other is not None for hook in other.hooks]
        return Hooks(tuple(dict.fromkeys((*self.hooks, *more))))

    def with_keyframes(self, keyframes: Keyframes) -> Hooks:
        return Hooks(tuple(replace(hook, keyframes=keyframes) for hook in self.hooks))

    @property
    def scheduled(self) -> bool:
        """Whether any strength changes over a run."""
        return any(hook.keyframes for hook in self.hooks)

    def moments(self) -> list[tuple[float, float, tuple[float, ...]]]:
        """(start, end, each hook's factor) of the shares of a run between two keyframes."""
        starts = sorted({0.0, *(frame.percent for hook in self.hooks for frame in hook.keyframes.frames)})
        ends = [*starts[1:], 1.0]
        return [(a, b, tuple(_held(hook.keyframes, a) for hook in self.hooks)) for a, b in zip(starts, ends, strict=True)]


def _held(keyframes: Keyframes, percent: float) -> float:
    """The factor at a share of the schedule."""
    if not keyframes:
        return 1.0
    passed = [frame for frame in keyframes.frames if frame.percent <= percent]
    return (passed or keyframes.frames)[-1 if passed else 0].strength


class Strengths:
    """The factors of hooks along one run: a keyframe that is due waits until the one before has had its steps.

    As in ComfyUI: keyframes from before the run's first sigma are sure of no step.
    """

    def __init__(self, percent_to_sigma: Callable[[float], float], first_sigma: float) -> None:
        self.sigma_of, self.first = percent_to_sigma, first_sigma
        self.places: dict[Hook, tuple[int, int, float]] = {}  # keyframe, steps it has had, sigma of the last

    def at(self, hooks: Hooks, sigma: float) -> tuple[float, ...]:
        return tuple(self._factor(hook, sigma) for hook in hooks.hooks)

    def _factor(self, hook: Hook, sigma: float) -> float:
        frames = hook.keyframes.frames
        if not frames:
            return 1.0
        i, used, last = self.places.get(hook, (0, 0, math.inf))
        if sigma != last:
            if used >= self._sure(frames[i]):
                while i + 1 < len(frames) and self.sigma_of(frames[i + 1].percent) >= sigma:
                    i, used = i + 1, 0
                    if self._sure(frames[i]) > 0:
                        break
            self.places[hook] = (i, used + 1, sigma)
        return frames[i].strength

    def _sure(self, frame: Keyframe) -> int:
        return 0 if self.sigma_of(frame.percent) > self.first else frame.steps


def hook_patches(hooks: Hooks, factors: Sequence[float], parts: Sequence[Part], side: Side = "model") -> tuple[Patch, ...]:
    """The patches of all hooks at these factors."""
    pairs = zip(hooks.hooks, factors, strict=True)
    return tuple(patch for hook, factor in pairs for patch in hook.patches(parts, side, factor))


def with_hooks(conditioning: Conditioning, hooks: Hooks | None) -> list[list[Any]]:
    """The conditioning with these hooks beside those it has."""
    if hooks is None:
        return combine(conditioning)
    return [[tensor, {**options, "hooks": _of(options).and_(hooks)}] for tensor, options in entries(conditioning)]


def _of(options: Options) -> Hooks:
    found = options.get("hooks")
    return found if isinstance(found, Hooks) else Hooks()


def with_properties(
    conditioning: Conditioning,
    strength: float = 1.0,
    set_cond_area: str = "default",
    mask: Tensor | None = None,
    hooks: Hooks | None = None,
    timesteps: tuple[float, float] | None = None,
) -> list[list[Any]]:
    """Hooks, a mask at ``strength`` and a range of shares, each if given. Without a mask the strength does not count."""
    result = with_hooks(conditioning, hooks)
    if mask is not None:
        result = set_mask(result, mask, set_cond_area, strength)
    return result if timesteps is None else set_timestep_range(result, *timesteps)


def with_default(conditioning: Conditioning, default: Conditioning, hooks: Hooks | None = None) -> list[list[Any]]:
    """``default`` with ``hooks``, where no entry of ``conditioning`` applies."""
    return combine(conditioning, with_options(with_hooks(default, hooks), default=True))
