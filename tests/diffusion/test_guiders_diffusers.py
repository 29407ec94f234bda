"""Guidance beside diffusers: its formulas on the same predictions, its edits of the network on the same network."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import torch
from diffusers.guiders import (
    adaptive_projected_guidance,
    classifier_free_zero_star_guidance,
    tangential_classifier_free_guidance,
)
from diffusers.guiders.guider_utils import rescale_noise_cfg
from diffusers.hooks import HookRegistry
from diffusers.hooks.layer_skip import LayerSkipConfig, _apply_layer_skip_hook
from diffusers.hooks.smoothed_energy_guidance_utils import _gaussian_blur_2d
from diffusers.models.attention_processor import PAGIdentitySelfAttnProcessor2_0
from diffusers.utils.torch_utils import fourier_filter
from torch import Tensor, nn

from engine.diffusion import formulas, rules
from engine.diffusion.edits.attention import blurred_queries, identity
from engine.diffusion.edits.blocks import low_frequencies, skipped
from engine.diffusion.edits.places import attentions
from engine.diffusion.rules import Parts
from tests.diffusion.demo import demo_model, prompt

SIGMA, CFG = 2.0, 4.0
X = torch.randn(3, 4, 16, 16, generator=torch.Generator().manual_seed(3)) * 2


def parts(seed: int = 5, sigma: float = SIGMA, memory: dict[object, Any] | None = None) -> Parts:
    """Predictions of unequal size and direction, as denoised latents."""
    generator = torch.Generator().manual_seed(seed)
    c = torch.randn(X.shape, generator=generator)
    u = 0.6 * c + 0.5 * torch.randn(X.shape, generator=generator)
    again: Callable[..., Tensor] = lambda *_: X  # noqa: E731
    return Parts(X, torch.tensor(sigma), {"positive": c, "negative": u}, CFG, {} if memory is None else memory, again)


def noise(p: Parts, denoised: Tensor) -> Tensor:
    return (p.x - denoised) / float(p.sigma)


@pytest.mark.parametrize("momentum", [0.0, -0.5, 0.3])
@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("threshold", [0.0, 5.0, 30.0])
def test_apg_is_diffusers_original_formulation(eta: float, threshold: float, momentum: float) -> None:
    """Over the steps of a run, whose guidance is remembered."""
    rule, memory = formulas.apg(eta, threshold, momentum), dict[object, Any]()
    buffer = adaptive_projected_guidance.MomentumBuffer(momentum)
    for seed, sigma in ((1, 4.0), (2, 3.0), (3, 2.0)):
        p = parts(seed, sigma, memory)
        expected = adaptive_projected_guidance.normalized_guidance(
            p.positive, p.negative, CFG, buffer, eta, threshold, use_original_formulation=True
        )
        assert torch.allclose(rules.formula(rule(p)), expected, atol=1e-4)


def test_tangential_damping_is_diffusers_on_the_noise() -> None:
    p = parts()
    expected = tangential_classifier_free_guidance.normalized_guidance(noise(p, p.positive), noise(p, p.negative), CFG)
    assert torch.allclose(noise(p, rules.formula(formulas.tcfg()(p))), expected, atol=1e-4)


def test_the_share_of_zero_star_is_diffusers() -> None:
    """What it weighs is the denoised prediction, as in ComfyUI, so the whole is their formula on it with the noise's share."""
    p = parts()
    flat = (noise(p, d).flatten(1) for d in (p.positive, p.negative))
    share = classifier_free_zero_star_guidance.cfg_zero_star_scale(*flat)[..., None, None]
    expected = share * p.negative + CFG * (p.positive - share * p.negative)
    assert torch.allclose(formulas.cfg_zero_star()(p, rules.formula(p)), expected, atol=1e-4)


@pytest.mark.parametrize("multiplier", [0.0, 0.7, 1.0])
def test_rescaled_guidance_is_diffusers_on_v(multiplier: float) -> None:
    p, alpha = parts(), 1 / math.sqrt(1 + SIGMA**2)
    x = p.x * alpha

    def v(denoised: Tensor) -> Tensor:
        return alpha * noise(p, denoised) - SIGMA * alpha * denoised

    guided = v(p.negative) + CFG * (v(p.positive) - v(p.negative))
    expected = rescale_noise_cfg(guided, v(p.positive), multiplier)
    assert torch.allclose(formulas.rescale(multiplier)(p), alpha * x - SIGMA * alpha * expected, atol=1e-4)


@pytest.mark.parametrize(("sigma", "size"), [(0.6, 16), (2.0, 16), (2.0, 9), (10.0, 16), (10.0, 5), (100.0, 2)])
def test_queries_are_blurred_as_diffusers_blurs_them(sigma: float, size: int) -> None:
    """Its function called where it blurs at all, which in 0.42 is above the threshold instead of below."""
    query = torch.randn(2, size * size, 8, generator=torch.Generator().manual_seed(1))
    kernel = math.ceil(6 * sigma) + 1 - math.ceil(6 * sigma) % 2
    expected = _gaussian_blur_2d(query.clone(), kernel, sigma, 0.0)
    layer = Seeing(query)
    with blurred_queries(sigma, "")(layer):
        layer(torch.zeros(2, 4, size, size), 1.0)
    assert torch.allclose(layer.seen, expected, atol=1e-5)


class Seeing(nn.Module):
    """One self-attention whose queries are given."""

    def __init__(self, query: Tensor) -> None:
        super().__init__()
        self.block = nn.Module()
        self.block.attn1 = nn.Module()
        self.block.attn1.to_q = nn.Identity()
        self.query, self.seen = query, query

    def forward(self, x: Tensor, timestep: float) -> None:
        self.seen = self.block.attn1.to_q(self.query.clone())  # type: ignore[union-attr, operator]


@torch.no_grad()
def said(edit: Any = None, x: Tensor = X) -> Tensor:
    """What the demo network says, with an edit on it."""
    network, family = demo_model().network(), demo_model().family
    inputs = {"context": prompt(1)[0][0].expand(len(x), -1, -1)}
    with ExitStack() as stack:
        if edit is not None:
            stack.enter_context(edit(network))
        return family.forward(network, x, torch.full((len(x),), 600.0), inputs)


def test_perturbed_attention_is_diffusers() -> None:
    @contextmanager
    def theirs(network: nn.Module) -> Iterator[None]:
        layers = [layer for _, layer in attentions(network, "attn1", "mid_block")]
        known = [layer.processor for layer in layers]
        for layer in layers:
            layer.processor = PAGIdentitySelfAttnProcessor2_0()
        yield
        for layer, processor in zip(layers, known, strict=True):
            layer.processor = processor

    both = said(theirs, torch.cat([X, X]))
    assert torch.allclose(both[:3], said(), atol=1e-4)
    assert torch.allclose(both[3:], said(identity()), atol=1e-4)
    assert not torch.allclose(said(identity()), said(), atol=1e-2)


@pytest.mark.parametrize("under", ["mid_block.attentions.0", "up_blocks.0.attentions.1"])
def test_skipped_blocks_are_diffusers(under: str) -> None:
    network = demo_model().network()
    names = [name for name, module in network.named_modules() if type(module).__name__ == "BasicTransformerBlock"]
    part = "middle" if under.startswith("mid") else "output"
    same = [name for name in names if name.startswith("mid_block" if part == "middle" else "up_blocks")]
    number = same.index(f"{under}.transformer_blocks.0")

    @contextmanager
    def theirs(network: nn.Module) -> Iterator[None]:
        _apply_layer_skip_hook(network, LayerSkipConfig([0], f"{under}.transformer_blocks"), "skip")
        yield
        block = network.get_submodule(f"{under}.transformer_blocks.0")
        HookRegistry.check_if_exists_or_initialize(block).remove_hook("skip")
        del block._diffusers_hook

    assert torch.allclose(said(skipped(f"{part}.{number}")), said(theirs), atol=1e-4)
    assert not torch.allclose(said(theirs), said(), atol=1e-2)
    assert torch.equal(said(), said())


@pytest.mark.parametrize("shape", [(16, 16), (12, 10), (7, 9)])
def test_the_low_frequencies_of_a_skip_are_diffusers(shape: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *shape)
    assert torch.allclose(low_frequencies(x, 0.2), fourier_filter(x, 1, 0.2), atol=1e-5)  # type: ignore[arg-type]
