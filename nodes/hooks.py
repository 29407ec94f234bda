"""Hooks: LoRAs and models that change the weights for one prompt, or over a part of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Interval

from engine.node import Folder, Run, Step, node
from engine.types import Clip, Floats, HookKeyframes, Hooks
from nodes.embeddings import embedding_finder
from nodes.sizes import FineShare

if TYPE_CHECKING:
    from engine.diffusion import hooks as engine_hooks

HookStrength = Annotated[float, Interval(ge=-20.0, le=20.0), Step(0.01)]
Multiplier = Annotated[float, Interval(ge=0.0, le=10.0), Step(0.001)]
LoraName = Annotated[str, Folder("loras")]
CheckpointName = Annotated[str, Folder("checkpoints")]


def hooked(previous: Hooks | None, source: engine_hooks.Source, strength_model: float, strength_clip: float) -> Hooks:
    """One hook more."""
    from engine.diffusion import hooks as engine_hooks

    hook = engine_hooks.Hook(source, strength_model, strength_clip)
    return (previous or engine_hooks.Hooks()).and_(engine_hooks.Hooks((hook,)))


@node("CreateHookLora", category="advanced/hooks/create", title="Create Hook LoRA", lane="io", experimental=True)
def create_hook_lora(
    lora_name: LoraName,
    strength_model: HookStrength = 1.0,
    strength_clip: HookStrength = 1.0,
    prev_hooks: Hooks | None = None,
    *,
    run: Run,
) -> Hooks:
    """A LoRA for the prompts it is set on, on the model and, with Set CLIP Hooks, on the text encoder."""
    from engine.diffusion.hooks import LoraSource
    from engine.diffusion.lora_file import read_lora

    source = LoraSource(read_lora(run.folders.find("loras", lora_name)))
    return hooked(prev_hooks, source, strength_model, strength_clip)


@node("CreateHookLoraModelOnly", category="advanced/hooks/create", title="Create Hook LoRA (MO)", lane="io", experimental=True)
def create_hook_lora_model_only(
    lora_name: LoraName, strength_model: HookStrength = 1.0, prev_hooks: Hooks | None = None, *, run: Run
) -> Hooks:
    """A LoRA on the model alone, for the prompts it is set on."""
    return create_hook_lora(lora_name, strength_model, 0.0, prev_hooks, run=run)


@node("CreateHookModelAsLora", category="advanced/hooks/create", title="Create Hook Model as LoRA", lane="io", experimental=True)
def create_hook_model_as_lora(
    ckpt_name: CheckpointName,
    strength_model: HookStrength = 1.0,
    strength_clip: HookStrength = 1.0,
    prev_hooks: Hooks | None = None,
    *,
    run: Run,
) -> Hooks:
    """Another checkpoint of the same family as a change of weights: at strength 1 a prompt is drawn by that one."""
    from engine.diffusion.checkpoints import load_checkpoint
    from engine.diffusion.hooks import ModelSource

    other = load_checkpoint(run.folders.find("checkpoints", ckpt_name), run.place, embedding_finder(run))
    parts = (other.model.part, *(other.clip.parts if other.clip is not None else ()))
    return hooked(prev_hooks, ModelSource(parts), strength_model, strength_clip)


@node(
    "CreateHookModelAsLoraModelOnly",
    category="advanced/hooks/create",
    title="Create Hook Model as LoRA (MO)",
    lane="io",
    experimental=True,
)
def create_hook_model_as_lora_model_only(
    ckpt_name: CheckpointName, strength_model: HookStrength = 1.0, prev_hooks: Hooks | None = None, *, run: Run
) -> Hooks:
    """Another checkpoint as a change of the model's weights alone."""
    return create_hook_model_as_lora(ckpt_name, strength_model, 0.0, prev_hooks, run=run)


@node("SetHookKeyframes", category="advanced/hooks/scheduling", title="Set Hook Keyframes", experimental=True)
def set_hook_keyframes(hooks: Hooks, hook_kf: HookKeyframes | None = None) -> Hooks:
    """Let the strengths of hooks follow keyframes over the run."""
    return hooks if hook_kf is None else hooks.with_keyframes(hook_kf)


@node(
    "CreateHookKeyframe", category="advanced/hooks/scheduling", title="Create Hook Keyframe", outputs=("HOOK_KF",),
    experimental=True,
)  # fmt: skip
def create_hook_keyframe(
    strength_mult: HookStrength = 1.0, start_percent: FineShare = 0.0, prev_hook_kf: HookKeyframes | None = None
) -> HookKeyframes:
    """From ``start_percent`` on hooks count ``strength_mult`` times."""
    from engine.diffusion.hooks import Keyframe, Keyframes

    return (prev_hook_kf or Keyframes()).having(Keyframe(start_percent, strength_mult))


@node(
    "CreateHookKeyframesInterpolated", category="advanced/hooks/scheduling", title="Create Hook Keyframes Interp.",
    outputs=("HOOK_KF",), experimental=True,
)  # fmt: skip
def create_hook_keyframes_interpolated(
    strength_start: Multiplier = 1.0,
    strength_end: Multiplier = 1.0,
    interpolation: Literal["linear", "ease_in", "ease_out", "ease_in_out"] = "linear",
    start_percent: FineShare = 0.0,
    end_percent: FineShare = 1.0,
    keyframes_count: Annotated[int, Interval(ge=2, le=100)] = 5,
    print_keyframes: bool = False,
    prev_hook_kf: HookKeyframes | None = None,
) -> HookKeyframes:
    """Keyframes from one strength to another, evenly over a part of the run."""
    from engine.diffusion.hooks import interpolated

    strengths = interpolated(strength_start, strength_end, keyframes_count, interpolation)
    return keyframed(strengths, start_percent, end_percent, print_keyframes, prev_hook_kf)


@node(
    "CreateHookKeyframesFromFloats", category="advanced/hooks/scheduling", title="Create Hook Keyframes From Floats",
    outputs=("HOOK_KF",), experimental=True,
)  # fmt: skip
def create_hook_keyframes_from_floats(
    floats_strength: Floats,
    start_percent: FineShare = 0.0,
    end_percent: FineShare = 1.0,
    print_keyframes: bool = False,
    prev_hook_kf: HookKeyframes | None = None,
) -> HookKeyframes:
    """Keyframes at the strengths of a list, evenly over a part of the run."""
    strengths = [float(floats_strength)] if isinstance(floats_strength, int | float) else [float(x) for x in floats_strength]
    return keyframed(strengths, start_percent, end_percent, print_keyframes, prev_hook_kf)


def keyframed(strengths: list[float], start: float, end: float, log: bool, previous: HookKeyframes | None) -> HookKeyframes:
    import logging

    from engine.diffusion.hooks import Keyframes, keyframes_of

    frames = keyframes_of(strengths, start, end)
    for frame in frames if log else ():
        logging.getLogger(__name__).info("hook keyframe: from %.3f on, strength %.4g", frame.percent, frame.strength)
    return (previous or Keyframes()).having(*frames)


@node("CombineHooks2", category="advanced/hooks/combine", title="Combine Hooks [2]", experimental=True)
def combine_hooks_2(hooks_A: Hooks | None = None, hooks_B: Hooks | None = None) -> Hooks:
    """Two sets of hooks together."""
    from engine.diffusion import hooks as engine_hooks

    return engine_hooks.Hooks().and_(hooks_A, hooks_B)


@node("CombineHooks4", category="advanced/hooks/combine", title="Combine Hooks [4]", experimental=True)
def combine_hooks_4(
    hooks_A: Hooks | None = None, hooks_B: Hooks | None = None, hooks_C: Hooks | None = None, hooks_D: Hooks | None = None
) -> Hooks:
    """Four sets of hooks together."""
    from engine.diffusion import hooks as engine_hooks

    return engine_hooks.Hooks().and_(hooks_A, hooks_B, hooks_C, hooks_D)


@node("CombineHooks8", category="advanced/hooks/combine", title="Combine Hooks [8]", experimental=True)
def combine_hooks_8(
    hooks_A: Hooks | None = None,
    hooks_B: Hooks | None = None,
    hooks_C: Hooks | None = None,
    hooks_D: Hooks | None = None,
    hooks_E: Hooks | None = None,
    hooks_F: Hooks | None = None,
    hooks_G: Hooks | None = None,
    hooks_H: Hooks | None = None,
) -> Hooks:
    """Eight sets of hooks together."""
    from engine.diffusion import hooks as engine_hooks

    return engine_hooks.Hooks().and_(hooks_A, hooks_B, hooks_C, hooks_D, hooks_E, hooks_F, hooks_G, hooks_H)


@node("SetClipHooks", category="advanced/hooks/clip", title="Set CLIP Hooks", experimental=True)
def set_clip_hooks(clip: Clip, apply_to_conds: bool = True, schedule_clip: bool = False, hooks: Hooks | None = None) -> Clip:
    """Read prompts with hooks on the text encoder; ``apply_to_conds`` also sets them on the prompts, for the model."""
    return clip if hooks is None else clip.with_hooks(hooks, on_conds=apply_to_conds, scheduled=schedule_clip)
