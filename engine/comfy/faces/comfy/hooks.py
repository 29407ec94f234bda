"""Hooks are not supported: their classes can be imported and asked for, and have nothing in them."""

from __future__ import annotations

from typing import Any

from engine.comfy.finder import missing

__getattr__ = missing(__name__)


class Hook:
    """Never made by the engine."""


class WeightHook(Hook):
    """Never made by the engine."""


class HookKeyframe:
    """Never made by the engine."""


class HookKeyframeGroup:
    """Never made by the engine."""


class HookGroup:
    """A list of hooks."""

    def __init__(self) -> None:
        self.hooks: list[Any] = []

    def add(self, hook: Any) -> None:
        self.hooks.append(hook)

    def clone(self) -> HookGroup:
        made = HookGroup()
        made.hooks = list(self.hooks)
        return made


def set_hooks_for_conditioning(cond: Any, hooks: Any, append_hooks: bool = True, cache: Any = None) -> Any:
    """The conditioning with HOOKS of a native node; those a pack made itself have nothing in them."""
    from engine.diffusion.hooks import Hooks, with_hooks

    return with_hooks(cond, hooks) if isinstance(hooks, Hooks) else cond
