"""Guidance: areas, masks, ranges and strengths average as they should, and every formula has its identity case."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from engine.diffusion import conditioning, formulas, rules
from engine.diffusion.areas import Entry, resolve, rest, weight
from engine.diffusion.families.sd1 import SD1
from engine.diffusion.guidance import (
    Guided,
    Guider,
    basic_guider,
    cfg_guider,
    dual_cfg_guider,
    perp_neg_guider,
)
from engine.diffusion.model import Model
from engine.diffusion.rules import Cfg, Parts
from engine.diffusion.variety import skimmed
from tests.diffusion.demo import demo_model, prompt

SIGMA = torch.tensor(2.0)
X = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(3)) * 2
A, B, C = prompt(1), prompt(2), prompt(3)


def guided(guider: Guider, x: Tensor = X) -> Guided:
    return Guided.start(guider, guider.model.network(), x, None, None)


@torch.no_grad()
def denoised(guider: Guider, x: Tensor = X, sigma: Tensor = SIGMA) -> Tensor:
    return guided(guider, x)(x, sigma)


def alone(conditioning_: list[list[Any]], x: Tensor = X, model: Model | None = None) -> Tensor:
    return denoised(basic_guider(model or demo_model(), conditioning_), x)


def close(a: Tensor, b: Tensor, tolerance: float = 2e-4) -> bool:
    return torch.allclose(a, b, atol=tolerance)


def test_cfg_is_the_formula_on_two_predictions() -> None:
    expected = alone(B) + 5.0 * (alone(A) - alone(B))
    assert close(denoised(cfg_guider(demo_model(), A, B, 5.0)), expected, 1e-3)


def test_positive_and_negative_share_one_network_call() -> None:
    calls: list[int] = []
    network = demo_model().network()
    handle = network.register_forward_pre_hook(lambda module, args: calls.append(len(args[0])))
    denoised(cfg_guider(demo_model(), A, B, 5.0))
    denoised(cfg_guider(demo_model(), A, B, 1.0))
    handle.remove()
    assert calls == [4, 2]


def test_prompts_of_77_and_154_tokens_share_a_call_by_repetition() -> None:
    """Softmax over repeated keys is the same average."""
    long = prompt(4, tokens=154)
    expected = alone(B) + 5.0 * (alone(long) - alone(B))
    assert close(denoised(cfg_guider(demo_model(), long, B, 5.0)), expected, 1e-3)


def test_combined_conditionings_are_averaged_by_strength() -> None:
    both = conditioning.combine(conditioning.set_strength(A, 3.0), B)
    assert close(alone(both), (3 * alone(A) + alone(B)) / 4)


def test_a_full_area_is_no_area() -> None:
    assert close(alone(conditioning.set_area(A, 128, 128, 0, 0, 1.0)), alone(A))
    assert close(alone(conditioning.set_area_percentage(A, 1.0, 1.0, 0.0, 0.0, 1.0)), alone(A))


class Silent(SD1):
    """A family whose network says there is no noise: the denoised latent is x itself, whatever part of it is looked at."""

    def forward(self, network: nn.Module, x: Tensor, timestep: Tensor, inputs: Any, residuals: Any = None) -> Tensor:
        return torch.zeros_like(x)


def test_weights_of_overlapping_areas_masks_and_strengths_sum_to_one() -> None:
    model = demo_model()
    assert isinstance(model.family, SD1)
    silent = replace(model, family=Silent(model.family.config))
    left = conditioning.set_area(A, 80, 128, 0, 0, 0.7)
    right = conditioning.set_mask(conditioning.set_area(B, 80, 128, 48, 0, 1.3), torch.rand(16, 16), "default", 0.5)
    everywhere = conditioning.set_strength(C, 0.2)
    assert close(alone(conditioning.combine(left, right, everywhere), model=silent), X, 1e-5)


def test_areas_in_cells_and_in_shares() -> None:
    model = demo_model()
    cells = resolve(model, {"positive": conditioning.set_area(A, 64, 32, 8, 16, 1.0)}, X, {})["positive"][0]
    assert cells.box == (4, 8, 2, 1)
    by_share = conditioning.set_area_percentage(A, 0.5, 0.25, 0.0625, 0.125, 1.0)
    shares = resolve(model, {"positive": by_share}, X, {})["positive"][0]
    assert shares.box == (4, 8, 2, 1)
    cut = resolve(model, {"positive": conditioning.set_area(A, 640, 640, 64, 64, 1.0)}, X, {})["positive"][0]
    assert cut.box == (8, 8, 8, 8)
    with pytest.raises(ValueError, match="Move it inside"):
        resolve(model, {"positive": conditioning.set_area(A, 64, 64, 256, 0, 1.0)}, X, {})


def test_area_edges_rise_over_a_quarter_of_a_small_area() -> None:
    """An area 8 cells wide off the left edge: min(8, 8 // 4) = 2 cells of 1/2 and 1."""
    entry = Entry({}, box=(16, 8, 0, 4))
    row = weight(entry, X)[0, 0, 5]
    assert torch.equal(row, torch.tensor([0.5, 1, 1, 1, 1, 1, 1, 0.5]))
    at_the_edge = weight(Entry({}, box=(16, 8, 0, 0)), X)[0, 0, 5]
    assert torch.equal(at_the_edge, torch.tensor([1.0, 1, 1, 1, 1, 1, 1, 0.5]))


def test_an_area_gets_an_opposite_in_the_negative() -> None:
    positive = conditioning.combine(A, conditioning.set_area(C, 64, 64, 0, 0, 0.8))
    entries = resolve(demo_model(), {"positive": positive, "negative": B}, X, {})
    assert [entry.box for entry in entries["negative"]] == [None, (8, 8, 0, 0)]
    assert entries["negative"][1].inputs is entries["negative"][0].inputs
    assert entries["negative"][1].strength == 0.8


def test_masks_choose_between_prompts() -> None:
    """Two complementary masks: each half is what its own prompt says."""
    left = torch.zeros(16, 16)
    left[:, :8] = 1
    masked = [conditioning.set_mask(A, left, "default", 1.0), conditioning.set_mask(B, 1 - left, "default", 1.0)]
    both = conditioning.combine(*masked)
    result = alone(both)
    assert close(result[..., :8], alone(A)[..., :8])
    assert close(result[..., 8:], alone(B)[..., 8:])


def test_mask_bounds_run_the_network_on_the_box_alone() -> None:
    mask = torch.zeros(16, 16)
    mask[2:12, 4:14] = 1
    bounded = conditioning.set_mask(A, mask, "mask bounds", 1.0)
    entry = resolve(demo_model(), {"positive": bounded}, X, {})["positive"][0]
    assert entry.box == (10, 10, 2, 4)
    result = denoised(basic_guider(demo_model(), bounded), X)
    inside = alone(A, X[:, :, 2:12, 4:14].contiguous())
    assert close(result[:, :, 2:12, 4:14], inside)
    assert not result[:, :, :2].any()


def test_timestep_ranges_switch_prompts_at_their_sigma() -> None:
    model = demo_model()
    half = model.sampling.percent_to_sigma(0.5)
    both = conditioning.combine(conditioning.set_timestep_range(A, 0.0, 0.5), conditioning.set_timestep_range(B, 0.5001, 1.0))
    for sigma, expected in ((half * 1.5, A), (half * 0.5, B)):
        level = torch.tensor(sigma)
        assert close(denoised(basic_guider(model, both), sigma=level), denoised(basic_guider(model, expected), sigma=level), 1e-3)


def test_a_default_takes_what_masks_leave() -> None:
    left = torch.zeros(16, 16)
    left[:, :8] = 1
    both = conditioning.set_default(conditioning.set_mask(A, left, "default", 1.0), B)
    result = alone(both)
    assert close(result[..., :8], alone(A)[..., :8])
    assert close(result[..., 8:], alone(B)[..., 8:])
    assert close(alone(conditioning.set_default(A, B)), alone(A))
    assert rest([(None, torch.ones_like(X) * 0.25)], X).unique().tolist() == [0.75]


def test_split_gives_the_negative_also_at_cfg_1() -> None:
    with torch.no_grad():
        result, uncond = guided(cfg_guider(demo_model(), A, B, 1.0)).split(X, SIGMA)
    assert close(result, alone(A))
    assert close(uncond, alone(B))


def test_dual_guidance() -> None:
    model = demo_model()
    a, b, c = alone(A), alone(B), alone(C)
    plain = denoised(dual_cfg_guider(model, A, B, C, 3.0, 2.0))
    assert close(plain, c + 2.0 * (b - c) + 3.0 * (a - b), 1e-3)
    nested = denoised(dual_cfg_guider(model, A, B, C, 3.0, 2.0, nested=True))
    assert close(nested, c + 2.0 * (b + 3.0 * (a - b) - c), 1e-3)
    assert close(denoised(dual_cfg_guider(model, A, B, C, 1.0, 1.0)), a)
    assert close(denoised(dual_cfg_guider(model, A, B, C, 3.0, 1.0)), b + 3.0 * (a - b), 1e-3)


def test_perp_neg_with_a_negative_along_the_positive_is_cfg_against_empty() -> None:
    """The part of the negative parallel to the positive does not count."""
    model = demo_model()
    expected = alone(C) + 4.0 * (alone(A) - alone(C))
    assert close(denoised(perp_neg_guider(model, A, A, C, 4.0, 1.0)), expected, 1e-3)
    assert close(denoised(perp_neg_guider(model, A, B, C, 4.0, 0.0)), expected, 1e-3)


def parts(cfg: float = 4.0, **memory: Any) -> Parts:
    def again(name: str, edit: Any) -> Tensor:
        raise AssertionError

    generator = torch.Generator().manual_seed(5)
    c, u = (torch.randn(X.shape, generator=generator) for _ in range(2))
    return Parts(X, SIGMA, {"positive": c, "negative": u}, cfg, {}, again)


def plain(p: Parts) -> Tensor:
    return p.negative + p.cfg * (p.positive - p.negative)


def test_rescale_0_is_cfg_and_1_has_the_spread_of_the_prompt() -> None:
    p = parts()
    assert close(formulas.rescale(0.0)(p), plain(p), 1e-4)
    v = lambda d: (p.x / 5 - (p.x - (p.x - d))) * 5**0.5 / 2  # noqa: E731
    spread = v(formulas.rescale(1.0)(p)).std((1, 2, 3))
    assert close(spread, v(p.positive).std((1, 2, 3)), 1e-4)


def test_apg_with_eta_1_and_nothing_else_is_cfg_at_one_more() -> None:
    p = parts()
    moved = formulas.apg(eta=1.0, norm_threshold=0.0, momentum=0.0)(p)
    assert close(plain(moved), plain(parts(cfg=5.0)), 1e-4)
    assert close(p.negative + (plain(moved) - p.negative), p.positive + 4.0 * (p.positive - p.negative), 1e-4)


def test_apg_without_the_parallel_part_moves_across_the_prompt_s_prediction() -> None:
    p = parts()
    moved = formulas.apg(eta=0.0, norm_threshold=0.0)(p)
    guidance = moved.positive - p.negative - (p.positive - p.negative) / p.cfg
    assert close((guidance * p.positive).sum((1, 2, 3)), torch.zeros(2), 1e-2)
    short = formulas.apg(eta=1.0, norm_threshold=5.0)(p)
    guidance = short.positive - p.negative - (p.positive - p.negative) / p.cfg
    assert close(guidance.flatten(1).norm(dim=1), torch.full((2,), 5.0), 1e-3)


def test_apg_momentum_is_forgotten_when_sigma_rises() -> None:
    rule, p = formulas.apg(eta=1.0, norm_threshold=0.0, momentum=-0.5), parts()
    first = rule(p).positive
    second = rule(p).positive
    assert not close(first, second)
    again = rule(Parts(p.x, SIGMA * 2, p.denoised, p.cfg, p.memory, p.again)).positive
    assert close(again, first)


def test_identities_where_both_predictions_are_equal() -> None:
    """Nothing to guide by: every formula gives the prediction itself."""
    p = parts()
    same = p.having(negative=p.positive)
    result = plain(same)
    assert close(result, p.positive)
    assert close(formulas.cfg_zero_star()(same, result), result, 1e-3)
    assert close(formulas.cfg_norm(1.0)(same, result), result, 1e-4)
    assert close(formulas.tcfg()(same).negative, p.positive, 1e-3)
    assert close(formulas.rescale(0.7)(same), result, 1e-4)
    assert close(formulas.on_guidance(lambda g: g)(same).positive, p.positive)


def test_cfg_zero_star_and_mahiro_and_eps_scaling_at_their_neutral_settings() -> None:
    p = parts(cfg=1.0)
    assert close(formulas.cfg_zero_star()(p, plain(p)), plain(p), 1e-4)
    assert close(formulas.scale_eps(1.0)(p, plain(p)), plain(p))
    assert close(formulas.mahiro()(p, plain(p)), p.positive, 1e-4)
    assert torch.equal(formulas.perturbed(0.0, None)(p, plain(p)), plain(p))


def test_cfg_norm_never_makes_a_place_longer_than_the_prompt_s() -> None:
    p = parts()
    result = formulas.cfg_norm(1.0)(p, plain(p))
    assert (result.norm(dim=1) <= p.positive.norm(dim=1) + 1e-4).all()


def test_an_interval_is_cfg_inside_and_the_prompt_alone_outside() -> None:
    rule = Cfg(4.0, first_sigma=5.0, last_sigma=1.0)
    assert rule.names(5.0) == ("positive", "negative")
    assert rule.names(1.0) == ("positive",)
    assert rule.names(6.0) == ("positive",)


def test_the_scale_over_frames() -> None:
    p = parts()
    ramp = formulas.linear_cfg(1.0)(p)
    assert close(ramp[0], p.positive[0])
    assert close(ramp[1], plain(p)[1])
    triangle = formulas.triangle_cfg(1.0)(p)
    assert close(triangle, p.positive)


def test_model_rules_apply_in_order() -> None:
    """before, formula, after: each sees what the one before it made."""
    model = demo_model().with_before(lambda p: p.having(positive=p.positive + 1)).with_after(lambda p, result: result * 2)
    expected = (alone(B) + 3.0 * (alone(A) + 1 - alone(B))) * 2
    assert close(denoised(cfg_guider(model, A, B, 3.0)), expected, 2e-3)
    replaced = demo_model().with_rule(lambda p: p.positive * p.cfg)
    assert close(denoised(cfg_guider(replaced, A, B, 3.0)), alone(A) * 3, 1e-3)


def test_a_perturbed_pass_evaluates_an_edited_network_and_takes_the_edit_away() -> None:
    @contextmanager
    def silenced(network: nn.Module) -> Iterator[None]:
        handle = network.get_submodule("mid_block.resnets.0").register_forward_hook(lambda module, args, out: out * 0)
        yield
        handle.remove()

    model = demo_model().with_after(formulas.perturbed(2.0, silenced))
    with torch.no_grad(), silenced(model.network()):
        broken = alone(A)
    assert close(denoised(cfg_guider(model, A, B, 1.0)), alone(A) + 2.0 * (alone(A) - broken), 1e-3)
    assert close(alone(A), alone(A))


FORMULAS: dict[str, Callable[[Parts], Tensor]] = {
    "cfg": plain,
    "perp neg": rules.PerpNeg(4.0, 0.8),
    "rescale": formulas.rescale(0.7),
    "renorm": formulas.renorm(),
    "apg": lambda p: plain(formulas.apg(0.3, 5.0)(p)),
    "tcfg": lambda p: plain(formulas.tcfg()(p)),
    "zero star": lambda p: formulas.cfg_zero_star()(p, plain(p)),
    "norm": lambda p: formulas.cfg_norm(0.9)(p, plain(p)),
    "mahiro": lambda p: formulas.mahiro()(p, plain(p)),
    "skimmed": lambda p: plain(skimmed(2.0, False)(p)),
    "skimmed, whole negative": lambda p: plain(skimmed(2.0, True)(p)),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_picture_of_a_batch_is_guided_as_it_is_alone(name: str) -> None:
    generator = torch.Generator().manual_seed(6)
    whole = parts().having(empty=torch.randn(X.shape, generator=generator))
    together = FORMULAS[name](whole)
    for i in range(len(X)):
        one = {key: tensor[i : i + 1] for key, tensor in whole.denoised.items()}
        alone = FORMULAS[name](Parts(X[i : i + 1], SIGMA, one, whole.cfg, {}, whole.again))
        assert close(together[i : i + 1], alone, 1e-4)


@pytest.mark.parametrize("name", FORMULAS)
def test_a_scale_of_0_is_a_number(name: str) -> None:
    """Also where a formula divides by it."""
    p = parts(cfg=0.0).having(empty=X)
    assert FORMULAS[name](p).isfinite().all()
