"""Hooks: a constant one over everything is the plain LoRA, one of strength 0 is nothing, and prompts mix as without."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.diffusion import conditioning
from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.formulas import perturbed
from engine.diffusion.guidance import Guided, basic_guider, cfg_guider
from engine.diffusion.hooks import (
    Hook,
    Hooks,
    Keyframe,
    Keyframes,
    LoraSource,
    ModelSource,
    Strengths,
    interpolated,
    keyframes_of,
    with_default,
    with_hooks,
    with_properties,
)
from engine.diffusion.journal import MemoryJournal
from engine.diffusion.lora import AdapterError, apply_lora
from engine.diffusion.merging import merge_models, weighted
from engine.diffusion.model import Model
from engine.diffusion.parts import Part
from engine.diffusion.residency import Residency
from engine.diffusion.sampling import RandomNoise, named_sampler, sample, schedule
from engine.diffusion.timeline import Point, Ramp, Segment, Timeline, sample_timeline
from tests.diffusion.demo import CHECKPOINT, demo_model, empty, prompt

A, B = prompt(1), prompt(2)
X = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(3)) * 2


@cache
def lora(seed: int = 0) -> dict[str, Tensor]:
    """A LoRA of every attention projection of the demo model, strong enough to be seen."""
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, Tensor] = {}
    for row in demo_model().part.keymap:
        if ".attn" in row.target and row.target.endswith(("to_q.weight", "to_v.weight")):
            out, into = row.view(demo_model().part.stored[row.source]).shape
            name = "lora_unet_" + row.target.removesuffix(".weight").replace(".", "_")
            tensors[f"{name}.lora_up.weight"] = torch.randn(out, 4, generator=generator) * 0.2
            tensors[f"{name}.lora_down.weight"] = torch.randn(4, into, generator=generator) * 0.2
    return tensors


@cache
def source(seed: int = 0) -> LoraSource:
    return LoraSource(lora(seed))


def hooks(strength: float = 1.0, seed: int = 0, keyframes: Keyframes | None = None) -> Hooks:
    return Hooks((Hook(source(seed), strength, 0.0, keyframes or Keyframes()),))


def plain(strength: float = 1.0, seed: int = 0) -> Model:
    model = apply_lora(demo_model(), None, lora(seed), strength, 0.0)[0]
    assert model is not None
    return model


def run(model: Model, positive: Any, negative: Any = B, cfg: float = 3.0, steps: int = 4, **more: Any) -> Tensor:
    sigmas = schedule(model, "normal", steps)
    guider = cfg_guider(model, positive, negative, cfg)
    return sample(guider, RandomNoise(5), named_sampler("euler"), sigmas, empty(), **more)[0]["samples"]


@torch.no_grad()
def denoised(positive: Any, model: Model | None = None, sigma: float = 2.0) -> Tensor:
    guider = basic_guider(model or demo_model(), positive)
    with ExitStack() as stack:
        return Guided.start(guider, guider.open(stack), X, None, None)(X, torch.tensor(sigma))


def test_a_constant_hook_on_every_prompt_is_the_lora() -> None:
    same = hooks(0.8)
    hooked = run(demo_model(), with_hooks(A, same), with_hooks(B, same))
    assert torch.equal(hooked, run(plain(0.8), A, B))
    assert not torch.allclose(hooked, run(demo_model(), A, B), atol=1e-2)


def test_a_hook_of_strength_0_is_none() -> None:
    never = Keyframes().having(Keyframe(0.0, 0.0))
    expected = run(demo_model(), A, B)
    none = hooks(0.0)
    assert torch.equal(run(demo_model(), with_hooks(A, none), with_hooks(B, none)), expected)
    assert torch.allclose(run(demo_model(), with_hooks(A, none), B), expected, atol=1e-3)
    assert torch.allclose(run(demo_model(), with_hooks(A, hooks(1.0, keyframes=never)), B), expected, atol=1e-3)


def test_prompts_with_different_hooks_are_mixed_by_the_rule() -> None:
    first, second = with_hooks(A, hooks(1.0, 0)), with_hooks(B, hooks(-0.7, 1))
    mask = torch.zeros(1, 16, 16)
    mask[..., :8] = 1.0
    left = with_properties(first, 1.0, "default", mask)
    right = with_properties(second, 1.0, "default", 1.0 - mask)
    one, other = denoised(A, plain(1.0, 0)), denoised(B, plain(-0.7, 1))
    assert torch.allclose(denoised(conditioning.combine(first, second)), (one + other) / 2, atol=1e-4)
    expected = torch.cat([one[..., :8], other[..., 8:]], dim=-1)
    assert torch.allclose(denoised(conditioning.combine(left, right)), expected, atol=1e-4)


def test_a_default_takes_the_rest_with_its_own_hooks() -> None:
    mask = torch.zeros(1, 16, 16)
    mask[..., :8] = 1.0
    combined = with_default(with_properties(A, 1.0, "default", mask), B, hooks(1.0))
    expected = torch.cat([denoised(A)[..., :8], denoised(B, plain(1.0))[..., 8:]], dim=-1)
    assert torch.allclose(denoised(combined), expected, atol=1e-4)


def test_two_hooks_on_one_prompt_are_both_loras() -> None:
    both = hooks(1.0, 0).and_(hooks(-0.5, 1))
    model = apply_lora(plain(1.0, 0), None, lora(1), -0.5, 0.0)[0]
    assert torch.allclose(denoised(with_hooks(with_hooks(A, hooks(1.0, 0)), hooks(-0.5, 1))), denoised(A, model), atol=1e-4)
    assert len(both.and_(both).hooks) == 2


def test_keyframes_change_the_strength_at_their_share_of_the_run() -> None:
    """Half of the schedule with the LoRA and half without is two runs, one after the other."""
    half = Keyframes().having(Keyframe(0.0, 1.0), Keyframe(0.5, 0.0))
    model, hooked = demo_model(), plain(1.0)
    sigmas = schedule(model, "normal", 6)
    seam = next(i for i, sigma in enumerate(sigmas) if float(sigma) <= model.sampling.percent_to_sigma(0.5))
    sampler = named_sampler("euler")
    first = sample(basic_guider(hooked, A), RandomNoise(5), sampler, sigmas[: seam + 1], empty())[0]
    from engine.diffusion.sampling import NoNoise

    expected = sample(basic_guider(model, A), NoNoise(0), sampler, sigmas[seam:], first)[0]["samples"]
    scheduled = with_hooks(A, hooks(1.0, keyframes=half))
    whole = sample(basic_guider(model, scheduled), RandomNoise(5), sampler, sigmas, empty())[0]["samples"]
    assert torch.allclose(whole, expected, atol=1e-3)
    assert not torch.allclose(whole, run(model, A, steps=6, cfg=1.0), atol=1e-2)


def test_a_due_keyframe_waits_until_the_one_before_has_had_its_step() -> None:
    frames = Keyframes().having(Keyframe(0.0, 1.0), Keyframe(0.1, 2.0), Keyframe(0.2, 3.0), Keyframe(0.9, 4.0))
    one = Hooks((Hook(source(), 1.0, 0.0, frames),))
    strengths = Strengths(lambda percent: 10 * (1 - percent), 10.0)
    assert [strengths.at(one, sigma)[0] for sigma in (10.0, 5.0, 5.0, 4.0, 3.0, 0.9, 0.5)] == [1, 2, 2, 3, 3, 4, 4]


def test_keyframes_without_a_sure_step_are_passed_over() -> None:
    ramp = Keyframes().having(*keyframes_of([0.0, 0.25, 0.5, 0.75, 1.0], 0.0, 1.0))
    one = Hooks((Hook(source(), 1.0, 0.0, ramp),))
    strengths = Strengths(lambda percent: 10 * (1 - percent), 10.0)
    assert [strengths.at(one, sigma)[0] for sigma in (10.0, 5.0, 2.4)] == [0.0, 0.5, 0.75]


def test_before_its_first_keyframe_a_hook_has_that_one_s_strength() -> None:
    late = Keyframes().having(Keyframe(0.6, 0.3))
    assert Strengths(lambda p: 1 - p, 1.0).at(Hooks((Hook(source(), keyframes=late),)), 1.0) == (0.3,)


@pytest.mark.parametrize("how", ["linear", "ease_in", "ease_out", "ease_in_out"])
def test_interpolation_reaches_both_ends_and_never_turns_back(how: Any) -> None:
    values = interpolated(2.0, 0.5, 7, how)
    assert values[0] == 2.0
    assert values[-1] == pytest.approx(0.5)
    assert values == sorted(values, reverse=True)
    middle = {"linear": 1.25, "ease_in": 2.0 - 1.5 * 0.25, "ease_out": 2.0 - 1.5 * 0.75, "ease_in_out": 1.25}
    assert values[3] == pytest.approx(middle[how])


def other_model() -> Model:
    """The demo model with other weights in its attention."""
    part = demo_model().part
    stored = {name: t.float() * 1.3 if ".attn" in name else t for name, t in part.stored.items()}
    return replace(demo_model(), part=Part(part.role, part.build, part.keymap, stored))


def test_a_model_as_a_hook_at_strength_1_is_that_model_and_halfway_is_their_mean() -> None:
    other = other_model()
    hook = Hook(ModelSource((other.part,)))
    assert torch.allclose(denoised(with_hooks(A, Hooks((hook,)))), denoised(A, other), atol=1e-4)
    recipe = weighted(0.5)
    assert recipe is not None
    mean = merge_models(lambda name: recipe, demo_model(), other)
    assert torch.allclose(denoised(with_hooks(A, Hooks((replace(hook, strength_model=0.5),)))), denoised(A, mean), atol=1e-4)


def test_a_model_as_a_hook_goes_by_the_weights_before_any_lora() -> None:
    """W + L + (W' - W): the hook does not undo a LoRA on the model."""
    other = other_model()
    hooked = denoised(with_hooks(A, Hooks((Hook(ModelSource((other.part,))),))), plain(0.5))
    expected = apply_lora(other, None, lora(), 0.5, 0.0)[0]
    assert torch.allclose(hooked, denoised(A, expected), atol=1e-4)


def test_hooks_leave_the_model_s_own_weights_alone() -> None:
    before = {name: weight.clone() for name, weight in demo_model().network().state_dict().items()}
    run(demo_model(), with_hooks(A, hooks(1.0)), with_hooks(B, hooks(2.0, 1)), steps=2)
    after = demo_model().network().state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_edits_are_on_the_hooked_network_too() -> None:
    from engine.diffusion.edits.attention import identity, multiply

    model = demo_model().with_edit(multiply("attn1", out=0.5))
    assert torch.allclose(
        denoised(with_hooks(A, hooks(1.0)), model), denoised(A, plain(1.0).with_edit(multiply("attn1", out=0.5))), atol=1e-4
    )
    guided = demo_model().with_after(perturbed(2.0, identity()))
    assert torch.allclose(
        denoised(with_hooks(A, hooks(1.0)), guided), denoised(A, plain(1.0).with_after(perturbed(2.0, identity()))), atol=1e-4
    )


def test_a_run_with_keyframes_resumes_in_the_same_bits() -> None:
    ramp = Keyframes().having(*keyframes_of([1.0, 0.2, 0.8], 0.0, 0.8))
    positive, journal = with_hooks(A, hooks(1.0, keyframes=ramp)), MemoryJournal()
    whole = run(demo_model(), positive, journal=journal)
    journal.entries = {i: tensors for i, tensors in journal.entries.items() if i < 2}
    assert torch.equal(run(demo_model(), positive, journal=journal), whole)


def test_along_a_timeline_hooks_are_as_without_and_go_with_its_ramps() -> None:
    """A seam between equals is none, keyframes wait across it; a LoRA that the timeline ramps is under the hook."""
    ramp = Keyframes().having(*keyframes_of([1.0, 0.2, 0.8], 0.0, 0.8), Keyframe(0.05, 0.5))
    hooked = with_hooks(A, hooks(1.0, keyframes=ramp))
    model, sampler, sigmas = demo_model(), named_sampler("euler"), schedule(demo_model(), "normal", 5)
    split = Timeline((Segment(model, 3.0), Segment(model, 3.0, Point(2, "step"))))
    done = sample_timeline(split, hooked, B, RandomNoise(5), sampler, sigmas, empty())[0]["samples"]
    assert torch.equal(done, run(model, hooked, steps=5))
    [adapter] = source(1).adapters([model.part])
    ramped = Timeline((Segment(model, 3.0),), (Ramp(adapter, ((Point(0.0, "percent"), -0.5),)),))
    constant = with_hooks(A, hooks(1.0))
    done = sample_timeline(ramped, constant, B, RandomNoise(5), sampler, sigmas, empty())[0]["samples"]
    assert torch.allclose(done, run(plain(-0.5, 1), constant, steps=5), atol=1e-3)


def test_a_lora_of_another_base_says_so() -> None:
    wrong = Hooks((Hook(LoraSource({"lora_unet_nothing.lora_up.weight": torch.zeros(2, 2)})),))
    with pytest.raises(AdapterError, match="nothing in this LoRA fits"):
        denoised(with_hooks(A, wrong))


def test_a_lora_for_the_text_alone_changes_no_picture() -> None:
    text = Hooks((Hook(LoraSource({"lora_te_text_model_encoder.lora_up.weight": torch.zeros(2, 2)})),))
    assert torch.allclose(denoised(with_hooks(A, text)), denoised(A), atol=1e-5)


def test_text_is_read_with_hooks_and_a_schedule_makes_an_entry_for_each_stretch(tmp_path: Any) -> None:
    loaded = load_checkpoint(CHECKPOINT, Residency("cpu"))
    clip = loaded.clip
    assert clip is not None
    generator, tensors = torch.Generator().manual_seed(2), {}
    for row in clip.parts[0].keymap:
        if row.target.endswith("q_proj.weight"):
            out, into = row.view(clip.parts[0].stored[row.source]).shape
            name = "lora_te_text_model_" + row.target.removeprefix("text_model.").removesuffix(".weight").replace(".", "_")
            tensors[f"{name}.lora_up.weight"] = torch.randn(out, 2, generator=generator)
            tensors[f"{name}.lora_down.weight"] = torch.randn(2, into, generator=generator)
    save_file(tensors, tmp_path / "text.safetensors")
    _, adapted = apply_lora(None, clip, tensors, 0.0, 1.0)
    assert adapted is not None
    expected, without = adapted.encode("a red boat")[0][0], clip.encode("a red boat")[0][0]
    assert not torch.allclose(expected, without, atol=1e-3)
    hook = Hook(LoraSource(tensors), 1.0, 1.0)
    one = Hooks((hook,))
    [[read, options]] = clip.with_hooks(one).encode("a red boat")
    assert torch.equal(read, expected)
    assert options["hooks"] == one
    assert "hooks" not in clip.with_hooks(one, on_conds=False).encode("a red boat")[0][1]
    halves = one.with_keyframes(Keyframes().having(Keyframe(0.0, 1.0), Keyframe(0.4, 0.0)))
    first, second = clip.with_hooks(halves, scheduled=True).encode("a red boat")
    assert torch.equal(first[0], expected)
    assert torch.equal(second[0], without)
    assert [(e[1]["clip_start_percent"], e[1]["clip_end_percent"]) for e in (first, second)] == [(0.0, 0.4), (0.4, 1.0)]
    assert torch.equal(clip.with_hooks(halves).encode("a red boat")[0][0], expected)
