"""Style models and LLLite against their published networks written out, and their neutral settings."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from engine.diffusion import networks
from engine.diffusion.clip_vision import ClipVision
from engine.diffusion.conditioning import concat
from engine.diffusion.containers import CheckpointError
from engine.diffusion.control import ControlNet, apply_control
from engine.diffusion.control_files import original_part
from engine.diffusion.edits.attention import Nag
from engine.diffusion.edits.lllite import Lllite, modules_of
from engine.diffusion.edits.places import EditError
from engine.diffusion.guidance import Guided, basic_guider
from engine.diffusion.model import Model
from engine.diffusion.parts import Part, straight
from engine.diffusion.residency import Residency
from engine.diffusion.style_model import StyleModel, apply_style, load_style_model
from engine.diffusion.vision.network import ClipImage, VisionConfig
from tests.diffusion.demo import demo_model, prompt
from tests.diffusion.originals import filled
from tests.diffusion.test_control import original_layout

SIGMA = torch.tensor(2.0)
X = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(9)) * 2
PICTURE = torch.rand(1, 128, 128, 3, generator=torch.Generator().manual_seed(4))
A = prompt(1)


@torch.no_grad()
def denoised(model: Model, positive: Any = A, x: Tensor = X) -> Tensor:
    guider = basic_guider(model, positive)
    with ExitStack() as stack:
        return Guided.start(guider, guider.open(stack), x, None, None)(x, SIGMA)


@cache
def vision() -> ClipVision:
    config = VisionConfig(64, 2, 128, 4, "quick_gelu", 8, 32, 48)
    tensors = filled(ClipImage(config).state_dict(), 6)
    return ClipVision(Part("clip_vision", partial(ClipImage, config), straight(tensors), tensors), Residency("cpu"))


@pytest.fixture
def style(tmp_path: Path) -> StyleModel:
    from engine.diffusion.style_model import StyleAdapter

    save_file(filled(StyleAdapter(64, 128, 3, 2).state_dict(), 2), tmp_path / "style.safetensors")
    return load_style_model(tmp_path / "style.safetensors", Residency("cpu"))


def test_a_style_adapter_is_clip_s_transformer_with_learnt_tokens(style: StyleModel) -> None:
    """Against the same layers as diffusers has them (in its ControlNet Union)."""
    networks.network_class("ControlNetUnionModel")
    from diffusers.models.controlnets.controlnet_union import ResidualAttentionBlock

    weights = style.part.weights()
    seen = vision().encode(PICTURE)
    x = torch.cat([seen.last_hidden_state, weights["style_embedding"]], dim=1)
    x = F.layer_norm(x, (64,), weights["ln_pre.weight"], weights["ln_pre.bias"])
    with torch.no_grad():
        for i in range(2):
            block = ResidualAttentionBlock(64, 8)
            block.load_state_dict({n.split(".", 2)[2]: t for n, t in weights.items() if n.startswith(f"transformer_layes.{i}.")})
            x = block(x.transpose(0, 1)).transpose(0, 1)
    expected = F.layer_norm(x[:, -3:], (64,), weights["ln_post.weight"], weights["ln_post.bias"]) @ weights["proj"]
    assert torch.allclose(style.tokens(seen), expected, atol=1e-5)


def test_style_tokens_follow_the_prompt_s(style: StyleModel) -> None:
    seen = vision().encode(PICTURE)
    [[embedding, options]] = apply_style(A, style, seen, 0.5)
    assert torch.equal(embedding[:, :77], A[0][0])
    assert torch.allclose(embedding[:, 77:], style.tokens(seen) * 0.5)
    assert "attention_mask" not in options
    assert not torch.allclose(denoised(demo_model(), [[embedding, options]]), denoised(demo_model()), atol=1e-3)
    [[whole, biased]] = apply_style(A, style, seen, 0.25, "attn_bias")
    assert torch.allclose(whole[:, 77:], style.tokens(seen))
    assert biased["attention_mask"][0, 77:].exp().tolist() == pytest.approx([0.25] * 3)
    assert not biased["attention_mask"][77:].any()


def test_a_bias_of_weight_0_hides_the_picture_and_of_weight_1_is_none(style: StyleModel) -> None:
    seen = vision().encode(PICTURE)
    model, multiplied = demo_model(), apply_style(A, style, seen)
    assert torch.equal(denoised(model, apply_style(A, style, seen, 1.0, "attn_bias")), denoised(model, multiplied))
    assert torch.allclose(denoised(model, apply_style(A, style, seen, 0.0, "attn_bias")), denoised(model), atol=1e-5)


def test_a_bias_of_weight_2_is_the_picture_twice(style: StyleModel) -> None:
    """exp(score + log 2) is two tokens of one score; so is the text beside a picture of weight 1/2, given twice."""
    seen = vision().encode(PICTURE)
    once = apply_style(A, style, seen)
    twice = apply_style(once, style, seen)
    expected = denoised(demo_model(), twice)
    assert not torch.allclose(denoised(demo_model(), once), expected, atol=1e-3)
    assert torch.allclose(denoised(demo_model(), apply_style(A, style, seen, 2.0, "attn_bias")), expected, atol=1e-4)
    halves = apply_style(apply_style(A, style, seen, 0.5, "attn_bias"), style, seen, 0.5, "attn_bias")
    assert torch.allclose(denoised(demo_model(), halves), denoised(demo_model(), once), atol=1e-4)


def test_a_bias_stays_with_its_tokens(style: StyleModel) -> None:
    """Another picture or text after a hidden one hides nothing of itself; ControlNets and NAG heed the bias, too."""
    seen, other = vision().encode(PICTURE), vision().encode(1 - PICTURE)
    hidden = apply_style(A, style, seen, 0.0, "attn_bias")
    second = apply_style(hidden, style, other, 1.0)
    model = demo_model()
    assert torch.allclose(denoised(model, second), denoised(model, apply_style(A, style, other)), atol=1e-5)
    longer, plain = (concat(before, prompt(2)) for before in (hidden, A))
    assert torch.allclose(denoised(model, longer), denoised(model, plain), atol=1e-5)
    part, _ = original_part({name.removeprefix("control_model."): t for name, t in original_layout().items()})
    net = ControlNet(part, Residency("cpu"), 128)
    controlled = [apply_control(text, A, net, PICTURE, 1.0, 0.0, 1.0)[0] for text in (hidden, A)]
    assert torch.allclose(denoised(model, controlled[0]), denoised(model, controlled[1]), atol=1e-5)
    normalized = model.with_edit(Nag(negative=prompt(3)))
    assert torch.allclose(denoised(normalized, hidden), denoised(normalized), atol=1e-5)


def test_redux_is_two_layers(tmp_path: Path) -> None:
    from engine.diffusion.style_model import Redux

    tensors = filled(Redux(64, 96, 128).state_dict(), 2)
    save_file(tensors, tmp_path / "redux.safetensors")
    seen = vision().encode(PICTURE)
    up = F.silu(F.linear(seen.last_hidden_state, tensors["redux_up.weight"], tensors["redux_up.bias"]))
    expected = F.linear(up, tensors["redux_down.weight"], tensors["redux_down.bias"])
    assert torch.allclose(load_style_model(tmp_path / "redux.safetensors", Residency("cpu")).tokens(seen), expected, atol=1e-5)


def test_style_models_that_do_not_fit_say_so(style: StyleModel, tmp_path: Path) -> None:
    seen = vision().encode(PICTURE)
    with pytest.raises(ValueError, match="tokens of width 128, but the prompt's are 64"):
        apply_style([[torch.zeros(1, 77, 64), {}]], style, seen)
    save_file({"a": torch.zeros(1)}, tmp_path / "none.safetensors")
    with pytest.raises(CheckpointError, match="no style model"):
        load_style_model(tmp_path / "none.safetensors")


def lllite_tensors() -> dict[str, Tensor]:
    """For the queries of two attention layers on the second level: a picture at a sixteenth, eight channels wide."""
    generator = torch.Generator().manual_seed(2)
    tensors = {}
    for layer in ("attn1_to_q", "attn2_to_q"):
        shapes = {
            "conditioning1.0": (4, 3, 4, 4),
            "conditioning1.2": (8, 4, 4, 4),
            "down.0": (6, 128),
            "mid.0": (6, 14),
            "up.0": (128, 6),
        }
        for name, shape in shapes.items():
            module = f"lllite_unet_input_blocks_3_1_transformer_blocks_0_{layer}"
            fan = torch.Size(shape[1:]).numel()
            tensors[f"{module}.{name}.weight"] = torch.randn(shape, generator=generator) / fan**0.5
            tensors[f"{module}.{name}.bias"] = torch.randn(shape[0], generator=generator) * 0.1
    return tensors


def test_lllite_adds_its_networks_output_to_the_layer_s_input() -> None:
    """Against the formula as hooks on the very layers."""
    tensors = lllite_tensors()
    model = demo_model()
    found = modules_of(tensors, model)
    assert sorted(found) == [f"down_blocks.1.attentions.0.transformer_blocks.0.attn{i}.to_q" for i in (1, 2)]
    network = model.network()

    def formula(pieces: dict[str, Tensor]) -> Any:
        first = nn.Conv2d(3, 4, 4, 4)
        second = nn.Conv2d(4, 8, 4, 4)
        for conv, name in ((first, "conditioning1.0"), (second, "conditioning1.2")):
            conv.load_state_dict({"weight": pieces[f"{name}.weight"], "bias": pieces[f"{name}.bias"]})
        hint = second(F.relu(first(PICTURE.movedim(-1, 1) * 2 - 1))).flatten(2).transpose(1, 2)

        def hook(module: Any, args: Any) -> Any:
            x = args[0]
            down = F.relu(x @ pieces["down.0.weight"].T + pieces["down.0.bias"])
            mid = F.relu(torch.cat([hint, down], 2) @ pieces["mid.0.weight"].T + pieces["mid.0.bias"])
            return (x + 0.8 * (mid @ pieces["up.0.weight"].T + pieces["up.0.bias"]),)

        return hook

    handles = [dict(network.named_modules())[name].register_forward_pre_hook(formula(pieces)) for name, pieces in found.items()]
    expected = denoised(model)
    for handle in handles:
        handle.remove()
    assert torch.allclose(denoised(model.with_edit(Lllite(found, PICTURE, 0.8))), expected, atol=1e-4)
    assert not torch.allclose(denoised(model), expected, atol=1e-2)


def test_lllite_at_strength_0_or_out_of_its_range_is_nothing() -> None:
    found, model = modules_of(lllite_tensors(), demo_model()), demo_model()
    t = float(model.sampling.timestep(SIGMA))
    assert torch.equal(denoised(model.with_edit(Lllite(found, PICTURE, 0.0))), denoised(model))
    assert torch.equal(denoised(model.with_edit(Lllite(found, PICTURE, 1.0, last_timestep=t + 1))), denoised(model))
    two = denoised(model.with_edit(Lllite(found, PICTURE)), x=torch.cat([X, X]))
    assert torch.allclose(two[1:], denoised(model.with_edit(Lllite(found, PICTURE))), atol=1e-4)


def test_lllite_of_another_base_says_so() -> None:
    wide = {name: torch.zeros(6, 320) if name.endswith("down.0.weight") else t for name, t in lllite_tensors().items()}
    with pytest.raises(EditError, match="takes 128 channels, not 320"):
        modules_of(wide, demo_model())
    with pytest.raises(EditError, match="no ControlNet-LLLite for Stable Diffusion 1"):
        modules_of({"lllite_unet_input_blocks_9_9.down.0.weight": torch.zeros(1)}, demo_model())
