"""Faster layers say what the plain ones say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.diffusion.families.sd2 import SD2
from engine.diffusion.fast import Pointwise, Widened, WidenedLinear, Winograd, attention, prepare
from engine.diffusion.parts import Part
from engine.diffusion.winograd import conv3x3, kernel_transform
from tests.diffusion import originals
from tests.diffusion.demo import demo_model


def relative(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


SHAPES = [(1, 32, 8, 8), (2, 40, 24, 32), (1, 16, 13, 7), (3, 8, 4, 4), (1, 8, 70, 90), (2, 4, 130, 260)]


@pytest.mark.parametrize("shape", SHAPES)
def test_winograd_equals_a_convolution_for_any_size(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(shape, generator=generator)
    weight, bias = torch.randn(24, shape[1], 3, 3, generator=generator), torch.randn(24, generator=generator)
    for memory in (torch.contiguous_format, torch.channels_last):
        ours = conv3x3(x.contiguous(memory_format=memory), kernel_transform(weight), bias)
        assert relative(ours, F.conv2d(x, weight, bias, padding=1)) < 1e-5
    assert relative(conv3x3(x, kernel_transform(weight), None), F.conv2d(x, weight, padding=1)) < 1e-5


def small_network() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 64, 3, padding=1), nn.SiLU(), nn.Conv2d(64, 64, 3, padding=1), nn.GroupNorm(8, 64),
        nn.Conv2d(64, 32, 1), nn.Conv2d(32, 32, 3, stride=2, padding=1), nn.Conv2d(32, 32, 3, padding=2, dilation=2),
        nn.Conv2d(32, 32, 3, padding=1, groups=4), nn.Conv2d(32, 32, 1, stride=2), nn.Flatten(), nn.LazyLinear(8),
    )  # fmt: skip


@torch.no_grad()
def test_every_layer_keeps_its_meaning() -> None:
    network, x = small_network(), torch.randn(2, 3, 48, 48)
    expected = network(x)
    prepare(network)
    kinds = [type(layer) for layer in network]
    assert kinds.count(Winograd) == 1
    assert kinds.count(Widened) == 4
    assert kinds.count(Pointwise) == 2
    assert kinds.count(WidenedLinear) == 1
    assert relative(network(x), expected) < 1e-5
    assert relative(network.to(memory_format=torch.channels_last)(x), expected) < 1e-5


@torch.no_grad()
def test_weights_in_half_the_bits_are_widened_for_each_call() -> None:
    network, x = small_network(), torch.randn(2, 3, 48, 48)
    network(x)
    for parameter in network.parameters():
        parameter.copy_(parameter.half())
    expected = network(x)
    prepare(network)
    for layer in network:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.weight = nn.Parameter(layer.weight.half())
    assert relative(network(x), expected) < 1e-5


@torch.no_grad()
def test_the_denoiser_equals_diffusers_own_processors_and_layers() -> None:
    part = demo_model().part
    plain, ours = part.module(torch.float32), demo_model().network()
    x, t, context = torch.randn(2, 4, 32, 32), torch.tensor([900.0, 20.0]), torch.randn(2, 77, 128)
    expected = plain(x, t, context).sample
    assert relative(ours(x, t, context).sample, expected) < 1e-5
    assert relative(ours(x, t, context).sample, expected) < 1e-5


@torch.no_grad()
def test_a_text_is_projected_once_and_another_text_is_not_mistaken_for_it() -> None:
    network = demo_model().network()
    calls: list[int] = []
    key = network.get_submodule("mid_block.attentions.0.transformer_blocks.0.attn2.to_k")
    handle = key.register_forward_hook(lambda module, args, out: calls.append(1))
    x, t = torch.randn(1, 4, 16, 16), torch.tensor([500.0])
    context = torch.randn(1, 77, 128)
    first = network(x, t, context).sample
    again = network(x, t, context).sample
    assert torch.equal(first, again)
    assert len(calls) == 1
    other = network(x, t, context.clone()).sample
    assert len(calls) == 2
    assert torch.allclose(other, first)
    context = torch.zeros(1, 77, 128)
    assert not torch.allclose(network(x, t, context).sample, first)
    handle.remove()


@pytest.mark.parametrize(("queries", "keys", "close"), [(300, 1024, 0.01), (1024, 2000, 0.01), (64, 77, 0.005)])
def test_attention_in_bfloat16_is_that_in_float32_but_for_rounding(queries: int, keys: int, close: float) -> None:
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, queries, 3, 40, generator=generator).transpose(1, 2)
    k, v = (torch.randn(2, keys, 3, 40, generator=generator).transpose(1, 2) for _ in range(2))
    expected = F.scaled_dot_product_attention(q, k, v)
    assert torch.equal(attention(q, k, v), expected)
    found = attention(q.bfloat16(), k.bfloat16(), v.bfloat16())
    assert found.shape == expected.shape
    assert (found.float() - expected).norm() < close * expected.norm()


@torch.no_grad()
@pytest.mark.parametrize("placed", [True, False])
def test_stable_diffusion_2_attends_in_float32(placed: bool) -> None:
    """Its scores are large; weights in bfloat16 must cost no more than the rounding of what comes out."""
    family = SD2(replace(originals.SD1_TINY, channels=(64, 128), linear=True))
    tensors = originals.filled(originals.denoiser(family))
    network = Part("denoiser", family.build, family.keymap(tensors), tensors).module(torch.bfloat16)
    if placed:
        prepare(network)
    layer: Any = network.get_submodule("down_blocks.0.attentions.0.transformer_blocks.0.attn1")
    layer.to_q.weight.mul_(8)
    x = torch.randn(1, 1024, 64, generator=torch.manual_seed(0)).bfloat16()
    q, k, v = (project(x).double()[:, None] for project in (layer.to_q, layer.to_k, layer.to_v))
    expected = layer.to_out[0](F.scaled_dot_product_attention(q, k, v)[:, 0].bfloat16())
    assert relative(layer(x).float(), expected.float()) < 1e-3
    layer.upcast_attention = False
    assert relative(layer(x).float(), expected.float()) > 1e-3
