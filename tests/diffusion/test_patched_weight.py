"""Large weights are patched at their first use: nothing before, once, and what comes out is what the rounded weights say."""

from __future__ import annotations

import copy
import gc
import io
import threading
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from engine.diffusion.containers.blocks import KINDS
from engine.diffusion.containers.packed import Packed
from engine.diffusion.hooks import Hook, Hooks, Keyframes, LoraSource, keyframes_of, with_hooks
from engine.diffusion.parts import Part
from engine.diffusion.patched_weight import PatchedWeight, Work, computed
from engine.diffusion.patches import Adapter, Delta, Difference, Hadamard, LowRank, Patch, patched, rounded
from engine.diffusion.residency import Residency
from engine.diffusion.sampling import RandomNoise, named_sampler, schedule
from engine.diffusion.saving import Piece
from engine.diffusion.timeline import Point, Ramp, Segment, Timeline, sample_timeline
from tests.diffusion.demo import demo_model, empty, prompt
from tests.diffusion.test_hooks import lora

KINDS_OF_DELTA = ("lora", "loha", "dora", "difference")


@pytest.fixture(autouse=True)
def _small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo network is treated as one of gigabytes, its matrices of any size as large ones."""
    monkeypatch.setattr("engine.diffusion.precision.LARGE_FROM", 0)
    monkeypatch.setattr("engine.diffusion.residency.NARROW_NUMBERS", 0)


def part(dtype: torch.dtype | None = None) -> Part:
    """The demo denoiser as a part of its own, in any type."""
    original = demo_model().part
    stored = {name: weight if dtype is None else weight.to(dtype) for name, weight in original.stored.items()}
    return Part("denoiser", original.build, original.keymap, stored)


def place_on_cpu() -> Residency:
    return Residency("cpu", dtype=torch.float32)


def adapter(
    ours: Part, endings: tuple[str, ...] = (".to_q.weight", ".conv1.weight", ".ff.net.2.weight"), seed: int = 0
) -> Adapter:
    """One delta of each kind in turn."""
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape: int) -> Tensor:
        return 0.1 * torch.randn(*shape, generator=generator)

    def delta(kind: str, weight: Tensor) -> Delta:
        outputs, inputs = weight.flatten(1).shape
        if kind == "difference":
            return Difference(rand(*weight.shape))
        up, down = rand(outputs, 4), rand(4, inputs)
        if kind == "loha":
            return Hadamard(up, down, rand(outputs, 4), rand(4, inputs))
        down = down.reshape(4, *weight.shape[1:])
        return LowRank(up, down, dora=rand(outputs, 1).abs() + 0.5 if kind == "dora" and weight.ndim == 2 else None)

    touched = [(name, weight) for name, weight in ours.weights().items() if name.endswith(endings)]
    kinds = [KINDS_OF_DELTA[i % 4] for i in range(len(touched))]
    return Adapter("denoiser", {name: (delta(kind, weight),) for kind, (name, weight) in zip(kinds, touched, strict=True)})


def pending(network: nn.Module) -> set[str]:
    return {name for name, weight in network.named_parameters() if isinstance(weight, PatchedWeight) and weight.work.pending}


@torch.inference_mode()
def output(network: nn.Module) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    x, context = (torch.randn(2, *shape, generator=generator) for shape in ((4, 32, 32), (77, 128)))
    found: Tensor = network(x, torch.tensor([900.0, 20.0]), context).sample
    return found


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_patched_late_or_early_a_network_says_the_same_bit_for_bit(dtype: torch.dtype) -> None:
    """Beside a file that holds the patched weights in its own type; nothing is computed by placing, everything by one call."""
    ours = part(dtype)
    changes = adapter(ours)
    rows = {row.target: row for row in ours.keymap}
    baked = dict(ours.stored)
    for target in changes.deltas:
        weight = ours.weights()[target]
        baked[rows[target].source] = patched(weight, [Patch(changes, 0.7)], target).to(dtype)
    expected = output(place_on_cpu()(Part("denoiser", ours.build, ours.keymap, baked)))
    network = place_on_cpu()(ours, (Patch(changes, 0.7),))
    assert pending(network) == set(changes.deltas)
    assert torch.equal(output(network), expected)
    assert not pending(network)
    for target in changes.deltas:
        assert network.get_parameter(target).dtype == dtype
        assert torch.equal(network.state_dict()[target] + 0, baked[rows[target].source])


def test_taking_a_lora_off_gives_the_very_weights_back() -> None:
    place, ours = place_on_cpu(), part()
    plain = place(ours)
    before, said = plain.state_dict(), output(plain)
    bits = {name: weight.clone() for name, weight in before.items()}
    changed = place(ours, (Patch(adapter(ours), 1.0),))
    assert not torch.equal(output(changed), said)
    assert place(ours) is plain
    assert all(plain.state_dict()[name].data_ptr() == before[name].data_ptr() for name in before)
    assert all(torch.equal(plain.state_dict()[name], bits[name]) for name in bits)
    assert torch.equal(output(plain), said)


@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float8_e4m3fn])
def test_memory_is_planned_before_and_taken_after_to_the_byte(dtype: torch.dtype | None) -> None:
    """What is still to be patched is counted as if it were; 16 bits a number, also for files of eight."""
    place, ours = place_on_cpu(), part(dtype)
    patches = (Patch(adapter(ours), 1.0),)
    place(ours)
    alone, planned = place.nbytes, place.plan(ours, patches).nbytes
    touched = sum(ours.weights()[name].numel() for name in patches[0].adapter.deltas)
    assert planned == 2 * touched
    network = place(ours, patches)
    assert place.nbytes == alone + planned
    network(torch.randn(1, 4, 8, 8), torch.tensor([500.0]), torch.randn(1, 77, 128))
    assert not pending(network)
    assert place.nbytes == alone + planned
    assert sum(network.get_parameter(name).untyped_storage().nbytes() for name in patches[0].adapter.deltas) == planned


def test_work_is_done_once_for_all_who_share_it_and_forgotten_with_the_last() -> None:
    place, ours = place_on_cpu(), part()
    first, second = adapter(ours, (".to_q.weight",)), adapter(ours, (".conv1.weight",))
    one, both = place(ours, (Patch(first),)), place(ours, (Patch(first), Patch(second)))
    assert pending(both) == set(first.deltas) | set(second.deltas)
    output(both)
    assert not pending(one)
    name = next(iter(first.deltas))
    assert one.get_parameter(name).data_ptr() == both.get_parameter(name).data_ptr()
    memory = weakref.ref(both.get_parameter(name).work)
    del one, both
    place.free()
    gc.collect()
    assert memory() is None


def test_strengths_of_a_moment_cost_nothing_until_used() -> None:
    place, ours = place_on_cpu(), part()
    changes = adapter(ours)
    place(ours)
    alone = place.nbytes
    passing = [place.once(ours, (Patch(changes, strength),)) for strength in (0.1, 0.2, 0.3)]
    assert all(pending(network) == set(changes.deltas) for network in passing)
    assert place.nbytes == alone
    kept = place(ours, (Patch(changes, 0.2),))
    assert torch.equal(output(passing[1]), output(kept))
    assert pending(passing[0])


def test_threads_that_come_together_wait_for_one_of_them() -> None:
    """Eight at once: one computes, all get the same whole tensor; and one that fails leaves it to the next."""
    calls, start = [], threading.Barrier(8)

    def do() -> Tensor:
        calls.append(threading.get_ident())
        if len(calls) == 1:
            raise MemoryError
        return torch.randn(256, 256) @ torch.randn(256, 256)

    work = Work(do)
    with pytest.raises(MemoryError):
        work.result()
    assert work.pending
    found: list[Tensor] = []

    def take() -> None:
        start.wait()
        found.append(work.result())

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 2
    assert len(found) == 8
    assert all(one is found[0] for one in found)


def test_two_threads_in_one_network_get_what_one_gets() -> None:
    ours = part()
    patches = (Patch(adapter(ours), 1.0),)
    expected, network = output(place_on_cpu()(ours, patches)), place_on_cpu()(ours, patches)
    found: list[Tensor] = []
    threads = [threading.Thread(target=lambda: found.append(output(network))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(one, expected) for one in found)


def test_strengths_that_change_at_each_step_give_the_bits_of_weights_patched_at_once() -> None:
    """A ramp and a hook with keyframes; also when all is let go of between steps, and in a server's thread before this one."""
    ours = part()
    changes = adapter(ours)
    hook = Hook(LoraSource(lora()), 1.0, 0.0, Keyframes().having(*keyframes_of([0.0, 0.2, 0.4, 0.6, 0.8], 0.2, 1.0)))
    ramp = Ramp(changes, ((Point(0, "percent"), 0.1), (Point(1, "percent"), 1.0)))

    def run(place: Residency, between: Callable[..., object] | None = None) -> Tensor:
        model = replace(demo_model(), part=ours, place=place)
        positive, sampler = with_hooks(prompt(1), Hooks((hook,))), named_sampler("euler")
        steps, timeline = schedule(model, "normal", 4), Timeline((Segment(model, 3.0),), (ramp,))
        done = sample_timeline(timeline, positive, prompt(2), RandomNoise(7), sampler, steps, empty(), report=between)
        return done[0]["samples"].clone()

    place, found = place_on_cpu(), []
    thread = threading.Thread(target=torch.inference_mode()(lambda: found.append(run(place))))
    thread.start()
    thread.join()
    expected = run(AtOnce("cpu", dtype=torch.float32))
    assert torch.equal(found[0], expected)
    assert torch.equal(run(place), expected)
    assert torch.equal(run(place, lambda *_: place.free()), expected)


class AtOnce(Residency):
    """One that does all work when it places, so that nothing is ever pending."""

    def __call__(self, *args: Any, **more: Any) -> nn.Module:
        return settled(super().__call__(*args, **more))

    def once(self, *args: Any, **more: Any) -> nn.Module:
        return settled(super().once(*args, **more))


def settled(network: nn.Module) -> nn.Module:
    for weight in network.parameters():
        computed(weight)
    return network


def test_packed_and_eight_bit_weights_are_patched_from_all_they_say() -> None:
    ours = part()
    changes = adapter(ours, (".ff.net.2.weight",))
    rows = {row.target: row for row in ours.keymap}
    kind = KINDS[8]
    packed = dict(ours.stored)
    for target in changes.deltas:
        weight = packed[rows[target].source]
        blocks = torch.randint(0, 60, (weight.numel() // kind.numbers * kind.nbytes,), dtype=torch.uint8)
        packed[rows[target].source] = Packed(blocks, kind, weight.shape)
    eight = {name: weight.to(torch.float8_e4m3fn) if weight.ndim > 1 else weight for name, weight in ours.stored.items()}
    for stored in (packed, eight):
        theirs = Part("denoiser", ours.build, ours.keymap, stored)
        network = place_on_cpu()(theirs, (Patch(changes, 0.5),))
        output(network)
        for target in changes.deltas:
            weight = theirs.weights()[target].to(torch.float32)
            assert torch.equal(network.get_parameter(target) + 0, patched(weight, [Patch(changes, 0.5)], target).half())


def test_copies_and_files_of_a_patched_network_are_plain() -> None:
    """As packs make them of what they are handed."""
    ours = part()
    changes = adapter(ours, (".to_q.weight",))
    network = place_on_cpu()(ours, (Patch(changes, 0.7),))
    name, *_ = changes.deltas
    copied, file = copy.deepcopy(network), io.BytesIO()
    assert type(copied.get_parameter(name)) is nn.Parameter
    copied.get_parameter(name).zero_()
    kept = network.get_parameter(name)
    assert kept.count_nonzero() > 0
    torch.save(network.state_dict(), file)
    file.seek(0)
    assert torch.equal(torch.load(file)[name], kept + 0)
    assert (kept.numpy() == (kept + 0).numpy()).all()


@pytest.mark.parametrize("block", [1, 100, 1000, 1 << 20])
def test_rows_at_a_time_are_all_rows(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are taken at once: but for the last bit, the order of a sum being the multiplier's."""
    monkeypatch.setattr("engine.diffusion.patches.BLOCK", block)
    for weight in (torch.randn(37, 24).half(), torch.randn(19, 8, 3, 3).bfloat16(), torch.randn(16, 50).to(torch.float8_e5m2)):
        before, inputs = weight.clone(), weight.shape[1:]
        factors = [(torch.randn(weight.shape[0], 2), torch.randn(2, *inputs)) for _ in range(3)]
        patches = [Patch(Adapter("denoiser", {"w": (LowRank(up, down, 1.0),)}), 0.3) for up, down in factors]
        found = rounded(weight, patches, "w", torch.float32, torch.float32)
        assert torch.allclose(found, patched(weight, patches, "w"), atol=1e-6)
        half = rounded(weight, patches, "w", torch.float32, torch.float16)
        assert torch.equal(half, found.half())
        assert torch.equal(weight.float(), before.float())


def test_saving_a_patched_model_rounds_once() -> None:
    """Also after its network was used: files are made from the file's weights, not from those that were kept."""
    ours = part(torch.float32)
    patches, rows = (Patch(adapter(ours), 0.7),), {row.source: row.target for row in ours.keymap}
    network = place_on_cpu()(ours, patches)
    output(network)
    piece = Piece("", ours, patches)
    for name, tensor in zip(piece.stored(), piece.tensors(), strict=True):
        if rows[name] in patches[0].adapter.deltas:
            assert torch.equal(tensor, patched(ours.weights()[rows[name]], patches, rows[name]))


def test_in_bfloat16_first_use_gives_what_patching_in_bfloat16_gives() -> None:
    ours = part()
    changes = adapter(ours)
    network = Residency("cpu", dtype=torch.bfloat16)(ours, (Patch(changes, 0.7),))
    assert pending(network) == set(changes.deltas)
    for target in changes.deltas:
        expected = patched(ours.weights()[target], [Patch(changes, 0.7)], target, torch.bfloat16).bfloat16()
        assert torch.equal(network.get_parameter(target) + 0, expected)
