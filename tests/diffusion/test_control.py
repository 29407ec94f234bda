"""ControlNets: both file layouts load exactly, and a steered run equals diffusers' own two networks."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.diffusion import conditioning
from engine.diffusion.containers import CheckpointError
from engine.diffusion.control import Control, ControlNet, apply_control
from engine.diffusion.control_files import load_control
from engine.diffusion.guidance import Guided, basic_guider, cfg_guider
from engine.diffusion.residency import Residency
from tests.diffusion.demo import demo_model, prompt

SIGMA = torch.tensor(2.0)
GENERATOR = torch.Generator().manual_seed(9)
X = torch.randn(1, 4, 16, 16, generator=GENERATOR) * 2
PICTURE = torch.rand(1, 100, 128, 3, generator=GENERATOR)
A, B = prompt(1), prompt(2)


@cache
def original_layout() -> dict[str, Tensor]:
    """``control_model.``: the demo UNet's own first half, a random picture encoder and random "zero" convolutions."""
    generator = torch.Generator().manual_seed(4)
    stored = demo_model().part.stored
    tensors = {name: t.float() for name, t in stored.items() if name.startswith(("input_blocks", "middle_block", "time_embed"))}
    channels = [(3, 16), (16, 16), (16, 32), (32, 32), (32, 96), (96, 96), (96, 256), (256, 64)]
    for i, (before, after) in enumerate(channels):
        tensors[f"input_hint_block.{2 * i}.weight"] = torch.randn(after, before, 3, 3, generator=generator) * 0.1
        tensors[f"input_hint_block.{2 * i}.bias"] = torch.zeros(after)
    for i, width in enumerate([64, 64, 64, 128, 128, 128]):
        tensors[f"zero_convs.{i}.0.weight"] = torch.randn(width, width, 1, 1, generator=generator) * 0.05
        tensors[f"zero_convs.{i}.0.bias"] = torch.zeros(width)
    tensors["middle_block_out.0.weight"] = torch.randn(128, 128, 1, 1, generator=generator) * 0.05
    tensors["middle_block_out.0.bias"] = torch.zeros(128)
    return {f"control_model.{name}": tensor for name, tensor in tensors.items()}


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> ControlNet:
    path = tmp_path_factory.mktemp("controlnet") / "control.safetensors"
    save_file(original_layout(), path)
    return load_control(path, Residency("cpu"))


def denoised(positive: list[list[object]], negative: list[list[object]] | None = None, cfg: float = 1.0, x: Tensor = X) -> Tensor:
    model = demo_model()
    guider = basic_guider(model, positive) if negative is None else cfg_guider(model, positive, negative, cfg)
    with torch.no_grad():
        return Guided.start(guider, model.network(), x, None, None)(x, SIGMA)


def test_the_original_layout_equals_diffusers_conversion(net: ControlNet) -> None:
    from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint

    config = {"layers_per_block": 1, "class_embed_type": None, "addition_embed_type": None}
    expected = convert_controlnet_checkpoint(dict(original_layout()), config)
    ours = net.part.weights()
    assert ours.keys() == expected.keys()
    assert all(torch.equal(ours[name], expected[name]) for name in ours)


def test_diffusers_layout_gives_the_same_network(net: ControlNet, tmp_path: Path) -> None:
    save_file({name: t.contiguous() for name, t in net.part.weights().items()}, tmp_path / "diffusers.safetensors")
    other = load_control(tmp_path / "diffusers.safetensors", Residency("cpu"))
    ours, theirs = (control.place(control.part).state_dict() for control in (net, other))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert other.context == net.context == 128


def test_a_steered_prediction_equals_diffusers_two_networks(net: ControlNet) -> None:
    from engine.diffusion.pixels.resize import resize

    strength = 0.8
    positive, _ = apply_control(A, B, net, PICTURE, strength, 0.0, 1.0)
    hint = resize(PICTURE.movedim(-1, 1), 128, 128, "nearest-exact", "center")
    model = demo_model()
    t = model.sampling.timestep(SIGMA).expand(1)
    scaled = X / (SIGMA**2 + 1).sqrt()
    with torch.no_grad():
        control = net.place(net.part)
        down, mid = control(scaled, t, A[0][0], hint, conditioning_scale=strength, return_dict=False)
        eps = model.network()(
            scaled, t, A[0][0], down_block_additional_residuals=down, mid_block_additional_residual=mid
        ).sample
    expected = X - SIGMA * eps
    assert torch.allclose(denoised(positive), expected, atol=1e-4)
    assert not torch.allclose(denoised(A), expected, atol=1e-2)


def test_steering_stops_at_its_end(net: ControlNet) -> None:
    """SIGMA is at about the middle of the schedule."""
    early, _ = apply_control(A, B, net, PICTURE, 1.0, 0.0, 0.3)
    late, _ = apply_control(A, B, net, PICTURE, 1.0, 0.7, 1.0)
    middle, _ = apply_control(A, B, net, PICTURE, 1.0, 0.3, 0.7)
    plain = denoised(A)
    assert torch.allclose(denoised(early), plain, atol=1e-5)
    assert torch.allclose(denoised(late), plain, atol=1e-5)
    assert not torch.allclose(denoised(middle), plain, atol=1e-2)


def test_strength_zero_is_no_control(net: ControlNet) -> None:
    positive, negative = apply_control(A, B, net, PICTURE, 0.0, 0.0, 1.0)
    assert "control" not in positive[0][1]
    assert torch.equal(denoised(positive, negative, 3.0), denoised(A, B, 3.0))


def test_two_controls_add_up(net: ControlNet) -> None:
    """The same control twice at half strength is once at full strength: residuals are linear in it."""
    once, _ = apply_control(A, B, net, PICTURE, 1.0, 0.0, 1.0)
    half, _ = apply_control(A, B, net, PICTURE, 0.5, 0.0, 1.0)
    twice, _ = apply_control(half, B, net, PICTURE, 0.5, 0.0, 1.0)
    assert torch.allclose(denoised(once), denoised(twice), atol=1e-4)


def test_both_sides_share_one_call_of_the_control_network(net: ControlNet) -> None:
    rows: list[int] = []
    handle = net.place(net.part).register_forward_pre_hook(lambda module, args: rows.append(len(args[0])))
    positive, negative = apply_control(A, B, net, PICTURE, 1.0, 0.0, 1.0)
    denoised(positive, negative, 3.0)
    handle.remove()
    assert rows == [2]


def test_a_control_on_the_positive_alone_can_be_lent_to_the_negative(net: ControlNet) -> None:
    both_positive, both_negative = apply_control(A, B, net, PICTURE, 1.0, 0.0, 1.0)
    lent = conditioning.set_control(A, Control(net, PICTURE), to_uncond=True)
    kept = conditioning.set_control(A, Control(net, PICTURE))
    expected = denoised(both_positive, both_negative, 3.0)
    assert torch.allclose(denoised(lent, B, 3.0), expected, atol=1e-4)
    assert not torch.allclose(denoised(kept, B, 3.0), expected, atol=1e-2)


def test_a_batch_of_latents_takes_the_picture_for_each(net: ControlNet) -> None:
    positive, _ = apply_control(A, B, net, PICTURE, 1.0, 0.0, 1.0)
    two = torch.cat([X, X])
    assert torch.allclose(denoised(positive, x=two)[1:], denoised(positive), atol=1e-4)


def make_wide(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same for text embeddings of width 768."""
    listening = ("attn2.to_k.weight", "attn2.to_v.weight")
    return {name: torch.zeros(t.shape[0], 768) if name.endswith(listening) else t for name, t in tensors.items()}


def test_a_control_net_of_another_base_says_so(tmp_path: Path) -> None:
    save_file(make_wide(original_layout()), tmp_path / "wide.safetensors")
    other = load_control(tmp_path / "wide.safetensors", Residency("cpu"))
    positive, _ = apply_control(A, B, other, PICTURE, 1.0, 0.0, 1.0)
    with pytest.raises(ValueError, match=r"width 768, but Stable Diffusion 1 has 128"):
        denoised(positive)


def test_a_file_without_a_control_net_is_refused(tmp_path: Path) -> None:
    save_file({"something": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="no ControlNet"):
        load_control(tmp_path / "other.safetensors")


def test_a_network_in_another_number_format_is_steered_alike(net: ControlNet) -> None:
    """The ControlNet computes in float32, the model in bfloat16, whose steps are 0.4 %."""
    [positive, _] = apply_control(A, B, net, PICTURE, 1.0, 0.0, 1.0)
    halves = demo_model().with_dtype(torch.bfloat16)
    with torch.no_grad():
        steered = Guided.start(basic_guider(halves, positive), halves.network(), X, None, None)(X, SIGMA)
    whole = denoised(positive)
    assert (steered - whole).std() < 0.05 * (whole - denoised(A)).std()


def test_a_whole_run_is_steered(net: ControlNet) -> None:
    from engine.diffusion.sampling import ksampler
    from tests.diffusion.demo import empty

    settings: dict[str, object] = {"seed": 1, "steps": 3, "cfg": 3.0, "sampler_name": "euler", "scheduler": "normal"}
    run: Callable[..., dict[str, Tensor]] = ksampler
    positive, negative = apply_control(A, B, net, PICTURE, 1.0, 0.0, 1.0)
    steered = run(demo_model(), positive, negative, empty(), **settings)["samples"]
    assert not torch.allclose(steered, run(demo_model(), A, B, empty(), **settings)["samples"], atol=1e-2)
