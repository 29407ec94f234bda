"""Whole sampling runs on the shipped denoiser: equal to diffusers, and lawful where a run is cut, masked or batched."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.diffusion.guidance import basic_guider, cfg_guider
from engine.diffusion.journal import FolderJournal, MemoryJournal
from engine.diffusion.model import differential
from engine.diffusion.patches import Adapter, Difference
from engine.diffusion.samplers import SAMPLERS
from engine.diffusion.sampling import NoNoise, RandomNoise, fit_mask, fitted, ksampler, named_sampler, sample, schedule
from tests.diffusion.demo import demo_model, empty, picture, prompt

POSITIVE, NEGATIVE = prompt(1), prompt(2)


def run(latent: dict[str, Any] | None = None, **options: Any) -> Tensor:
    """A short run with settings that each test changes one of."""
    settings: dict[str, Any] = {"seed": 7, "steps": 5, "cfg": 4.0, "sampler_name": "euler", "scheduler": "normal", **options}
    model = settings.pop("model", demo_model())
    positive, negative = settings.pop("positive", POSITIVE), settings.pop("negative", NEGATIVE)
    return ksampler(model, positive, negative, latent or empty(), **settings)["samples"]


@pytest.mark.parametrize(("cfg", "batch"), [(4.0, 1), (1.0, 2)])
def test_euler_equals_diffusers_pipeline_parts(cfg: float, batch: int) -> None:
    """diffusers' own network call and EulerDiscreteScheduler on the same sigmas and noise, over 10 steps.

    Both start at sqrt(1 + sigma_max^2) eps, as ComfyUI does at full denoise; with 10 steps all timesteps are whole numbers.
    """
    from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler

    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="linspace", steps_offset=0
    )
    scheduler.set_timesteps(10)
    model = demo_model()
    network = model.network()
    sigmas = scheduler.sigmas
    positive, negative = (c[0][0].expand(batch, -1, -1) for c in (POSITIVE, NEGATIVE))
    noise = RandomNoise(3).generate_noise(empty(batch))
    x = noise * (1 + sigmas[0] ** 2).sqrt()
    with torch.no_grad():
        for t in scheduler.timesteps:
            scaled = scheduler.scale_model_input(torch.cat([x, x]), t)
            out = network(scaled, t, encoder_hidden_states=torch.cat([negative, positive])).sample
            uncond, cond = out.chunk(2)
            x = scheduler.step(uncond + cfg * (cond - uncond), t, x).prev_sample
    ours, _ = sample(cfg_guider(model, POSITIVE, NEGATIVE, cfg), RandomNoise(3), named_sampler("euler"), sigmas, empty(batch))
    start = ours["samples"] * 0.18215
    assert torch.allclose(start, x, atol=1e-4), f"largest difference {(start - x).abs().max():.2e}"


@pytest.mark.parametrize("name", ["euler", "dpmpp_2m", "dpmpp_2m_sde", "euler_ancestral", "uni_pc", "lcm", "euler_cfg_pp"])
def test_a_seed_gives_the_same_bits_twice(name: str) -> None:
    assert torch.equal(run(sampler_name=name), run(sampler_name=name))


def test_every_sampler_draws_something_finite() -> None:
    for name in SAMPLERS:
        assert run(empty(size=8), sampler_name=name, steps=2, cfg=1.0).isfinite().all(), name


def test_at_cfg_1_the_negative_is_not_evaluated() -> None:
    """Two conditionings, one of them of a width the network would refuse."""
    broken = [[torch.zeros(1, 77, 5), {}]]
    assert run(cfg=1.0, negative=broken, steps=2).isfinite().all()
    with pytest.raises(ValueError, match="5 numbers wide"):
        run(cfg=2.0, negative=broken, steps=2)


def test_cfg_1_equals_no_guidance() -> None:
    sigmas = schedule(demo_model(), "normal", 5)
    alone, _ = sample(basic_guider(demo_model(), POSITIVE), RandomNoise(7), named_sampler("euler"), sigmas, empty())
    assert torch.equal(run(cfg=1.0), alone["samples"])


@pytest.mark.parametrize("scheduler", ["normal", "karras"])
def test_a_run_split_in_two_equals_the_whole(scheduler: str) -> None:
    """KSamplerAdvanced twice: leftover noise kept, none added."""
    first = {"samples": run(scheduler=scheduler, start_step=0, last_step=2, leftover_noise=True)}
    second = run(first, scheduler=scheduler, add_noise=False, start_step=2, last_step=10_000, leftover_noise=False)
    assert torch.allclose(second, run(scheduler=scheduler), atol=1e-4)


def test_without_leftover_noise_an_early_end_is_clean() -> None:
    sigmas = schedule(demo_model(), "normal", 5)[:3].clone()
    sigmas[-1] = 0
    guider = cfg_guider(demo_model(), POSITIVE, NEGATIVE, 4.0)
    expected, _ = sample(guider, RandomNoise(7), named_sampler("euler"), sigmas, empty())
    assert torch.equal(run(start_step=0, last_step=2, leftover_noise=False), expected["samples"])


def test_a_start_beyond_the_end_changes_nothing() -> None:
    latent = picture(4)
    assert torch.equal(run(latent, start_step=5, last_step=10_000), latent["samples"])
    assert torch.equal(run(latent, denoise=0.0), latent["samples"])


def test_denoise_half_walks_the_end_of_a_schedule_twice_as_long() -> None:
    model, latent = demo_model(), picture(4)
    sigmas = schedule(model, "normal", 10)[-6:]
    expected, _ = sample(cfg_guider(model, POSITIVE, NEGATIVE, 4.0), RandomNoise(7), named_sampler("euler"), sigmas, latent)
    assert torch.equal(run(latent, denoise=0.5), expected["samples"])


def test_dpm_2_and_uni_pc_leave_out_the_penultimate_sigma() -> None:
    seen: list[int] = []
    run(sampler_name="dpm_2", steps=4, report=lambda done, total, draw: seen.append(total))
    assert seen[-1] == 4


def test_batch_index_picks_pictures_of_a_larger_batch() -> None:
    """Picture 2 of a batch of 3 made alone; noise is drawn one picture after the other."""
    noise = RandomNoise(11)
    three = noise.generate_noise({**empty(3), "batch_index": [0, 1, 2]})
    alone = noise.generate_noise({**empty(1), "batch_index": [2]})
    assert torch.equal(three[2:], alone)
    whole = run({**empty(3), "batch_index": [0, 1, 2]})
    single = run({**empty(1), "batch_index": [2]})
    assert torch.allclose(whole[2:], single, atol=2e-5 * float(whole.abs().max()))


@pytest.mark.parametrize("name", ["euler", "ddim", "dpmpp_2m_sde"])
def test_where_the_noise_mask_is_0_the_picture_stays(name: str) -> None:
    latent = picture(5)
    mask = torch.zeros(1, 128, 128)
    mask[:, :, 64:] = 1
    result = run({**latent, "noise_mask": mask}, sampler_name=name)
    kept = latent["samples"][..., :7]
    assert torch.allclose(result[..., :7], kept, atol=1e-4)
    assert (result[..., 9:] - latent["samples"][..., 9:]).abs().mean() > 0.5


def test_ddim_noises_the_kept_part_otherwise_than_euler() -> None:
    latent = {**picture(5), "noise_mask": torch.eye(16).unsqueeze(0)}
    assert not torch.equal(run(latent, sampler_name="ddim"), run(latent, sampler_name="euler"))
    assert torch.equal(run(sampler_name="ddim"), run(sampler_name="euler"))


def test_a_full_mask_is_no_mask() -> None:
    latent = picture(5)
    assert torch.equal(run({**latent, "noise_mask": torch.ones(1, 8, 8)}), run(latent))


def test_differential_diffusion_with_a_hard_mask_is_plain_inpainting() -> None:
    mask = torch.zeros(1, 16, 16)
    mask[:, 4:12] = 1
    latent = {**picture(5), "noise_mask": mask}
    soft = demo_model().with_denoise_mask(differential)
    # At the very first level a threshold of 1 admits only mask 1, at the last 0 admits all: the last step draws everywhere.
    assert torch.allclose(run(latent, model=soft)[:, :, 5:11], run(latent)[:, :, 5:11], atol=3.0)
    levels = schedule(demo_model(), "normal", 4)
    half = torch.full((1, 1, 1, 1), 0.5)
    admitted = [float(differential(demo_model().sampling, sigma, half, levels)) for sigma in levels[:-1]]
    assert admitted == sorted(admitted)
    assert (admitted[0], admitted[-1]) == (0, 1)


def test_masks_of_any_shape_fit_the_latent() -> None:
    x = torch.zeros(4, 4, 16, 16)
    for shape in [(8, 8), (1, 128, 128), (2, 16, 16), (4, 1, 32, 32)]:
        assert fit_mask(torch.ones(shape), x).shape == x.shape
    video = torch.zeros(1, 16, 3, 8, 8)
    assert fit_mask(torch.ones(3, 64, 64), video).shape == video.shape


def test_an_empty_latent_takes_the_family_s_shape_and_a_drawn_one_must_fit() -> None:
    latent_format = demo_model().family.latent
    assert fitted(torch.zeros(2, 16, 8, 8), latent_format).shape == (2, 4, 8, 8)
    with pytest.raises(ValueError, match="16 channels, but the model works on 4"):
        fitted(torch.ones(2, 16, 8, 8), latent_format)


def test_a_report_at_every_step_and_a_preview_on_demand() -> None:
    steps: list[tuple[int, int]] = []
    pictures: list[bytes | None] = []

    def report(done: int, total: int, draw: Any) -> None:
        steps.append((done, total))
        if done == total:
            pictures.append(draw())

    run(report=report)
    assert steps == [(i, 5) for i in range(1, 6)]
    assert (pictures[0] or b"").startswith(b"\xff\xd8")


def test_raising_from_the_report_cancels() -> None:
    class Cancelled(Exception):
        pass

    def report(done: int, total: int, draw: Any) -> None:
        if done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        run(report=report)


def test_a_broken_weight_ends_the_run_at_its_first_step_with_what_to_do() -> None:
    """A LoRA of one weight, which is not a number."""
    weight = demo_model().part.weights()["conv_in.weight"]
    broken = Adapter("denoiser", {"conv_in.weight": (Difference(torch.full(weight.shape, torch.nan)),)})
    steps: list[int] = []
    with pytest.raises(ArithmeticError, match=r"step 1 of 20 .* leave the LoRAs out"):
        ksampler(
            demo_model().with_patches(broken), prompt(1), prompt(2), empty(), seed=1, steps=20, cfg=4.0, sampler_name="dpmpp_2m",
            scheduler="karras", report=lambda done, total, draw: steps.append(done),
        )  # fmt: skip
    assert not steps


@pytest.mark.parametrize("name", ["euler", "dpmpp_2m_sde", "euler_ancestral", "euler_cfg_pp", "heun", "lms"])
def test_a_run_killed_at_any_step_resumes_to_the_same_bits(name: str, tmp_path: Path) -> None:
    """The journal on disk of a run that raises after step k, given to a new run."""
    whole = run(sampler_name=name)
    for killed_at in (1, 3):
        journal = FolderJournal(tmp_path / f"{name}{killed_at}")

        def report(done: int, total: int, draw: Any, killed_at: int = killed_at) -> None:
            if done == killed_at:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run(sampler_name=name, report=report, journal=journal)
        assert torch.equal(run(sampler_name=name, journal=journal), whole)


def test_replaying_a_finished_run_calls_no_network() -> None:
    journal = MemoryJournal()
    whole = run(journal=journal)
    broken = [[torch.zeros(1, 77, 5), {}]]
    assert torch.equal(run(journal=journal, positive=broken), whole)


def test_a_torn_journal_entry_is_computed_again(tmp_path: Path) -> None:
    whole = run(journal=FolderJournal(tmp_path, seconds=0))
    path = sorted(tmp_path.glob("*.safetensors"))[2]
    path.write_bytes(path.read_bytes()[:50])
    assert torch.equal(run(journal=FolderJournal(tmp_path)), whole)
    assert len(list(tmp_path.glob("*.safetensors"))) == 5


def test_a_journal_is_written_now_and_then_and_at_the_end(tmp_path: Path) -> None:
    """In one file what came within a second; in many what came slowly; what waits is found too."""
    tensors = {"positive": torch.arange(3.0), "negative": torch.ones(2, 2)}
    journal = FolderJournal(tmp_path / "quick", seconds=60)
    for i in range(4):
        journal.put(i, tensors)
        assert journal.get(i) is not None
        assert not journal.folder.exists()
    journal.flush()
    assert [path.name for path in journal.folder.iterdir()] == ["000000-000003.safetensors"]
    slow = FolderJournal(tmp_path / "slow", seconds=0)
    for i in range(4):
        slow.put(i, tensors)
        assert len(list(slow.folder.iterdir())) == i + 1
    for again in (FolderJournal(journal.folder), FolderJournal(slow.folder), journal, slow):
        for i in range(4):
            found = again.get(i)
            assert found is not None
            assert all(torch.equal(found[name], tensors[name]) for name in tensors)
        assert again.get(4) is None


def test_no_noise_is_zeros() -> None:
    assert not NoNoise(3).generate_noise(empty(2)).any()


def test_from_ksampler_to_the_network_there_are_at_most_six_of_our_frames() -> None:
    """ksampler > sample > euler > guided > evaluate > forward"""
    frames: list[str] = []
    network = demo_model().network()

    def look(*_: Any) -> None:
        frame = sys._getframe()
        while frame is not None:
            if "engine/diffusion" in frame.f_code.co_filename:
                frames.append(frame.f_code.co_name)
            frame = frame.f_back  # type: ignore[assignment]

    handle = network.register_forward_pre_hook(look)
    run(steps=1)
    handle.remove()
    assert len(frames) <= 6, frames
    assert frames[-1] == "ksampler"
