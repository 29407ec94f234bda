"""What nodes set on a model: each at its neutral setting is nothing, and does what it says at the others."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from engine.diffusion import conditioning, formulas, rules
from engine.diffusion.control import apply_control
from engine.diffusion.control_files import load_control
from engine.diffusion.edits.attention import multiply
from engine.diffusion.edits.blocks import skipped
from engine.diffusion.edits.compiled import compiled
from engine.diffusion.edits.places import EditError
from engine.diffusion.formulas import perturbed
from engine.diffusion.guidance import Guided, Guider, basic_guider, cfg_guider, perp_neg_guider
from engine.diffusion.journal import MemoryJournal
from engine.diffusion.model import Model
from engine.diffusion.residency import Residency
from engine.diffusion.reuse import Reuse, Track
from engine.diffusion.rules import Parts
from engine.diffusion.samplers import Sampler
from engine.diffusion.samplers.lcm_upscale import LcmUpscale
from engine.diffusion.sampling import RandomNoise, named_sampler, sample, schedule
from tests.diffusion.demo import demo_model, empty, prompt
from tests.diffusion.test_control import PICTURE, original_layout

A, B, C = prompt(1), prompt(2), prompt(3)
X = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(3)) * 2
SIGMA = torch.tensor(2.0)


@torch.no_grad()
def denoised(guider: Guider, x: Tensor = X) -> Tensor:
    with ExitStack() as stack:
        return Guided.start(guider, guider.open(stack), x, None, None)(x, SIGMA)


def run(model: Model, steps: int = 6, cfg: float = 3.0, sampler: Sampler | None = None, **more: Any) -> Tensor:
    sigmas = schedule(model, "normal", steps)
    latent: Any = empty()
    return sample(cfg_guider(model, A, B, cfg), RandomNoise(5), sampler or named_sampler("euler"), sigmas, latent, **more)[0][
        "samples"
    ]


def calls(model: Model, **more: Any) -> tuple[Tensor, int]:
    made: list[int] = []
    handle = model.network().register_forward_pre_hook(lambda module, args: made.append(1))
    result = run(model, **more)
    handle.remove()
    return result, len(made)


def test_perp_neg_as_a_rule_is_the_guider() -> None:
    model = demo_model()
    ruled = model.with_rule(formulas.perp_neg(0.7), empty=C)
    expected = denoised(perp_neg_guider(model, A, B, C, 4.0, 0.7))
    assert torch.allclose(denoised(cfg_guider(ruled, A, B, 4.0)), expected, atol=1e-3)
    assert not torch.allclose(denoised(cfg_guider(model, A, B, 4.0)), expected, atol=1e-2)


def parts(**more: Any) -> Parts:
    generator = torch.Generator().manual_seed(2)
    x, c, u = (torch.randn(2, 4, 8, 8, generator=generator) for _ in range(3))
    made = Parts(x, torch.tensor(1.0), {"positive": c, "negative": u}, 5.0, {}, lambda *_: x)
    return replace(made, **more)


def test_renorm_caps_the_length_and_is_plain_guidance_without_a_cap() -> None:
    plain = rules.formula(parts())
    assert torch.equal(formulas.renorm(100.0, 0.0)(parts()), plain)
    assert torch.allclose(formulas.renorm(100.0, 1e6)(parts()), plain)
    capped = formulas.renorm(100.0, 1.0)(parts())
    length = lambda t: t.flatten(1).norm(dim=1)  # noqa: E731
    assert torch.allclose(length(capped), length(parts().positive), rtol=1e-4)
    assert torch.allclose(torch.cosine_similarity(capped.flatten(1), plain.flatten(1)), torch.ones(2), atol=1e-5)
    assert torch.equal(formulas.renorm(1.0, 1.0)(parts()), parts().positive)


def test_a_skipped_block_gives_what_it_got_and_no_blocks_are_nothing() -> None:
    model = demo_model()
    network = model.network()
    name = next(
        n for n, m in network.named_modules() if n.startswith("mid_block") and type(m).__name__ == "BasicTransformerBlock"
    )
    block = dict(network.named_modules())[name]
    with torch.no_grad(), skipped("middle.0")(network):
        x = torch.randn(1, 16, 128)
        assert torch.equal(block(x, encoder_hidden_states=A[0][0]), x)
    assert not torch.equal(block(x, encoder_hidden_states=A[0][0]), x)
    plain = denoised(basic_guider(model, A))
    assert torch.equal(denoised(basic_guider(model.with_edit(skipped("")), A)), plain)
    without = denoised(basic_guider(model.with_edit(skipped("middle.0")), A))
    guided = denoised(basic_guider(model.with_after(perturbed(2.0, skipped("middle.0"))), A))
    assert torch.allclose(guided, plain + 2.0 * (plain - without), atol=1e-3)
    out_of_range = model.with_after(perturbed(2.0, skipped("middle.0"), 1.0, 0.0))
    assert torch.equal(denoised(basic_guider(out_of_range, A)), plain)
    with pytest.raises(EditError, match=r"middle.7 are not there; this model has input.0"):
        denoised(basic_guider(model.with_edit(skipped("middle.7")), A))


class _Film(nn.Module):
    """Two attention layers, one of them along time."""

    def __init__(self) -> None:
        super().__init__()
        attention = lambda: nn.ModuleDict({"attn1": _Attention()})  # noqa: E731
        self.transformer_blocks, self.temporal_transformer_blocks = nn.ModuleList([attention()]), nn.ModuleList([attention()])


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.to_q = self.to_k = self.to_v = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return x


def test_attention_along_time_is_told_apart() -> None:
    network = nn.ModuleDict({"block": _Film()})
    film, x = network["block"], torch.ones(1)
    spatial, temporal = film.transformer_blocks[0]["attn1"], film.temporal_transformer_blocks[0]["attn1"]
    with multiply("attn1", out=3.0, temporal=True)(network):
        assert (spatial(x), temporal(x)) == (1, 3)
    with multiply("attn1", out=3.0, temporal=False)(network):
        assert (spatial(x), temporal(x)) == (3, 1)


def test_without_a_threshold_nothing_is_reused_and_with_one_calls_are_saved() -> None:
    plain, all_calls = calls(demo_model(), steps=12)
    none, same_calls = calls(demo_model().with_reuse(Reuse(0.0)), steps=12)
    assert torch.equal(none, plain)
    assert same_calls == all_calls == 12
    near, some = calls(demo_model().with_reuse(Reuse(0.1)), steps=12)
    far, fewer = calls(demo_model().with_reuse(Reuse(1.0)), steps=12)
    assert fewer < some <= 12
    assert (near - plain).abs().mean() < (far - plain).abs().mean()
    _, outside = calls(demo_model().with_reuse(Reuse(0.3, 0.0, 0.0)), steps=12)
    assert outside == 12


def test_a_guess_is_exact_where_predictions_move_with_their_input() -> None:
    """D = x + c changes as much as x: the rate is 1, and the change owed adds up until it is over the threshold."""
    sampling, track, c = demo_model().sampling, Track(), torch.full((1, 4, 4, 4), 10.0)
    reuse, x = Reuse(0.25, 0.0, 1.0), torch.zeros(1, 4, 4, 4)

    def step(by: float) -> Tensor | None:
        nonlocal x
        x = x + by
        guess = reuse.guess(track, x, torch.tensor(2.0), ("positive",), sampling)
        if guess is None:
            track.made(x, {"positive": x + c})
            return None
        return guess["positive"]

    assert step(0.0) is None
    assert step(1.0) is None
    assert track.rate == pytest.approx(1.0)
    for _ in range(2):
        guess = step(1.0)
        assert guess is not None
        assert torch.allclose(guess, x + c)
    assert step(1.0) is None
    assert track.guesses == 2


def test_a_run_with_reuse_resumes_in_the_same_bits() -> None:
    model, journal = demo_model().with_reuse(Reuse(0.3)), MemoryJournal()
    whole = run(model, steps=10, journal=journal)
    journal.entries = {i: kept for i, kept in journal.entries.items() if i < 3}
    assert torch.equal(run(model, steps=10, journal=journal), whole)


def test_numbers_can_be_chosen_and_none_is_the_default() -> None:
    model = demo_model()
    assert model.with_dtype(None).network() is model.network()
    half = model.with_dtype(torch.bfloat16)
    assert next(half.network().parameters()).dtype == torch.bfloat16
    plain = denoised(basic_guider(model, A))
    difference = denoised(basic_guider(half, A)) - plain
    assert 0 < difference.norm() < 0.05 * plain.norm()


def test_a_compiled_network_says_the_same_and_is_as_before_afterwards() -> None:
    model = demo_model()
    edited = model.with_edit(compiled("eager"))
    assert torch.allclose(denoised(basic_guider(edited, A)), denoised(basic_guider(model, A)), atol=1e-5)
    assert model.network()._compiled_call_impl is None


def test_an_upscaling_lcm_grows_evenly_and_at_ratio_1_is_lcm_by_hand() -> None:
    assert LcmUpscale.made(2.0, None, "bilinear").sizes(4, 16, 16) == [(24, 24), (32, 32)]
    assert LcmUpscale.made(3.0, 4, "bilinear").sizes(4, 10, 20) == [(15, 30), (20, 40), (25, 50), (30, 60)]
    assert LcmUpscale.made(2.0, 0, "bilinear").sizes(4, 16, 16) == []
    model = demo_model()
    sigmas = schedule(model, "normal", 3)
    generator = torch.Generator().manual_seed(5)
    noise = torch.randn(1, 4, 16, 16, generator=generator)
    x = model.sampling.noise_scaling(sigmas[0], noise, torch.zeros_like(noise), model.sampling.starts_at_max(sigmas))
    with torch.no_grad():
        denoise = Guided.start(cfg_guider(model, A, B, 3.0), model.network(), x, None, None)
        for i in range(3):
            x = denoise(x, sigmas[i])
            if sigmas[i + 1] > 0:
                x = x + sigmas[i + 1] * torch.randn(x.shape, generator=generator)
    ours = run(model, 3, sampler=LcmUpscale.made(1.0, None, "bilinear"))
    assert torch.allclose(ours, model.family.latent.outside(x), atol=1e-2)
    assert run(model, 4, sampler=LcmUpscale.made(2.0, None, "bislerp")).shape == (1, 4, 32, 32)


def test_a_control_net_can_be_told_a_text_of_its_own(tmp_path: Any) -> None:
    from safetensors.torch import save_file

    save_file(original_layout(), tmp_path / "control.safetensors")
    net = load_control(tmp_path / "control.safetensors", Residency("cpu"))
    heard: list[Tensor] = []
    network = net.place(net.part)
    handle = network.register_forward_pre_hook(
        lambda module, args, named: heard.append(named["encoder_hidden_states"]), with_kwargs=True
    )
    steered, _ = apply_control(A, B, net, PICTURE, 1.0, 0.0, 1.0)
    own = conditioning.with_options(steered, cross_attn_controlnet=C[0][0])
    plain, told = (denoised(basic_guider(demo_model(), one), X[:1]) for one in (steered, own))
    handle.remove()
    assert torch.equal(heard[0], A[0][0])
    assert torch.equal(heard[1], C[0][0])
    assert not torch.allclose(plain, told, atol=1e-3)
