"""The meter against things whose diversity is known, and a report of the model that ships."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.diffusion.checkpoints import load_checkpoint, load_clip, load_clip_vision
from engine.diffusion.diversity import (
    bootstrap,
    bootstrap_ratio,
    cosine_kernel,
    detail,
    low_pass_distances,
    mean_pairwise,
    vae_features,
    variety,
    vendi,
)
from engine.diffusion.diversity_report import as_json, contact_sheet, numbers, page, plot, png, round_ticks, scatter
from engine.diffusion.diversity_run import Bench, Diversity, SeedsNoise, Setting, judged
from engine.diffusion.residency import Residency
from engine.diffusion.sampling import RandomNoise, named_sampler, schedule
from engine.diffusion.text.network import TextConfig
from engine.diffusion.timeline import Segment, Timeline
from engine.diffusion.vision.network import VisionConfig
from tests.diffusion import originals
from tests.diffusion.demo import CHECKPOINT, empty

CPU = Residency("cpu")


def test_the_published_sample() -> None:
    """vendi-score's own example: three pairs of numbers, exp(-distance)."""
    samples = torch.tensor([0.0, 0.0, 10.0, 10.0, 20.0, 20.0])
    assert vendi(torch.exp(-(samples[:, None] - samples[None]).abs())) == pytest.approx(2.9999, abs=1e-4)


@pytest.mark.parametrize("n", [1, 2, 7, 32])
def test_equal_things_are_one_and_orthogonal_ones_are_all(n: int) -> None:
    assert vendi(torch.ones(n, n)) == pytest.approx(1.0)
    assert vendi(torch.eye(n)) == pytest.approx(n)


def test_repeating_a_set_does_not_make_it_more_diverse() -> None:
    features = torch.randn(5, 40, generator=torch.Generator().manual_seed(1))
    once, thrice = cosine_kernel(features), cosine_kernel(features.repeat(3, 1))
    assert vendi(thrice) == pytest.approx(vendi(once), rel=1e-6)
    assert 1 < vendi(once) < 5


def test_groups_count_by_their_shares() -> None:
    """Two groups of 3 and 1: exp of the entropy of (3/4, 1/4)."""
    kernel = torch.block_diag(torch.ones(3, 3), torch.ones(1, 1))
    p = torch.tensor([0.75, 0.25])
    assert vendi(kernel) == pytest.approx(float(torch.exp(-(p * p.log()).sum())), rel=1e-6)


def test_distances_of_equal_things_are_0_and_the_diagonal_does_not_count() -> None:
    assert mean_pairwise(torch.zeros(4, 4)) == 0.0
    assert mean_pairwise(1 - torch.eye(4)) == 1.0
    assert mean_pairwise(torch.zeros(1, 1)) == 0.0


def test_black_and_white_are_as_far_as_layouts_can_be() -> None:
    images = torch.stack([torch.zeros(64, 64, 3), torch.ones(64, 64, 3)])
    assert float(low_pass_distances(images)[0, 1]) == pytest.approx(1.0)
    fine = torch.zeros(2, 64, 64, 3)
    fine[1, ::2] = 1.0
    fine[0] = 0.5
    assert float(low_pass_distances(fine)[0, 1]) == pytest.approx(0.0, abs=1e-6)


def test_flat_pictures_have_no_detail_and_stripes_have() -> None:
    flat, stripes = torch.full((2, 16, 16, 3), 0.4), torch.zeros(2, 16, 16, 3)
    stripes[:, ::2] = 1.0
    assert detail(flat) == pytest.approx(0.0, abs=1e-6)
    assert detail(stripes) > 0.3


def test_an_interval_holds_its_mean_and_narrows_with_more_prompts() -> None:
    few = bootstrap([1.0, 2.0, 3.0, 4.0])
    many = bootstrap([1.0, 2.0, 3.0, 4.0] * 25)
    assert few.low <= few.mean == 2.5 <= few.high
    assert many.high - many.low < (few.high - few.low) / 3
    assert bootstrap([2.0, 2.0]) == (2.0, 2.0, 2.0)
    assert bootstrap([1.0, 5.0, 2.0]) == bootstrap([1.0, 5.0, 2.0])


def test_half_of_everything_is_half_whatever_the_prompts() -> None:
    values = [1.0, 7.0, 3.0]
    assert bootstrap_ratio([v / 2 for v in values], values) == pytest.approx((0.5, 0.5, 0.5))


def test_a_batch_of_seeds_is_the_seeds_one_by_one() -> None:
    noise = SeedsNoise(40).generate_noise(empty(3))  # type: ignore[arg-type]
    for k in range(3):
        assert torch.equal(noise[k : k + 1], RandomNoise(40 + k).generate_noise(empty()))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def bench() -> Bench:
    checkpoint = load_checkpoint(CHECKPOINT, CPU)
    assert checkpoint.clip is not None
    assert checkpoint.vae is not None
    prompts = ("a cat on a blue background", "a car on a green background")
    return Bench(checkpoint.clip, checkpoint.vae, prompts, seeds=3, width=128, height=128, judge=checkpoint.model)


def setting(bench: Bench, name: str, cfg: float, steps: int) -> Setting:
    assert bench.judge is not None
    return Setting(name, Timeline((Segment(bench.judge, cfg),)), named_sampler("euler"), schedule(bench.judge, "normal", steps))


@pytest.fixture(scope="module")
def report(bench: Bench) -> Diversity:
    made = Diversity()
    for one in (setting(bench, "eight steps", 4.0, 8), setting(bench, "one step <&>", 1.0, 1)):
        made = made.with_setting(bench.prompts, bench.seeds, bench.measure(one))
    return made


def test_network_calls_are_counted_a_picture(report: Diversity) -> None:
    assert [measured.calls for measured in report.settings] == [16.0, 1.0]


def test_the_judge_finds_the_prompt_a_picture_shows(bench: Bench, report: Diversity) -> None:
    """Real pictures beat one-step blurs, and swapped prompts are seen through."""
    good, _ = (measured.fidelity for measured in report.settings)
    assert sum(good) / 2 > 0.8
    assert bench.judge is not None
    prompts = bench.clip.encode_many(list(bench.prompts))
    latents = [bench.vae.encode(images) for images in report.settings[0].images]
    assert sum(judged(bench.judge, latents, prompts)) / 2 > 0.8
    assert sum(judged(bench.judge, latents[::-1], prompts)) / 2 < 0.2


def test_pictures_that_are_the_same_have_no_variety(bench: Bench) -> None:
    same = torch.rand(1, 64, 64, 3).expand(3, -1, -1, -1)
    measured = variety(same, vae_features(bench.vae, same))
    assert measured == pytest.approx((1.0, 0.0, 0.0), abs=1e-5)
    other = torch.rand(3, 64, 64, 3)
    assert variety(other, vae_features(bench.vae, other)).vendi > 1.0


def test_features_have_length_1(bench: Bench) -> None:
    features: Tensor = vae_features(bench.vae, torch.rand(2, 64, 64, 3))
    assert torch.allclose(features.norm(dim=1), torch.ones(2), atol=1e-4)


def test_a_report_is_written_as_numbers_pictures_and_a_page(report: Diversity) -> None:
    data: dict[str, Any] = json.loads(as_json(report))
    assert data == numbers(report)
    assert data["settings"][0]["distance"]["of_first"]["mean"] == 1.0
    assert data["settings"][0]["vendi"]["low"] <= data["settings"][0]["vendi"]["mean"] <= data["settings"][0]["vendi"]["high"]
    assert contact_sheet(report).size == (12 + 2 * (3 * 96 + 12), 34 + 2 * 96 + 12)
    assert png(scatter(report)).startswith(b"\x89PNG")
    written = page(report)
    assert "one step &lt;&amp;&gt;" in written
    assert written.count("data:image/png;base64,") == 2
    assert written.count("<tr>") == 3
    assert data["settings"][1]["fidelity"]["minus_first"]["mean"] == pytest.approx(
        data["settings"][1]["fidelity"]["mean"] - data["settings"][0]["fidelity"]["mean"], abs=1e-4
    )


def test_equal_shares_do_not_fill_the_scatter() -> None:
    """All pictures right in all settings: their dots lie on the upper edge of a tenth."""
    whole = {"mean": 1.0, "low": 1.0, "high": 1.0}
    distances = [{"mean": k / 10, "low": k / 12, "high": k / 9} for k in (1, 2)]
    lines = [{"name": "one", "calls": 4.0, "distance": distance, "fidelity": whole} for distance in distances]
    picture = np.asarray(plot(lines)).astype(int)
    blue = (abs(picture - [0x93, 0xC5, 0xFD]).max(-1) < 4).nonzero()
    assert blue[0].min() == pytest.approx(40 - 6, abs=8)


@pytest.mark.parametrize(("low", "high"), [(0.17, 0.38), (0.06, 1.0), (4.0, 40.0), (1.0, 1.0), (0.0, 0.0), (3e-4, 2e4)])
def test_an_axis_holds_its_values_between_a_few_round_numbers(low: float, high: float) -> None:
    ticks = round_ticks(low, high)
    assert ticks[0] <= low + 1e-9
    assert ticks[-1] >= high - 1e-9
    assert 2 <= len(ticks) <= 7
    assert ticks == sorted(set(ticks))


def test_settings_of_other_prompts_do_not_belong(report: Diversity) -> None:
    with pytest.raises(ValueError, match="same"):
        report.with_setting(("a dog",), 3, report.settings[0])


def clip_file(path: Path, projection: int) -> Path:
    """Both halves of a tiny CLIP of random numbers, in one file."""
    text = TextConfig(width=64, layers=1, hidden=64, activation="quick_gelu", projection=projection)
    vision = VisionConfig(64, layers=1, hidden=64, heads=1, activation="quick_gelu", patch=14, size=28, projection=projection)
    save_file({**originals.filled(originals.tower(text)), **originals.filled(originals.image_tower(vision))}, path)
    return path


def test_a_clip_compares_pictures_with_their_prompts(bench: Bench, tmp_path: Path) -> None:
    """By both halves of one: the mean cosine, in the numbers and upwards in the scatter; halves of two do not belong."""
    whole, other = (clip_file(tmp_path / f"{n}.safetensors", n) for n in (32, 48))
    vision, text = load_clip_vision(whole), load_clip([whole], "stable_diffusion")
    seeing = replace(bench, judge=None, clip_vision=vision, clip_text=text, prompts=bench.prompts[:2])
    measured = seeing.measure(setting(bench, "one step", 1.0, 1))
    for images, prompt, cosine in zip(measured.images, bench.prompts, measured.clip_fidelity, strict=True):
        said = text.encode(prompt)[0][1]["pooled_output"][0]
        each = [vision.encode(images[k : k + 1]).image_embeds[0] for k in range(3)]
        assert cosine == pytest.approx(sum(float(one @ said / one.norm() / said.norm()) for one in each) / 3, abs=1e-4)
    report = Diversity().with_setting(bench.prompts, bench.seeds, measured)
    line = numbers(report)["settings"][0]
    assert line["clip_fidelity"]["prompts"] == list(measured.clip_fidelity)
    assert line["clip_distance"]["mean"] > 0
    assert "clip fidelity" in page(report)
    assert scatter(report).tobytes() != scatter(replace(report, settings=(replace(measured, clip_fidelity=()),))).tobytes()
    with pytest.raises(ValueError, match=r"48 numbers of a prompt, clip_vision 32 of a picture"):
        replace(seeing, clip_text=load_clip([other], "stable_diffusion")).measure(setting(bench, "one step", 1.0, 1))
