"""The noise of a seed: the same everywhere and always, and of the right law."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.diffusion.noise import brownian, fresh, starting_noise

X = torch.zeros(2, 4, 64, 64)
HIGH, MIDDLE, LOW = torch.tensor(10.0), torch.tensor(4.0), torch.tensor(1.0)


def test_a_seed_means_the_global_generators_draw() -> None:
    torch.manual_seed(42)
    wanted = torch.randn(1, 4, 8, 8)
    assert torch.equal(starting_noise((1, 4, 8, 8), 42), wanted)
    assert not torch.equal(starting_noise((1, 4, 8, 8), 43), wanted)


def test_drawing_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    starting_noise((1, 4, 8, 8), 1)
    fresh(X, 1)(HIGH, LOW)
    brownian(X, 1.0, 10.0, 1)(HIGH, LOW)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_sample_of_a_batch_can_be_made_again_alone() -> None:
    batch = starting_noise((4, 4, 8, 8), 7, [0, 1, 2, 3])
    for k in range(4):
        assert torch.equal(starting_noise((1, 4, 8, 8), 7, [k]), batch[k : k + 1])


def test_equal_indices_get_equal_noise_in_any_order() -> None:
    found = starting_noise((3, 4, 8, 8), 7, [2, 0, 2])
    assert torch.equal(found[0], found[2])
    assert torch.equal(found[1:2], starting_noise((1, 4, 8, 8), 7))


def test_a_batch_index_must_fit_the_batch() -> None:
    with pytest.raises(ValueError, match="2 entries for a batch of 3"):
        starting_noise((3, 4, 8, 8), 7, [0, 1])


def test_fresh_noise_is_that_of_the_next_seed() -> None:
    """So that it does not repeat the starting noise."""
    noise = fresh(X, 7)
    assert torch.equal(noise(HIGH, LOW), starting_noise(X.shape, 8))
    assert not torch.equal(noise(HIGH, LOW), starting_noise(X.shape, 8))
    assert fresh(X.double(), 7)(HIGH, LOW).dtype == torch.float64


@pytest.mark.parametrize("seed", [0, 2**32, 2**63 + 5, 2**64 - 1])
def test_any_64_bit_seed_is_taken(seed: int) -> None:
    small = torch.zeros(1, 2)
    for noise in (fresh, lambda x, seed: brownian(x, 1.0, 10.0, seed)):
        assert torch.equal(noise(small, seed)(HIGH, LOW), noise(small, seed)(HIGH, LOW))
    assert starting_noise((1, 2), seed).isfinite().all()


def spread(noise: Tensor) -> float:
    return float(noise.std())


def test_brownian_noise_has_unit_variance_on_every_step() -> None:
    noise = brownian(X, 1.0, 10.0, 3)
    for start, end in ((HIGH, MIDDLE), (MIDDLE, LOW), (HIGH, LOW)):
        assert spread(noise(start, end)) == pytest.approx(1.0, abs=0.02)


def test_a_finer_schedule_refines_the_same_brownian_path() -> None:
    noise = brownian(X, 1.0, 10.0, 3)
    coarse = noise(HIGH, LOW) * 3.0
    fine = noise(HIGH, MIDDLE) * 6.0**0.5 + noise(MIDDLE, LOW) * 3.0**0.5
    assert torch.allclose(coarse, fine, atol=1e-5)
    assert torch.equal(noise(HIGH, LOW), -noise(LOW, HIGH))
    assert torch.equal(brownian(X, 1.0, 10.0, 3)(HIGH, LOW), noise(HIGH, LOW))
    assert not torch.equal(brownian(X, 1.0, 10.0, 4)(HIGH, LOW), noise(HIGH, LOW))


def test_steps_of_brownian_noise_are_independent() -> None:
    noise = brownian(X, 1.0, 10.0, 3)
    first, second = noise(HIGH, MIDDLE), noise(MIDDLE, LOW)
    assert abs(float((first * second).mean())) < 0.02


def test_a_brownian_path_that_is_never_asked_is_never_made() -> None:
    """A schedule of one step has sigma_min = sigma_max, an interval no path can be laid over."""
    brownian(X, 5.0, 5.0, 3)
