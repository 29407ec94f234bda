"""Hooks as packs build them: weight changes of a LoRA that go with a prompt, at strengths that may follow the noise level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self

from engine.comfy.finder import missing
from engine.comfy.values import outward

__getattr__ = missing(__name__)


class HookKeyframe:
    """From ``start_percent`` of the run on the hook counts ``strength`` times, for ``guarantee_steps`` steps at the least."""

    def __init__(self, strength: float, start_percent: float = 0.0, guarantee_steps: int = 1) -> None:
        self.strength, self.start_percent, self.guarantee_steps = strength, start_percent, guarantee_steps


class HookKeyframeGroup:
    """HOOK_KEYFRAMES."""

    def __init__(self) -> None:
        self.keyframes: list[HookKeyframe] = []

    @classmethod
    def of_engine(cls, engine: Any) -> Self:
        made = cls()
        made.keyframes = [HookKeyframe(one.strength, one.percent, one.steps) for one in engine.frames]
        return made

    def to_engine(self) -> Any:
        from engine.diffusion.hooks import Keyframe, Keyframes

        frames = (Keyframe(one.start_percent, one.strength, one.guarantee_steps) for one in self.keyframes)
        return Keyframes().having(*frames)

    def add(self, keyframe: HookKeyframe) -> None:
        self.keyframes = sorted([*self.keyframes, keyframe], key=lambda one: one.start_percent)

    def clone(self) -> Self:
        made = type(self)()
        made.keyframes = list(self.keyframes)
        return made


class Hook:
    """The base of hooks; one of a pack's own kind has no effect."""

    engine: Any = None


class WeightHook(Hook):
    """A LoRA's tensors, once ``weights`` has them; made by ``create_hook_lora``."""

    def __init__(self, strength_model: float = 1.0, strength_clip: float = 1.0) -> None:
        self.strength_model, self.strength_clip = strength_model, strength_clip
        self.weights: Mapping[str, Any] | None = None

    def made(self) -> Any:
        """The engine's hook, the same each time: it is what tells hooks apart."""
        if self.engine is None and self.weights is not None:
            from engine.diffusion.hooks import Hook as EngineHook
            from engine.diffusion.hooks import LoraSource

            self.engine = EngineHook(LoraSource(self.weights), self.strength_model, self.strength_clip)
        return self.engine


class HookGroup:
    """HOOKS: a list of hooks, with the keyframes of each."""

    def __init__(self) -> None:
        self.hooks: list[Any] = []

    @classmethod
    def of_engine(cls, engine: Any) -> Self:
        made = cls()
        for one in engine.hooks:
            hook = WeightHook(one.strength_model, one.strength_clip)
            hook.engine = one
            made.hooks.append(hook)
        return made

    def to_engine(self) -> Any:
        from engine.diffusion.hooks import Hooks

        found = (hook.made() for hook in self.hooks if isinstance(hook, WeightHook))
        return Hooks(tuple(dict.fromkeys(hook for hook in found if hook is not None)))

    def add(self, hook: Any) -> None:
        if hook not in self.hooks:
            self.hooks.append(hook)

    def clone(self) -> Self:
        made = type(self)()
        made.hooks = list(self.hooks)
        return made

    def clone_and_combine(self, other: HookGroup | None) -> Self:
        made = self.clone()
        for hook in other.hooks if other is not None else ():
            made.add(hook)
        return made

    def set_keyframes_on_hooks(self, hook_kf: HookKeyframeGroup | None) -> None:
        """Every hook of this group follows these keyframes; None: none."""
        frames = (hook_kf or HookKeyframeGroup()).to_engine()
        changed: list[Any] = []
        for hook in self.hooks:
            if isinstance(hook, WeightHook) and (engine := hook.made()) is not None:
                hook = WeightHook(hook.strength_model, hook.strength_clip)
                hook.engine = replace(engine, keyframes=frames)
            changed.append(hook)
        self.hooks = changed

    @staticmethod
    def combine_all_hooks(hooks_list: list[HookGroup | None], require_count: int = 0) -> HookGroup | None:
        """All groups that there are as one; None where there are fewer than ``require_count``, or none."""
        given = [one for one in hooks_list if one is not None]
        if not given or len(given) < require_count:
            return None
        made = HookGroup()
        for one in given:
            made = made.clone_and_combine(one)
        return made


def create_hook_lora(lora: Mapping[str, Any], strength_model: float, strength_clip: float) -> HookGroup:
    """The tensors of a LoRA as one hook."""
    hook = WeightHook(strength_model, strength_clip)
    hook.weights = lora
    group = HookGroup()
    group.add(hook)
    return group


def set_hooks_for_conditioning(cond: Any, hooks: Any, append_hooks: bool = True, cache: Any = None) -> Any:
    """The conditioning with these hooks beside those it has, or in their place."""
    from engine.diffusion.hooks import with_hooks

    if hooks is None:
        return cond
    if not append_hooks:
        cond = [[tensor, {name: value for name, value in options.items() if name != "hooks"}] for tensor, options in cond]
    return with_hooks(cond, outward(hooks))
