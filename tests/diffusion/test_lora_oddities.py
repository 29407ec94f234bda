"""LoRA files as they are found: for another base, damaged, half known, with words of their own, for one half of a model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from engine.diffusion.clip import Clip
from engine.diffusion.hooks import Hook, Hooks, LoraSource
from engine.diffusion.lora import AdapterError, apply_lora, bundled, read_adapters, unmatched
from engine.diffusion.parts import Part, straight
from engine.diffusion.patches import Patch, patched
from engine.diffusion.text.embeddings import vectors
from tests.diffusion.demo import demo_model
from tests.diffusion.test_lora import demo_clip, lora_for

TARGET, NAME = "down_blocks.0.resnets.0.conv1", "lora_unet_down_blocks_0_resnets_0_conv1"


def part_of(*shape: int) -> Part:
    stored = {f"{TARGET}.weight": torch.randn(*shape)}
    return Part("denoiser", lambda: nn.Identity(), straight(stored), stored)


def kinds(outputs: int, inputs: int, rank: int = 2, kernel: int = 3) -> dict[str, dict[str, tuple[int, ...]]]:
    """The shapes of each kind's tensors for a convolution, in LyCORIS' layout."""
    wide = inputs * kernel**2
    return {
        "LoCon": {"lora_up.weight": (outputs, rank, 1, 1), "lora_down.weight": (rank, inputs, kernel, kernel)},
        "LoHa": {
            "hada_w1_a": (outputs, rank), "hada_w1_b": (rank, wide), "hada_w2_a": (outputs, rank), "hada_w2_b": (rank, wide),
        },
        "LoHa, Tucker": {
            "hada_t1": (rank, rank, kernel, kernel), "hada_w1_a": (rank, outputs), "hada_w1_b": (rank, inputs),
            "hada_t2": (rank, rank, kernel, kernel), "hada_w2_a": (rank, outputs), "hada_w2_b": (rank, inputs),
        },
        "LoKr": {"lokr_w1": (2, 2), "lokr_w2": (outputs // 2, inputs // 2, kernel, kernel)},
        "LoKr, factored": {"lokr_w1": (2, 2), "lokr_w2_a": (outputs // 2, rank), "lokr_w2_b": (rank, wide // 2)},
        "LoKr, Tucker": {
            "lokr_w1": (2, 2), "lokr_t2": (rank, rank, kernel, kernel), "lokr_w2_a": (rank, outputs // 2),
            "lokr_w2_b": (rank, inputs // 2),
        },
        "GLoRA": {"a1.weight": (rank, wide), "a2.weight": (wide, rank), "b1.weight": (rank, wide), "b2.weight": (outputs, rank)},
        "difference": {"diff": (outputs, inputs, kernel, kernel)},
        "whole": {"set_weight": (outputs, inputs, kernel, kernel)},
    }  # fmt: skip


def file(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    return {f"{NAME}.{name}": torch.randn(*shape) * 0.1 for name, shape in shapes.items()}


@pytest.mark.parametrize("kind", kinds(8, 4))
def test_each_kind_for_another_base_is_refused_with_both_sizes(kind: str) -> None:
    """And taken, and applied, where it fits."""
    fitting = part_of(8, 4, 3, 3)
    (adapter,) = read_adapters(file(kinds(8, 4)[kind]), [fitting])
    weight = fitting.weights()[f"{TARGET}.weight"]
    assert patched(weight, [Patch(adapter)], f"{TARGET}.weight").shape == weight.shape
    for outputs, inputs in ((16, 4), (8, 2)):
        with pytest.raises(AdapterError, match=rf"{outputs} x {inputs * 9}, but this model's is 8 x 36. Choose one made for"):
            read_adapters(file(kinds(outputs, inputs)[kind]), [fitting])


def test_scales_and_lengths_of_another_base_are_refused() -> None:
    part = part_of(8, 4, 3, 3)
    with pytest.raises(AdapterError, match="changes a weight of 6 x 36"):
        read_adapters({f"{NAME}.weight": torch.ones(6), f"{NAME}.on_input": torch.tensor(False)}, [part])
    with pytest.raises(AdapterError, match="changes a weight of 8 x 54"):
        read_adapters({f"{NAME}.weight": torch.ones(6), f"{NAME}.on_input": torch.tensor(True)}, [part])
    locon = kinds(8, 4)["LoCon"]
    with pytest.raises(AdapterError, match="6 lengths, but this model's weight has 8 outputs and 4 inputs"):
        read_adapters(file({**locon, "dora_scale": (1, 6, 1, 1)}), [part])


def test_factors_of_different_ranks_are_a_damaged_file() -> None:
    with pytest.raises(AdapterError, match=r"factors of rank 4 and 2, which should be equal\. Download or train it again"):
        read_adapters(file({"lora_up.weight": (8, 4, 1, 1), "lora_down.weight": (2, 4, 3, 3)}), [part_of(8, 4, 3, 3)])


@pytest.mark.parametrize("alpha", [torch.tensor([3.0]), torch.tensor(3.0, dtype=torch.bfloat16), torch.tensor(3), torch.zeros(0)])
def test_alpha_may_be_of_any_type_and_shape(alpha: Tensor) -> None:
    part, tensors = part_of(8, 4, 3, 3), file(kinds(8, 4)["LoCon"])
    weight, name = part.weights()[f"{TARGET}.weight"], f"{TARGET}.weight"
    plain, scaled = (
        patched(weight, [Patch(read_adapters(some, [part])[0])], name) - weight
        for some in (tensors, {**tensors, f"{NAME}.alpha": alpha})
    )
    assert torch.allclose(scaled, plain * (1.5 if alpha.numel() else 1.0), atol=1e-5)


def test_what_is_not_used_is_told() -> None:
    """A module that is not there, one that lacks a half, one of rank 0, and a tensor of which nobody knows what it is."""
    model = demo_model()
    tensors = lora_for(model)
    assert unmatched(tensors, [model.part]) == []
    known = "lora_unet_conv_in"
    more = {
        "lora_unet_nowhere.lora_up.weight": torch.zeros(4, 4), "lora_unet_nowhere.lora_down.weight": torch.zeros(4, 4),
        f"{known}.lora_up.weight": torch.zeros(64, 4, 1, 1),
        "lora_unet_conv_out.lora_up.weight": torch.zeros(4, 0), "lora_unet_conv_out.lora_down.weight": torch.zeros(0, 576),
        "lora_unet_conv_in.some_new_kind": torch.zeros(4),
    }  # fmt: skip
    expected = ["lora_unet_nowhere", "lora_unet_conv_in", "lora_unet_conv_out", "lora_unet_conv_in.some_new_kind"]
    assert unmatched({**tensors, **more}, [model.part]) == expected
    words = {"lora_te_text_model_encoder_layers_0_mlp_fc1.lora_up.weight": torch.zeros(4, 4)}
    assert unmatched({**tensors, **words}, [model.part]) == [], "text is no concern of a node for the model alone"
    assert len(unmatched({**tensors, **words}, [model.part, *demo_clip().parts])) == 1


def test_a_file_of_strangers_says_how_many_and_the_first() -> None:
    flux = {f"lora_unet_double_blocks_{i}_img_mod_lin.lora_up.weight": torch.zeros(4, 4) for i in range(19)}
    with pytest.raises(AdapterError, match=r"the first of its 19 parts is 'lora_unet_double_blocks_0"):
        apply_lora(demo_model(), None, flux, 1.0, 0.0)
    with pytest.raises(AdapterError, match="it is empty"):
        apply_lora(demo_model(), None, {}, 1.0, 0.0)


@pytest.mark.parametrize("spelling", ["base_model.model.{}", "{}", "unet.{}"])
def test_hooks_for_the_denoiser_alone_leave_text_alone_however_they_are_spelled(spelling: str) -> None:
    up, down = torch.randn(128, 2), torch.randn(2, 128)
    name = spelling.format("mid_block.attentions.0.transformer_blocks.0.attn1.to_q")
    source = LoraSource({f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up})
    assert len(source.adapters([demo_model().part])) == 1
    assert source.adapters(demo_clip().parts) == []
    clip = demo_clip().with_hooks(Hooks((Hook(source, 1.0, 1.0),)))
    assert torch.equal(clip.encode("a cat")[0][0], demo_clip().encode("a cat")[0][0])


def with_words(layout: str, width: int = 128) -> dict[str, Tensor]:
    vectors = torch.randn(3, width, generator=torch.Generator().manual_seed(4))
    return {f"bundle_emb.my-style.{layout}": vectors}


@pytest.mark.parametrize("layout", ["clip_l", "string_to_param.*", "emb_params"])
def test_embeddings_that_come_with_a_lora_are_named_as_those_of_files_are(layout: str, tmp_path: Path) -> None:
    clip, words = demo_clip(), with_words(layout)
    save_file({layout: words[f"bundle_emb.my-style.{layout}"]}, tmp_path / "my-style.safetensors")
    beside = Clip(clip.towers, clip.place, lambda name: tmp_path / "my-style.safetensors" if name == "my-style" else None)
    expected = beside.encode("a cat, embedding:my-style, red")[0][0]
    tensors = {**lora_for(demo_model()), **words}
    assert unmatched(tensors, [demo_model().part]) == []
    for known in (clip, beside):
        _, bringing = apply_lora(demo_model(), known, tensors, 1.0, 1.0)
        assert bringing is not None
        assert torch.equal(bringing.encode("a cat, embedding:my-style, red")[0][0], expected)
    assert not torch.allclose(clip.encode("a cat, red")[0][0], expected, atol=1e-2)
    _, alone = apply_lora(demo_model(), clip, words, 1.0, 1.0)
    assert alone is not None
    assert torch.equal(alone.encode("a cat, embedding:my-style, red")[0][0], expected)
    hooked = clip.with_hooks(Hooks((Hook(LoraSource(tensors), 1.0, 0.0),)))
    assert torch.equal(hooked.encode("a cat, embedding:my-style, red")[0][0], expected)


def test_each_text_encoder_gets_its_own_vectors_of_a_bundle() -> None:
    words = {f"bundle_emb.two.clip_{name}": torch.full((2, width), 0.5) for name, width in (("l", 768), ("g", 1280))}
    found = bundled(words)["two"]
    for name, width in (("l", 768), ("g", 1280)):
        read = vectors(found, name, width)
        assert read is not None
        assert read.shape == (2, width)
    assert vectors(found, "h", 1024) is None
