"""Merges: the formulas weight by weight, the identities, and that a saved merge is the merge."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from engine.diffusion.checkpoints import Checkpoint, load_checkpoint
from engine.diffusion.clip import Clip
from engine.diffusion.families.sd1 import SD1
from engine.diffusion.families.sdxl import SDXL
from engine.diffusion.merging import add_difference, dare, method, spherical, sum_twice, ties, train_difference, weighted
from engine.diffusion.model import Model
from engine.diffusion.saving import stream_checkpoint, write
from engine.signature import spec_of
from nodes.model_merging import (
    clip_merge_simple,
    model_merge_add,
    model_merge_blocks,
    model_merge_method,
    model_merge_simple,
    model_merge_subtract,
)
from nodes.model_merging_blocks import model_merge_sd1, model_merge_sdxl
from tests.diffusion import originals
from tests.diffusion.test_checkpoints import saved, sd1, sdxl


def two(path: Path) -> tuple[Checkpoint, Checkpoint]:
    first = sd1()
    second = {name: tensor.float().mul(0.5).add(0.1).half() for name, tensor in first.items()}
    return load_checkpoint(saved(path / "a.safetensors", first)), load_checkpoint(saved(path / "b.safetensors", second))


def weights(model: Model) -> dict[str, Tensor]:
    return {name: tensor.float() for name, tensor in model.network().state_dict().items()}


def place(loaded: Checkpoint) -> Model:
    from engine.diffusion.residency import Residency

    return Model(loaded.denoiser, loaded.family, Residency("cpu", dtype=torch.float32))


def test_each_formula_weight_by_weight(tmp_path: Path) -> None:
    a, b = (place(loaded) for loaded in two(tmp_path))
    before, other = weights(a), weights(b)
    for merged, own, share in (
        (model_merge_simple(a, b, 0.3), 0.3, 0.7),
        (model_merge_add(a, b), 1.0, 1.0),
        (model_merge_subtract(a, b, 2.0), 2.0, -2.0),
    ):
        after = weights(merged)
        assert all(torch.allclose(after[name], before[name] * own + other[name] * share, atol=1e-5) for name in before)


def test_a_finetune_minus_its_base_added_to_the_base_is_the_finetune(tmp_path: Path) -> None:
    base, tuned = (place(loaded) for loaded in two(tmp_path))
    back, wanted = weights(model_merge_add(base, model_merge_subtract(tuned, base))), weights(tuned)
    assert all(torch.allclose(back[name], wanted[name], atol=1e-5) for name in wanted)


def test_ratio_one_is_the_first_model_itself(tmp_path: Path) -> None:
    a, b = (place(loaded) for loaded in two(tmp_path))
    assert model_merge_simple(a, b, 1.0) is a
    assert all(
        torch.equal(x, y) for x, y in zip(weights(model_merge_simple(a, b, 0.0)).values(), weights(b).values(), strict=True)
    )


def test_blocks_have_their_own_ratios(tmp_path: Path) -> None:
    a, b = (place(loaded) for loaded in two(tmp_path))
    before, other, after = weights(a), weights(b), weights(model_merge_blocks(a, b, 1.0, 0.5, 0.0))
    for name, own in (("conv_in.weight", 1.0), ("mid_block.resnets.0.conv1.weight", 0.5), ("conv_out.weight", 0.0)):
        assert torch.allclose(after[name], before[name] * own + other[name] * (1 - own), atol=1e-6)
    assert torch.equal(after["time_embedding.linear_1.weight"], before["time_embedding.linear_1.weight"])


def test_text_encoders_merge_too(tmp_path: Path) -> None:
    from engine.diffusion.residency import Residency

    clips = [Clip(loaded.clip.towers, Residency("cpu")) for loaded in two(tmp_path) if loaded.clip]
    middle = clip_merge_simple(clips[0], clips[1], 0.5)
    (part,) = middle.parts
    name = "text_model.final_layer_norm.bias"
    means = [clip.place(clip.parts[0]).state_dict()[name].float() for clip in clips]
    assert torch.allclose(middle.place(part, middle.patches).state_dict()[name], sum(means) / 2, atol=1e-5)  # type: ignore[arg-type]


def test_a_saved_merge_is_the_merge(tmp_path: Path) -> None:
    a, b = (place(loaded) for loaded in two(tmp_path))
    merged = model_merge_simple(a, b, 0.25)
    write(tmp_path / "c.safetensors", stream_checkpoint(merged))
    saved_weights = load_checkpoint(tmp_path / "c.safetensors").denoiser.weights()
    assert all(torch.allclose(saved_weights[n].float(), w, atol=2e-3) for n, w in weights(merged).items())


def test_models_of_two_families_do_not_merge(tmp_path: Path) -> None:
    one = load_checkpoint(saved(tmp_path / "a.safetensors", sd1())).model
    other = load_checkpoint(saved(tmp_path / "b.safetensors", sdxl())).model
    with pytest.raises(ValueError, match="a Stable Diffusion 1 model cannot be merged with a Stable Diffusion XL one"):
        model_merge_simple(one, other, 0.5)


def test_a_ratio_a_block(tmp_path: Path) -> None:
    a, b = (place(loaded) for loaded in two(tmp_path))
    before, other = weights(a), weights(b)
    after = weights(model_merge_sd1(model1=a, model2=b, input_blocks_1=0.25, out=0.0))
    for name, own in (("down_blocks.0.resnets.0.conv1.weight", 0.25), ("conv_out.weight", 0.0), ("conv_in.weight", 1.0)):
        assert torch.allclose(after[name], before[name] * own + other[name] * (1 - own), atol=1e-6)


def test_the_nodes_inputs_have_the_names_of_the_blocks() -> None:
    spec = spec_of(model_merge_sdxl)
    wire = [port.name for port in spec.inputs]
    assert wire[:4] == ["model1", "model2", "time_embed.", "label_emb."]
    assert len(wire) == 2 + 2 + 9 + 3 + 9 + 1
    assert wire[-1] == "out."


A, B, C = (torch.randn(40, 30, generator=torch.Generator().manual_seed(i)) for i in range(3))


def test_every_method_at_its_ends() -> None:
    assert weighted(1.0) is None
    assert torch.allclose(spherical(1.0)(A, B), A, atol=1e-5)
    assert torch.allclose(spherical(0.0)(A, B), B, atol=1e-5)
    assert torch.equal(add_difference(0.0)(A, B, C), A)
    assert torch.allclose(add_difference(1.0)(C, B, C), B, atol=1e-6)
    assert torch.equal(train_difference(0.0)(A, B, C), A)
    assert torch.equal(train_difference(1.0)(A, B, B), A)
    assert torch.equal(train_difference(1.0)(B, B, B), B)
    assert torch.equal(sum_twice(0.0, 0.0)(A, B, C), A)
    assert torch.allclose(sum_twice(1.0, 0.0)(A, B, C), B)
    assert torch.allclose(sum_twice(0.5, 1.0)(A, B, C), C)
    assert torch.allclose(dare(1.0, 0.0, 0)(A, B), B, atol=1e-6)
    assert torch.equal(ties(0.0, 0.5)(A, B, C), C)
    assert torch.allclose(ties(1.0, 1.0)(B, B, C), B, atol=1e-6)


def test_spherical_keeps_the_length() -> None:
    unit = [x / x.norm() for x in (A, B)]
    assert spherical(0.5)(*unit).norm() == pytest.approx(1.0, abs=1e-5)
    assert torch.allclose(spherical(0.3)(A, A), A, atol=1e-5)


def test_dare_keeps_the_mean_and_depends_on_its_seed() -> None:
    big = torch.zeros(400, 500), torch.ones(400, 500)
    merged = dare(1.0, 0.7, 1)(*big)
    assert merged.mean() == pytest.approx(1.0, abs=0.02)
    assert (merged == 0).float().mean() == pytest.approx(0.7, abs=0.01)
    assert torch.equal(merged, dare(1.0, 0.7, 1)(*big))
    assert not torch.equal(merged, dare(1.0, 0.7, 2)(*big))


def test_ties_drops_the_small_and_the_disputed() -> None:
    base = torch.zeros(4)
    a, b = torch.tensor([1.0, 0.1, 1.0, 0.0]), torch.tensor([3.0, 0.0, -2.0, 0.2])
    assert torch.equal(ties(1.0, 0.5)(a, b, base), torch.tensor([2.0, 0.0, -2.0, 0.0]))


def test_the_method_node_asks_for_a_third_model_where_one_is_needed(tmp_path: Path) -> None:
    a, b = (place(loaded) for loaded in two(tmp_path))
    with pytest.raises(ValueError, match="add difference merges three models: connect model_c"):
        model_merge_method(a, b, method="add difference")
    before, other = weights(a), weights(b)
    for name in ("weighted", "spherical", "DARE"):
        assert weights(model_merge_method(a, b, method=name)).keys() == before.keys()  # type: ignore[arg-type]
    after = weights(model_merge_method(a, b, a, "add difference", 0.5))
    assert all(torch.allclose(after[n], before[n] + 0.5 * (other[n] - before[n]), atol=1e-5) for n in before)


def inpainting(path: Path, seed: int = 7) -> Checkpoint:
    config = replace(originals.SD1_TINY, in_channels=9)
    unet = originals.filled(originals.denoiser(SD1(config)), seed=seed)
    return load_checkpoint(saved(path / f"inpaint{seed}.safetensors", originals.with_prefix("model.diffusion_model.", unet)))


def test_a_plain_model_becomes_an_inpainting_one(tmp_path: Path) -> None:
    """Inpainting + (plain - base): the mask's channels stay the inpainting model's, all else gets what the plain one learned."""
    plain, base = (place(loaded) for loaded in two(tmp_path))
    first = place(inpainting(tmp_path))
    a, b, c = weights(first), weights(plain), weights(base)
    merged = weights(model_merge_method(first, plain, base, "add difference", 1.0))
    for name, weight in merged.items():
        wanted = a[name].clone()
        if name == "conv_in.weight":
            wanted[:, :4] += b[name] - c[name]
        else:
            wanted += b[name] - c[name]
        assert torch.allclose(weight, wanted, atol=1e-5), name
    half = weights(model_merge_simple(first, plain, 0.5))["conv_in.weight"]
    assert torch.allclose(half[:, :4], (a["conv_in.weight"][:, :4] + b["conv_in.weight"]) / 2, atol=1e-5)
    assert torch.equal(half[:, 4:], a["conv_in.weight"][:, 4:])


def test_two_inpainting_models_merge_whole_and_the_order_matters(tmp_path: Path) -> None:
    one, two_ = place(inpainting(tmp_path)), place(inpainting(tmp_path, 8))
    merged, a, b = weights(model_merge_simple(one, two_, 0.5)), weights(one), weights(two_)
    assert torch.allclose(merged["conv_in.weight"], (a["conv_in.weight"] + b["conv_in.weight"]) / 2, atol=1e-6)
    plain = place(two(tmp_path)[0])
    with pytest.raises(
        ValueError, match=r"the first sees 4 channels, another 9\. Make the inpainting or editing model the first"
    ):
        model_merge_simple(plain, one, 0.5)


def test_models_of_unlike_depth_do_not_merge(tmp_path: Path) -> None:
    shallow = replace(originals.SDXL_TINY, down=((0,), (1,), (1,)))
    unet = originals.filled(originals.denoiser(SDXL(shallow)))
    other = load_checkpoint(saved(tmp_path / "b.safetensors", originals.with_prefix("model.diffusion_model.", unet)))
    deep = load_checkpoint(saved(tmp_path / "a.safetensors", sdxl()))
    with pytest.raises(ValueError, match=r"another has no such layer\. Both must be of one make"):
        model_merge_simple(place(deep), place(other), 0.5)


@pytest.mark.parametrize(
    ("name", "alpha", "beta", "said"),
    [
        ("weighted", float("nan"), 0.5, "are to be numbers"),
        ("DARE", 0.5, 1.0, "beta is from 0 to below 1, not 1.0"),
        ("TIES", 0.5, 0.0, "beta is above 0 and at most 1, not 0.0"),
    ],
)
def test_numbers_without_an_answer_are_refused(name: str, alpha: float, beta: float, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        method(name, alpha, beta, 0)
