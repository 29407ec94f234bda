"""A LoRA with a strength a block: each weight changes by its block's share, however the list is written."""

from __future__ import annotations

import torch

from engine.diffusion import merge_blocks
from engine.diffusion.lora import apply_by_block, apply_lora
from engine.diffusion.patches import patched, touching
from tests.diffusion.demo import demo_model
from tests.diffusion.test_lora import lora_for


def test_each_block_changes_by_its_share() -> None:
    model, tensors = demo_model(), lora_for(demo_model())
    plain, _ = apply_lora(model, None, tensors, 1.0, 0.0)
    blocks = merge_blocks.read("input_blocks.=0, middle_block.=0.5, output_blocks.=2", 1.0)
    ours, _ = apply_by_block(model, None, tensors, 1.0, 0.0, blocks)
    assert plain is not None
    shares = {"down_blocks": 0.0, "mid_block": 0.5, "up_blocks": 2.0}
    seen = set()
    for target, weight in model.part.weights().items():
        whole = patched(weight, touching(plain.patches, target), target) - weight.float()
        part = patched(weight, touching(ours.patches, target), target) - weight.float()
        share = shares.get(target.split(".")[0], 1.0)
        assert torch.allclose(part, share * whole, atol=1e-5), target
        seen |= {share} if whole.any() else set()
    assert seen == {0.0, 0.5, 2.0}


def test_ones_everywhere_are_the_plain_lora() -> None:
    model, tensors = demo_model(), lora_for(demo_model())
    plain, _ = apply_lora(model, None, tensors, 0.7, 0.0)
    assert plain is not None
    for text in ("", "output_blocks.=1"):
        ours, _ = apply_by_block(model, None, tensors, 0.7, 0.0, merge_blocks.read(text, 1.0))
        for target, weight in model.part.weights().items():
            both = [patched(weight, touching(one.patches, target), target) for one in (plain, ours)]
            assert torch.equal(*both), target


def test_short_lists_give_the_blocks_that_attend() -> None:
    """17 numbers: IN01 IN02 IN04 IN05 IN07 IN08, M00, OUT03 to OUT11; 12 for SDXL: IN04 IN05 IN07 IN08, M00, OUT00 to OUT05."""
    sd1 = merge_blocks.read(",".join(map(str, range(17))), 1.0)
    assert [sd1(f"input_blocks.{i}.x") for i in (1, 2, 4, 5, 7, 8)] == [1, 2, 3, 4, 5, 6]
    assert sd1("middle_block.1.x") == 7
    assert [sd1(f"output_blocks.{i}.x") for i in (3, 11)] == [8, 16]
    assert sd1("input_blocks.3.x") == 1.0, "a block that does not attend"
    xl = merge_blocks.read(",".join(map(str, range(12))), 1.0)
    assert [xl(f"input_blocks.{i}.x") for i in (4, 5, 7, 8)] == [1, 2, 3, 4]
    assert xl("middle_block.1.x") == 5
    assert [xl(f"output_blocks.{i}.x") for i in (0, 5)] == [6, 11]
    assert (xl.base, xl("output_blocks.8.x")) == (0, 1.0)
