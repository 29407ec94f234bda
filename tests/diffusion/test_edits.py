"""Edits of a UNet: each has a setting at which it is nothing, each does what its paper says, and none leaves a trace."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.edits import attention, blocks, tokens
from engine.diffusion.edits.attention import Nag, blurred_queries, identity, multiply, normalized
from engine.diffusion.edits.guidance import self_attention_guidance
from engine.diffusion.edits.places import Call, EditError
from engine.diffusion.edits.text import multiply_text
from engine.diffusion.families.family import Residuals
from engine.diffusion.formulas import perturbed
from engine.diffusion.guidance import cfg_guider
from engine.diffusion.journal import MemoryJournal
from engine.diffusion.model import Edit, Model
from engine.diffusion.residency import Residency
from engine.diffusion.sampling import RandomNoise, named_sampler, sample, schedule
from tests.diffusion.demo import CHECKPOINT, demo_model, empty, prompt

A, B = prompt(1), prompt(2)
X = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(3))


@torch.no_grad()
def output(edit: Edit | None = None, x: Tensor = X, context: Tensor = A[0][0]) -> Tensor:
    """What the network says, with an edit on it."""
    network = demo_model().network()
    inputs = {"context": context.expand(len(x), -1, -1)}
    timestep = torch.full((len(x),), 600.0)
    if edit is None:
        return demo_model().family.forward(network, x, timestep, inputs)
    with edit(network):
        return demo_model().family.forward(network, x, timestep, inputs)


@cache
def untouched() -> Tensor:
    return output()


def run(model: Model, cfg: float = 3.0, steps: int = 3, negative: Any = B, **more: Any) -> Tensor:
    guider = cfg_guider(model, A, negative, cfg)
    sigmas = schedule(model, "normal", steps)
    return sample(guider, RandomNoise(5), named_sampler("euler"), sigmas, empty(), **more)[0]["samples"]


def state(network: nn.Module) -> dict[str, Any]:
    """Everything an edit could leave behind."""
    hooks = {n: (len(m._forward_hooks), len(m._forward_pre_hooks)) for n, m in network.named_modules()}
    processors = {n: id(p) for n, p in network.attn_processors.items()}  # type: ignore[operator, union-attr]
    return {"hooks": hooks, "processors": processors, "weights": {n: id(p) for n, p in network.named_parameters()}}


EDITS: dict[str, tuple[Edit, Edit | None]] = {
    "self multiply": (multiply("attn1", 0.5, 1.5, 1.1, 0.9), multiply("attn1")),
    "cross multiply": (multiply("attn2", 0.5, 1.5, 1.1, 0.9), multiply("attn2")),
    "pag": (identity(), None),
    "seg": (blurred_queries(2.0), blurred_queries(0.0)),
    "seg without bound": (blurred_queries(9999.0), None),
    "freeu": (blocks.freeu(), blocks.freeu(1.0, 1.0, 1.0, 1.0)),
    "freeu v2": (blocks.freeu_v2(), blocks.freeu_v2(1.0, 1.0, 1.0, 1.0)),
    "hypertile": (tokens.hypertile(32, 2, 3), None),
    "tome": (tokens.token_merging(0.5, 2), tokens.token_merging(0.0, 2)),
    "deep shrink": (blocks.deep_shrink(3), blocks.deep_shrink(3, 1.0)),
    "deep shrink with its skip": (blocks.deep_shrink(2, after_skip=False), blocks.deep_shrink(2, last_timestep=700.0)),
    "nag": (Nag(5.0, 0.5, 1.5, B), Nag(1.0, 0.5, 1.5, B)),
    "watching": (attention.Watched(), attention.Watched()),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_leaves_the_network_as_it_was(name: str) -> None:
    network = demo_model().network()
    before, said = state(network), untouched()
    changed = output(EDITS[name][0])
    assert state(network) == before
    assert torch.equal(output(), said)
    assert changed.shape == said.shape
    assert changed.isfinite().all()
    assert torch.equal(changed, said) == (name in ("watching", "hypertile"))  # this picture is smaller than a tile


@pytest.mark.parametrize("name", [name for name, (_, nothing) in EDITS.items() if nothing is not None])
def test_each_has_a_setting_at_which_it_is_nothing(name: str) -> None:
    assert torch.equal(output(EDITS[name][1]), untouched())


def test_an_edit_is_taken_off_when_the_network_fails() -> None:
    network = demo_model().network()
    before = state(network)
    with pytest.raises(RuntimeError), blocks.freeu()(network), identity()(network):
        demo_model().family.forward(network, X[:, :3], torch.zeros(2), {"context": A[0][0]})
    assert state(network) == before


def test_edits_of_one_network_add_up() -> None:
    both = output(_both(multiply("attn1", q=0.5), blocks.freeu()))
    assert not torch.equal(both, output(blocks.freeu()))
    assert not torch.equal(both, output(multiply("attn1", q=0.5)))
    assert torch.equal(output(), untouched())


OF_ATTENTION = ("self multiply", "cross multiply", "pag", "tome", "nag")


@pytest.mark.parametrize(("first", "second"), [(a, b) for a in OF_ATTENTION for b in OF_ATTENTION])
def test_edits_of_attention_go_with_each_other(first: str, second: str) -> None:
    """In either order, and with themselves: nothing fails, nothing is left."""
    network, small = demo_model().network(), X[:1, :, :8, :8]
    before = state(network)
    both = output(_both(EDITS[first][0], EDITS[second][0]), small)
    assert both.isfinite().all()
    assert both.shape == small.shape
    assert state(network) == before


def test_scaled_keys_of_the_text_count_for_a_negative_inside_attention_in_either_order() -> None:
    nag, scaled = Nag(5.0, 0.5, 1.5, B), multiply("attn2", k=1.4)
    one, other = output(_both(nag, scaled)), output(_both(scaled, nag))
    assert torch.allclose(one, other, atol=1e-5)
    assert not torch.allclose(one, output(nag), atol=1e-3)


def _both(a: Edit, b: Edit) -> Edit:
    from contextlib import ExitStack, contextmanager

    @contextmanager
    def edit(network: nn.Module):  # type: ignore[no-untyped-def]
        with ExitStack() as stack:
            stack.enter_context(a(network))
            stack.enter_context(b(network))
            yield

    return edit


def test_keys_times_and_queries_times_are_one() -> None:
    """Only their product counts; and with all of them 0 every place sees the average."""
    assert torch.allclose(output(multiply("attn1", q=2.0)), output(multiply("attn1", k=2.0)), atol=1e-4)
    assert torch.allclose(output(multiply("attn2", q=0.0)), output(multiply("attn2", k=0.0)), atol=1e-4)
    assert torch.allclose(output(multiply("attn1", v=1.7)), output(_scaled_values(1.7)), atol=1e-4)


def _scaled_values(factor: float) -> Edit:
    """Values times a number is the result without its bias times it."""
    from contextlib import ExitStack, contextmanager

    @contextmanager
    def edit(network: nn.Module):  # type: ignore[no-untyped-def]
        with ExitStack() as stack:
            for _, layer in attention.attentions(network, "attn1"):
                bias = layer.to_out[0].bias
                handle = layer.to_out[0].register_forward_hook(lambda m, a, out, bias=bias: (out - bias) * factor + bias)
                stack.callback(handle.remove)
            yield

    return edit


def test_tiles_are_pictures_of_their_own() -> None:
    """On a 64 x 64 latent the first layers of a model that attends there see 32 x 32 tiles; cutting and joining is exact."""
    x = torch.randn(2, 12 * 8, 5)
    cut = tokens._cut(x, 3, 2, 4, 4)
    assert cut.shape == (12, 16, 5)
    assert torch.equal(cut[1], x[0].reshape(12, 8, 5)[:4, 4:].reshape(16, 5))
    assert torch.equal(tokens._joined(cut, 3, 2, 4, 4), x)
    large = torch.randn(1, 4, 64, 64, generator=torch.Generator().manual_seed(1))
    tiled, whole = output(tokens.hypertile(128, 1, 1), large), output(None, large)
    assert not torch.equal(tiled, whole)
    assert torch.equal(output(tokens.hypertile(512, 1, 1), large), whole)


def test_tile_counts_are_divisors_and_change_over_a_run() -> None:
    counts = {tokens._count(64, 16, 3, Call(64, 64, float(t)).generator(0)) for t in range(30)}
    assert counts <= {4, 2, 1}
    assert len(counts) > 1
    assert tokens._count(64, 16, 3, Call(64, 64, 7.0).generator(0)) == tokens._count(64, 16, 3, Call(64, 64, 7.0).generator(0))


def test_merged_places_come_back_where_they_were() -> None:
    x = torch.randn(2, 8 * 6, 3)
    merge, unmerge = tokens._matching(x, 8, 6, 0.5, torch.Generator().manual_seed(1))
    assert merge(x).shape == (2, 24, 3)
    back = unmerge(merge(x))
    assert (back == x).all(-1).float().mean() > 0.25
    assert torch.allclose(unmerge(merge(torch.ones(2, 48, 3))), torch.ones(2, 48, 3))
    none, again = tokens._matching(x, 8, 6, 0.0, torch.Generator().manual_seed(1))
    assert torch.equal(again(none(x)), x)


def test_equal_places_merge_without_loss() -> None:
    """Two kinds of places only: whatever is merged is equal, so nothing is lost."""
    x = torch.randn(1, 2, 4)[:, torch.randint(2, (64,), generator=torch.Generator().manual_seed(2))]
    merge, unmerge = tokens._matching(x, 8, 8, 0.6, torch.Generator().manual_seed(1))
    assert torch.allclose(unmerge(merge(x)), x, atol=1e-6)


def test_freeu_splits_backbone_and_skip_where_they_join() -> None:
    """The demo network's widths are 64 and 128, so only the b2 and s2 of its 128-wide levels count."""
    places = [channels for _, channels in blocks.joins(demo_model().network())]
    assert len(places) == sum(len(block.resnets) for block in demo_model().network().up_blocks)  # type: ignore[union-attr]
    assert torch.equal(output(blocks.freeu(3.0, 1.0, 0.1, 1.0)), untouched())


def test_low_frequencies_of_a_constant_are_all_of_it() -> None:
    flat, wave = torch.full((1, 1, 8, 8), 2.0), torch.tensor([1.0, -1.0]).repeat(4).expand(1, 1, 8, 8)
    assert torch.allclose(blocks.low_frequencies(flat, 0.25), flat / 4, atol=1e-6)
    assert torch.allclose(blocks.low_frequencies(wave, 0.25), wave, atol=1e-6)
    assert torch.allclose(blocks.low_frequencies(wave, 1.0, others=3.0), wave * 3, atol=1e-5)


@pytest.mark.parametrize("after_skip", [True, False])
@pytest.mark.parametrize("number", range(1, 6))
def test_deep_shrink_works_at_every_block_and_on_odd_sizes(number: int, after_skip: bool) -> None:
    x = torch.randn(1, 4, 24, 20)
    edit = blocks.deep_shrink(number, 1.7, after_skip=after_skip)
    assert output(edit, x).shape == x.shape


@pytest.mark.parametrize("after_skip", [True, False])
@pytest.mark.parametrize("number", range(1, 6))
@torch.no_grad()
def test_what_steers_follows_the_picture_s_size(number: int, after_skip: bool) -> None:
    """Everywhere the same added at the sizes of an unshrunk network is the same number added at whatever sizes there are."""
    x, size, family, network = torch.randn(1, 4, 24, 20), (24, 20), demo_model().family, demo_model().network()
    sizes = [size]
    for _, last in list(blocks.input_blocks(network))[1:]:
        size = tuple(n // 2 for n in size) if type(last).__name__ == "Downsample2D" else size
        sizes.append(size)
    maps = Residuals(tuple(torch.full((1, 1, *s), 0.3) for s in sizes), torch.full((1, 1, *size), -0.5))
    numbers = Residuals((torch.tensor(0.3),) * len(sizes), torch.tensor(-0.5))
    features = [(1, 64, 12, 10), (1, 128, 12, 10), (1, 128, 6, 5)]  # where this network's levels take a T2I-Adapter's
    within = Residuals(within=tuple(torch.full(shape, 0.2) for shape in features))
    inputs = {"context": A[0][0]}
    with blocks.deep_shrink(number, 1.7, after_skip=after_skip)(network):
        by_maps, by_numbers, plain, by_features = (
            family.forward(network, x, torch.full((1,), 600.0), inputs, given) for given in (maps, numbers, None, within)
        )
    assert torch.allclose(by_maps, by_numbers, atol=1e-5)
    assert not torch.allclose(by_maps, plain, atol=1e-2)
    assert not torch.allclose(by_features, plain, atol=1e-2)


def test_deep_shrink_names_the_blocks_there_are() -> None:
    with pytest.raises(EditError, match="1 to 5"):
        output(blocks.deep_shrink(20))


def test_an_edit_for_unets_refuses_other_networks() -> None:
    for edit in (identity(""), multiply("attn1", 2.0), blocks.freeu()):
        with pytest.raises(EditError, match="UNets"), edit(nn.Linear(2, 2)):
            pass


def test_attention_at_scale_1_is_the_prompt_s_and_at_equal_texts_nothing() -> None:
    positive, negative = torch.randn(2, 9, 16), torch.randn(2, 9, 16)
    assert torch.equal(normalized(positive, negative, Nag(1.0, 1.0, 2.0)), positive)
    assert torch.equal(normalized(positive, negative, Nag(5.0, 0.0, 2.0)), positive)
    assert torch.allclose(normalized(positive, positive, Nag(5.0, 0.5, 2.0)), positive, atol=1e-5)
    assert torch.allclose(output(Nag(5.0, 0.5, 2.5, A)), untouched(), atol=1e-4)


def test_a_place_is_never_longer_than_tau_times_the_prompt_s() -> None:
    positive, negative = torch.randn(2, 9, 16), torch.randn(2, 9, 16) * 3
    guided = normalized(positive, negative, Nag(8.0, 1.0, 1.5))
    ratio = guided.abs().sum(-1) / positive.abs().sum(-1)
    assert ratio.max() <= 1.5 + 1e-5
    inside = normalized(positive, negative, Nag(1.05, 1.0, 100.0))
    assert torch.allclose(inside, positive + 0.05 * (positive - negative), atol=1e-5)


def test_the_negative_of_the_run_works_at_cfg_1_without_another_call() -> None:
    """Two negatives, two pictures, and as many rows through the network as without."""
    rows: list[int] = []
    handle = demo_model().network().register_forward_pre_hook(lambda module, args: rows.append(len(args[0])))
    model = demo_model().with_edit(Nag())
    one, other = run(model, 1.0), run(model, 1.0, negative=prompt(9))
    handle.remove()
    assert set(rows) == {1}
    assert not torch.allclose(one, other, atol=1e-2)
    assert torch.allclose(run(demo_model().with_edit(Nag(scale=1.0)), 1.0), run(demo_model(), 1.0))


def test_perturbed_attention_at_scale_0_is_plain() -> None:
    assert torch.equal(run(demo_model().with_after(perturbed(0.0, identity()))), run(demo_model()))
    assert not torch.equal(run(demo_model().with_after(perturbed(3.0, identity()))), run(demo_model()))


def test_attention_of_one_place_is_the_identity_already() -> None:
    """A latent of 4 x 4 is a single place in the middle block, which sees only itself whatever its attention."""
    single = torch.randn(1, 4, 4, 4)
    assert torch.allclose(output(identity(), single), output(None, single), atol=1e-5)
    assert not torch.allclose(output(identity()), untouched(), atol=1e-3)


def test_self_attention_guidance_runs_at_any_cfg_and_is_nothing_at_0() -> None:
    assert self_attention_guidance(demo_model(), 0.0) is not None
    assert torch.equal(run(self_attention_guidance(demo_model(), 0.0)), run(demo_model()))
    for cfg in (1.0, 3.0):
        guided = run(self_attention_guidance(demo_model(), 0.7), cfg)
        assert guided.isfinite().all()
        assert not torch.allclose(guided, run(demo_model(), cfg), atol=1e-3)


def test_self_attention_guidance_resumes_in_the_same_bits() -> None:
    model, journal = self_attention_guidance(demo_model(), 0.7), MemoryJournal()
    whole = run(model)

    def stop(done: int, total: int, draw: object) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(model, journal=journal, report=stop)
    assert torch.allclose(run(model, journal=journal), whole, atol=1e-4)


def test_a_blur_keeps_a_constant_and_the_mean() -> None:
    flat = torch.full((1, 2, 6, 7), 3.0)
    assert torch.allclose(attention.gaussian_blur(flat, 2.0), flat, atol=1e-5)
    assert attention.gaussian_blur(torch.randn(1, 2, 32, 32), 3.0).std() < 0.3


def test_scaled_text_attention_changes_the_prompt_and_1_does_not() -> None:
    clip = load_checkpoint(CHECKPOINT, Residency("cpu")).clip
    assert clip is not None
    assert multiply_text(clip) is clip
    plain, scaled, by_q, by_k = (
        one.encode("a cat")[0][0]
        for one in (clip, multiply_text(clip, q=0.5, out=1.2), multiply_text(clip, q=2.0), multiply_text(clip, k=2.0))
    )
    assert not torch.allclose(scaled, plain, atol=1e-3)
    assert torch.allclose(by_q, by_k, atol=1e-3)
