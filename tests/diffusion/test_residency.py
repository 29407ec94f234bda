"""What is kept, what is shared and what has to go."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from engine.diffusion.containers import read_tensors
from engine.diffusion.parts import Part, working_dtype
from engine.diffusion.patches import Adapter, Difference, Patch
from engine.diffusion.precision import best_device, cpu_has_bfloat16, precision, return_pages
from engine.diffusion.residency import Residency
from tests.diffusion.demo import demo_model


def part() -> Part:
    """The demo denoiser as a part of its own, so that no other test's residency knows it."""
    original = demo_model().part
    return Part("denoiser", original.build, original.keymap, original.stored)


def test_the_same_part_is_placed_once() -> None:
    place, ours = Residency("cpu"), part()
    assert place(ours) is place(ours)
    assert [line.role for line in place.resident()] == ["denoiser"]


def test_a_patch_of_strength_zero_or_for_another_part_is_no_patch() -> None:
    place, ours = Residency("cpu"), part()
    nothing = Patch(Adapter("denoiser", {"conv_in.bias": (Difference(torch.ones(64)),)}), 0.0)
    elsewhere = Patch(Adapter("clip_l", {"conv_in.bias": (Difference(torch.ones(64)),)}), 1.0)
    assert place(ours, (nothing, elsewhere)) is place(ours)


def test_weights_are_cast_once_and_computed_from_the_file_s() -> None:
    place, ours = Residency("cpu"), part()
    half = place(ours, dtype=torch.float16)
    whole = place(ours)
    assert next(half.parameters()).dtype == torch.float16
    assert next(whole.parameters()).dtype == torch.float32
    name = "time_embedding.linear_1.weight"
    stored = ours.weights()[name]
    assert stored.dtype == torch.float16
    assert half.get_parameter(name).data_ptr() == stored.data_ptr()
    assert torch.equal(whole.get_parameter(name), stored.float())


def test_weights_of_inference_mode_serve_networks_made_outside() -> None:
    """A server works in that mode; what a pack starts in a thread of its own does not, and shares the weights."""
    ours, change = part(), Difference(torch.ones(64))
    with torch.inference_mode():
        ours = Part("denoiser", ours.build, ours.keymap, {name: weight.float() for name, weight in ours.stored.items()})
        place = Residency("cpu")
        shared = place(ours)
    for network in (place(ours, (Patch(Adapter("denoiser", {"conv_in.bias": (change,)})),)), ours.module()):
        assert network is not shared
        assert network.get_parameter("conv_out.bias").data_ptr() == shared.get_parameter("conv_out.bias").data_ptr()


def test_a_large_network_keeps_its_matrices_as_stored_and_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """From half a gigabyte on; here from nothing on, with matrices of any size."""
    x, t, context = torch.randn(2, 4, 16, 16), torch.tensor([500.0, 500.0]), torch.randn(2, 77, 128)
    ours = part()
    with torch.no_grad():
        expected = Residency("cpu")(ours)(x, t, context).sample
    monkeypatch.setattr("engine.diffusion.precision.LARGE_FROM", 0)
    monkeypatch.setattr("engine.diffusion.residency.NARROW_NUMBERS", 0)
    place = Residency("cpu", dtype=torch.float32)
    network = place(ours)
    assert network.get_submodule("mid_block.resnets.0.conv1").get_parameter("weight").dtype == torch.float16
    assert working_dtype(network) == torch.float32
    with torch.no_grad():
        assert torch.allclose(network(x, t, context).sample, expected, atol=1e-5)
    assert place.nbytes < Residency("cpu").plan(demo_model().part, dtype=torch.float64).nbytes / 100


def test_in_bfloat16_a_network_says_nearly_the_same() -> None:
    x, t, context = torch.randn(2, 4, 16, 16), torch.tensor([500.0, 500.0]), torch.randn(2, 77, 128)
    ours = part()
    with torch.no_grad():
        expected = Residency("cpu")(ours)(x, t, context).sample
        half = Residency("cpu", dtype=torch.bfloat16)(ours)
        found = half(x.bfloat16(), t, context.bfloat16()).sample.float()
    assert working_dtype(half) == torch.bfloat16
    assert (found - expected).norm() < 0.03 * expected.norm()


def test_a_short_budget_sends_away_what_was_used_longest_ago() -> None:
    first, second, third = part(), part(), part()
    needed = Residency("cpu").plan(first).nbytes
    place = Residency("cpu", budget=int(needed * 2.5))
    place(first), place(second)
    place(first)
    plan = place.plan(third)
    assert (plan.nbytes, plan.evicts, plan.fits) == (needed, ("denoiser",), True)
    module = place(first)
    place(third)
    assert len(place.resident()) == 2
    assert place(first) is module
    assert place.nbytes <= needed * 2.5


def test_a_plan_says_when_it_cannot_fit() -> None:
    place = Residency("cpu", budget=1000)
    assert not place.plan(part()).fits


def test_a_plan_moves_nothing() -> None:
    place = Residency("cpu")
    place.plan(part())
    assert place.resident() == []


def test_free_lets_go_of_everything_or_of_one_role() -> None:
    place, ours = Residency("cpu"), part()
    place(ours)
    place.free("vae")
    assert len(place.resident()) == 1
    place.free()
    assert place.resident() == []
    assert place.nbytes == 0


def test_on_the_cpu_text_encoders_and_small_networks_stay_in_float32() -> None:
    cpu = torch.device("cpu")
    assert precision("clip_l", cpu).dtype == torch.float32
    assert precision("denoiser", cpu, dtype=torch.float16).dtype == torch.float16
    for role in ("denoiser", "vae", "control"):
        assert precision(role, cpu, nbytes=30 << 20).dtype == torch.float32
        large = torch.bfloat16 if cpu_has_bfloat16() else torch.float32
        assert precision(role, cpu, nbytes=1 << 30).dtype == large
    assert best_device().type in ("cpu", "cuda", "mps")


def test_pages_of_a_file_that_were_given_back_are_read_again(tmp_path: Path) -> None:
    """And what lies in no file is left alone."""
    numbers = {"x": torch.arange(1 << 20, dtype=torch.float32)}
    save_file(numbers, tmp_path / "x.safetensors")
    mapped, elsewhere = read_tensors(tmp_path / "x.safetensors").tensors["x"], numbers["x"].clone()
    return_pages([mapped, elsewhere, torch.empty(0)])
    assert torch.equal(mapped, numbers["x"])
    assert torch.equal(elsewhere, numbers["x"])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_a_file_whose_weights_were_cast_need_not_be_in_memory_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.diffusion.residency.COPIED_BYTES", 1 << 20)
    ours = part()
    stored = sum(weight.nbytes for weight in ours.stored.values())
    for weight in ours.stored.values():
        weight.sum()
    before = _kilobytes_of_files()
    Residency("cpu")(ours)
    assert before - _kilobytes_of_files() > 0.5 * stored / 1024


def _kilobytes_of_files() -> int:
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["RssFile"].split()[0])
