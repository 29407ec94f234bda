"""Operations on conditioning: each gives a new value and leaves the old one alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from engine.diffusion import conditioning as c


def make(seed: int, tokens: int = 77, pooled: bool = True) -> list[list[Any]]:
    generator = torch.Generator().manual_seed(seed)
    options = {"pooled_output": torch.randn(1, 4, generator=generator)} if pooled else {}
    return [[torch.randn(1, tokens, 8, generator=generator), options]]


@pytest.mark.parametrize(
    "operation",
    [
        lambda a, b: c.combine(a, b),
        lambda a, b: c.average(a, b, 0.3),
        lambda a, b: c.concat(a, b),
        lambda a, b: c.set_area(a, 64, 64, 0, 0, 1.0),
        lambda a, b: c.set_mask(a, torch.ones(8, 8), "default", 1.0),
        lambda a, b: c.set_timestep_range(a, 0.1, 0.9),
        lambda a, b: c.zero_out(a),
        lambda a, b: c.set_default(a, b),
        lambda a, b: c.set_control(a, object()),
    ],
)
def test_the_inputs_are_left_alone(operation: Any) -> None:
    a, b = make(1), make(2)
    before = copy.deepcopy((a, b))
    operation(a, b)
    for old, new in zip(before, (a, b), strict=True):
        assert torch.equal(old[0][0], new[0][0])
        assert old[0][1].keys() == new[0][1].keys()
        assert torch.equal(old[0][1]["pooled_output"], new[0][1]["pooled_output"])


def test_average_mixes_embeddings_and_pooled_outputs() -> None:
    a, b = make(1), make(2)
    (embedding, options), = c.average(a, b, 0.25)
    assert torch.allclose(embedding, 0.25 * a[0][0] + 0.75 * b[0][0])
    assert torch.allclose(options["pooled_output"], 0.25 * a[0][1]["pooled_output"] + 0.75 * b[0][1]["pooled_output"])
    assert torch.equal(c.average(a, b, 1.0)[0][0], a[0][0])


def test_average_fits_the_source_to_the_target_s_length() -> None:
    short, long = make(1), make(2, tokens=154)
    assert torch.allclose(c.average(short, long, 0.5)[0][0], (short[0][0] + long[0][0][:, :77]) / 2)
    padded = c.average(long, short, 0.5)[0][0]
    assert torch.allclose(padded[:, 77:], long[0][0][:, 77:] / 2)


def test_average_without_a_pooled_output_takes_the_other_s() -> None:
    a, b = make(1, pooled=False), make(2)
    assert torch.equal(c.average(a, b, 0.5)[0][1]["pooled_output"], b[0][1]["pooled_output"])
    assert "pooled_output" in c.average(b, a, 0.5)[0][1]


def test_concat_lengthens_every_entry_by_the_source_s_first() -> None:
    two = c.concat(c.combine(make(1), make(2)), make(3))
    assert [entry[0].shape[1] for entry in two] == [154, 154]
    assert torch.equal(two[1][0][:, 77:], make(3)[0][0])


def test_areas_are_kept_in_cells_or_shares() -> None:
    assert c.set_area(make(1), 512, 256, 64, 128, 0.5)[0][1]["area"] == (32, 64, 16, 8)
    assert c.set_area_percentage(make(1), 0.5, 0.25, 0.1, 0.2, 1.0)[0][1]["area"] == ("percentage", 0.25, 0.5, 0.2, 0.1)
    video = c.set_area_percentage_video(make(1), 0.5, 0.25, 1.0, 0.1, 0.2, 0.0, 1.0)
    assert video[0][1]["area"] == ("percentage", 1.0, 0.25, 0.5, 0.0, 0.2, 0.1)


def test_a_flat_mask_gets_a_batch_dimension() -> None:
    assert c.set_mask(make(1), torch.ones(8, 8), "default", 1.0)[0][1]["mask"].shape == (1, 8, 8)
    assert c.set_mask(make(1), torch.ones(8, 8), "mask bounds", 1.0)[0][1]["set_area_to_bounds"]


def test_zero_out_blanks_embedding_and_pooled_output() -> None:
    (embedding, options), = c.zero_out(make(1))
    assert not embedding.any()
    assert not options["pooled_output"].any()


def test_controls_chain_and_are_shared_between_entries() -> None:
    class Fake:
        def __init__(self, previous: Any = None) -> None:
            self.previous = previous

        def after(self, previous: Any) -> Fake:
            return Fake(previous)

    once = c.set_control(c.combine(make(1), make(2)), first := Fake())
    twice = c.set_control(once, Fake())
    assert twice[0][1]["control"].previous is first
    assert twice[0][1]["control"] is twice[1][1]["control"]


def test_inpaint_greys_the_masked_part_and_cuts_to_eights() -> None:
    pixels, mask = torch.rand(1, 70, 83, 3), torch.zeros(1, 70, 83)
    mask[:, 20:40, 20:40] = 1
    seen: list[torch.Tensor] = []

    def encode(image: torch.Tensor) -> torch.Tensor:
        seen.append(image)
        return torch.zeros(1, 4, image.shape[1] // 8, image.shape[2] // 8)

    positive, negative, latent = c.inpaint(make(1), make(2), pixels, mask, encode, noise_mask=True)
    greyed, whole = seen
    assert greyed.shape == whole.shape == (1, 64, 80, 3)
    assert torch.allclose(greyed[:, 25, 25], torch.tensor(0.5))
    assert torch.equal(greyed[:, 0, 0], pixels[:, 3, 1])
    assert latent["noise_mask"].shape == (1, 1, 64, 80)
    assert positive[0][1]["concat_mask"] is negative[0][1]["concat_mask"]
