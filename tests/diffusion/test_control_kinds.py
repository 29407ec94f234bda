"""ControlNet Union, Control-LoRA, T2I-Adapters, differences and masks: each equals diffusers' or a plain one."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.diffusion import networks
from engine.diffusion.containers import CheckpointError
from engine.diffusion.control import Control, ControlNet, apply_control
from engine.diffusion.control_files import diffusers_part, load_control
from engine.diffusion.control_union import KINDS, with_kind
from engine.diffusion.families.sd1 import SD1
from engine.diffusion.families.sdxl import SDXL
from engine.diffusion.guidance import Guided, basic_guider, cfg_guider
from engine.diffusion.lora import apply_lora
from engine.diffusion.model import Model
from engine.diffusion.parts import Part
from engine.diffusion.pixels.resize import resize
from engine.diffusion.residency import Residency
from engine.diffusion.t2i_adapter import adapter
from tests.diffusion import originals
from tests.diffusion.demo import demo_model, prompt
from tests.diffusion.originals import filled
from tests.diffusion.test_control import original_layout
from tests.diffusion.test_hooks import lora

SIGMA = torch.tensor(2.0)
GENERATOR = torch.Generator().manual_seed(9)
X = torch.randn(1, 4, 16, 16, generator=GENERATOR) * 2
PICTURE = torch.rand(1, 100, 128, 3, generator=GENERATOR)
HINT = resize(PICTURE.movedim(-1, 1), 128, 128, "nearest-exact", "center")
A, B = prompt(1), prompt(2)
SHARED = ("in_channels", "block_out_channels", "down_block_types", "mid_block_type", "cross_attention_dim", "attention_head_dim",
          "use_linear_projection")  # fmt: skip
SCALED = X / (SIGMA**2 + 1).sqrt()


@torch.no_grad()
def denoised(positive: Any, negative: Any = None, cfg: float = 1.0, x: Tensor = X, model: Model | None = None) -> Tensor:
    model = model or demo_model()
    guider = basic_guider(model, positive) if negative is None else cfg_guider(model, positive, negative, cfg)
    with ExitStack() as stack:
        return Guided.start(guider, guider.open(stack), x, None, None)(x, SIGMA)


def steered(net: ControlNet, strength: float = 1.0, mask: Tensor | None = None, x: Tensor = X, model: Any = None) -> Tensor:
    return denoised(apply_control(A, B, net, PICTURE, strength, 0.0, 1.0, mask)[0], x=x, model=model)


@torch.no_grad()
def by_hand(model: Model | None = None, text: Any = A, **residuals: Any) -> Tensor:
    """The model's prediction with diffusers' own arguments."""
    model = model or demo_model()
    t = model.sampling.timestep(SIGMA).expand(1)
    eps = model.network()(SCALED, t, text[0][0], **residuals).sample
    return X - SIGMA * eps


@cache
def tiny() -> Model:
    """Attention on all levels but the last, and that as wide as the one before, as in Stable Diffusion 1."""
    depths = ((1,), (1,), (0,))
    config = replace(originals.SD1_TINY, channels=(32, 64, 64), down=depths, up=tuple(2 * d for d in depths[::-1]), context=128)
    family = SD1(config)
    tensors = filled(originals.denoiser(family), 1)
    return Model(Part("denoiser", family.build, family.keymap(tensors), tensors), family, Residency("cpu"))


def stored_control(path: Path, tensors: dict[str, Tensor]) -> ControlNet:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return load_control(path, Residency("cpu"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> ControlNet:
    return stored_control(tmp_path_factory.mktemp("plain") / "control.safetensors", original_layout())


def union_tensors(plain: ControlNet, kinds: int) -> dict[str, Tensor]:
    """The plain network with a Union's additions, at random."""
    config = dict(plain.place(plain.part).config) | {  # type: ignore[call-overload]
        "num_control_type": kinds, "num_trans_channel": 64, "num_proj_channel": 64, "addition_time_embed_dim": 256,
    }  # fmt: skip
    cls = networks.network_class("ControlNetUnionModel")
    names = set(cls.__init__.__wrapped__.__code__.co_varnames) if hasattr(cls.__init__, "__wrapped__") else set(config)
    network = networks.build("ControlNetUnionModel", {k: v for k, v in config.items() if k in names and not k.startswith("_")})
    own = plain.part.weights()
    made = filled({name: t for name, t in network.state_dict().items() if name not in own}, 3)
    return {**{name: t.clone() for name, t in own.items()}, **made}


@pytest.mark.parametrize(("kinds", "name"), [(6, "canny/lineart/anime_lineart/mlsd"), (8, "repaint")])
def test_a_union_told_its_kind_equals_diffusers(plain: ControlNet, tmp_path: Path, kinds: int, name: str) -> None:
    net = stored_control(tmp_path / "union.safetensors", union_tensors(plain, kinds))
    assert net.kinds == kinds
    network = net.place(net.part)
    told = torch.zeros(1, kinds)
    told[:, KINDS[name]] = 1
    with torch.no_grad():
        down, mid = network(
            SCALED, demo_model().sampling.timestep(SIGMA).expand(1), A[0][0], [HINT], told, [KINDS[name]],
            conditioning_scale=0.8, return_dict=False,
        )  # fmt: skip
    expected = by_hand(down_block_additional_residuals=down, mid_block_additional_residual=mid)
    assert torch.allclose(steered(with_kind(net, name), 0.8), expected, atol=1e-4)
    assert not torch.allclose(steered(with_kind(net, "openpose"), 0.8), expected, atol=1e-3)


def test_a_union_told_nothing_adds_the_picture_as_a_plain_one_does(plain: ControlNet, tmp_path: Path) -> None:
    """diffusers' network with the transformer's share at zero and no kind in the time embedding."""
    tensors = union_tensors(plain, 6)
    net = stored_control(tmp_path / "union.safetensors", tensors)
    silent = {name: torch.zeros_like(t) if name.startswith("spatial_ch_projs") else t for name, t in tensors.items()}
    network = (other := stored_control(tmp_path / "silent.safetensors", silent)).place(other.part)
    with torch.no_grad():
        t = demo_model().sampling.timestep(SIGMA).expand(1)
        down, mid = network(SCALED, t, A[0][0], [HINT], torch.zeros(1, 6), [0], conditioning_scale=1.0, return_dict=False)
    expected = by_hand(down_block_additional_residuals=down, mid_block_additional_residual=mid)
    assert torch.allclose(steered(net), expected, atol=1e-4)
    assert torch.allclose(steered(with_kind(with_kind(net, "depth"), "auto")), expected, atol=1e-4)


def test_a_kind_the_network_does_not_know_is_refused(plain: ControlNet, tmp_path: Path) -> None:
    net = stored_control(tmp_path / "union.safetensors", union_tensors(plain, 6))
    with pytest.raises(ValueError, match="no pictures of kind 'tile'; it knows openpose"):
        with_kind(net, "tile")
    assert with_kind(plain, "tile").kind is None


ADAPTERS: dict[str, dict[str, Any]] = {
    "full": {"in_channels": 3, "channels": [32, 64, 64], "num_res_blocks": 2, "adapter_type": "full_adapter"},
    "full grey": {"in_channels": 1, "channels": [32, 64, 64], "num_res_blocks": 2, "adapter_type": "full_adapter"},
    "light": {"in_channels": 3, "channels": [32, 64], "num_res_blocks": 4, "adapter_type": "light_adapter"},
}


def adapter_tensors(config: dict[str, Any]) -> dict[str, Tensor]:
    return filled(networks.build("T2IAdapter", config).state_dict(), 7)


def by_authors(tensors: dict[str, Tensor], light: bool) -> dict[str, Tensor]:
    """The names of the authors' own files (four levels in their files; here as many as the adapter has)."""
    renamed = {}
    for name, tensor in tensors.items():
        parts = name.removeprefix("adapter.").split(".")
        if light:
            parts = ["body" if part == "resnets" else part for part in parts]
        elif parts[0] == "body":
            block = int(parts[3]) if parts[2] == "resnets" else 0
            parts = ["body", str(2 * int(parts[1]) + block), *(parts[4:] if parts[2] == "resnets" else parts[2:])]
        renamed[".".join(parts)] = tensor
    return renamed


@pytest.mark.parametrize("kind", list(ADAPTERS))
def test_an_adapter_equals_diffusers(tmp_path: Path, kind: str) -> None:
    config = ADAPTERS[kind]
    tensors = adapter_tensors(config)
    net = stored_control(tmp_path / "t2i.safetensors", tensors)
    network = networks.network_class("T2IAdapter")(**config)
    network.load_state_dict(tensors)
    hint = HINT.mean(1, keepdim=True) if config["in_channels"] == 1 else HINT
    with torch.no_grad():
        features = [feature * 0.6 for feature in network(hint)]
    expected = by_hand(tiny(), down_intrablock_additional_residuals=features)
    assert torch.allclose(steered(net, 0.6, model=tiny()), expected, atol=1e-4)
    assert not torch.allclose(denoised(A, model=tiny()), expected, atol=1e-3)


@pytest.mark.parametrize("kind", ["full", "light"])
def test_an_adapter_in_its_authors_names_is_the_same(tmp_path: Path, kind: str) -> None:
    config = ADAPTERS[kind] | ({"channels": [64, 128, 128, 128]} if kind == "full" else {})
    tensors = adapter_tensors(config)
    ours = stored_control(tmp_path / "own.safetensors", tensors)
    theirs = stored_control(tmp_path / "authors.safetensors", by_authors(tensors, kind == "light"))
    ours_state, state = (net.place(net.part).state_dict() for net in (ours, theirs))
    assert ours_state.keys() == state.keys()
    assert all(torch.equal(ours_state[name], state[name]) for name in state)


def test_an_adapter_looks_at_the_picture_once_a_run(tmp_path: Path) -> None:
    net = stored_control(tmp_path / "t2i.safetensors", adapter_tensors(ADAPTERS["full"]))
    calls: list[int] = []
    handle = net.place(net.part).register_forward_pre_hook(lambda module, args: calls.append(len(args[0])))
    positive, negative = apply_control(A, B, net, PICTURE, 1.0, 0.0, 1.0)
    model = tiny()
    with torch.no_grad():
        guided = Guided.start(cfg_guider(model, positive, negative, 3.0), model.network(), X, None, None)
        guided(X, SIGMA)
        guided(X, SIGMA / 2)
    handle.remove()
    assert calls == [1]


def test_a_control_lora_is_the_model_s_weights_and_a_lora(plain: ControlNet, tmp_path: Path) -> None:
    """Changed by up x down where the file has both, replaced where it has the weight itself."""
    generator = torch.Generator().manual_seed(8)
    base, tensors = original_layout(), {"lora_controlnet": torch.zeros(0)}
    whole = dict(base)
    for name, tensor in base.items():
        short = name.removeprefix("control_model.")
        if short not in demo_model().part.stored:
            tensors[short] = tensor
        elif short.endswith(".weight") and tensor.ndim > 1 and ".attn1." in short:
            module = short.removesuffix(".weight")
            up, down = (torch.randn(*shape, generator=generator) * 0.1 for shape in ((len(tensor), 3), (3, tensor[0].numel())))
            tensors |= {f"{module}.up": up, f"{module}.down": down}
            whole[name] = tensor + (up @ down).reshape(tensor.shape)
    net = stored_control(tmp_path / "control-lora.safetensors", tensors)
    expected = stored_control(tmp_path / "whole.safetensors", whole)
    assert torch.allclose(steered(net, 0.9), steered(expected, 0.9), atol=1e-4)
    assert not torch.allclose(steered(net, 0.9), steered(plain, 0.9), atol=1e-3)
    adapted = apply_lora(demo_model(), None, lora(), 0.5, 0.0)[0]
    assert adapted is not None
    on_both = dict(whole)
    for row in adapted.part.keymap:
        if (name := f"control_model.{row.source}") in on_both:
            from engine.diffusion.patches import patched, touching

            patches = touching(adapted.patches, row.target)
            if patches:
                on_both[name] = patched(on_both[name].float(), patches, row.target)
    expected = stored_control(tmp_path / "both.safetensors", on_both)
    assert torch.allclose(steered(net, 0.9, model=adapted), steered(expected, 0.9, model=adapted), atol=1e-3)


def test_a_control_lora_of_another_base_says_so(tmp_path: Path) -> None:
    tensors = {name.removeprefix("control_model."): t for name, t in original_layout().items()}
    kept = {name: t for name, t in tensors.items() if name not in demo_model().part.stored}
    module = next(name for name in tensors if ".attn1.to_q." in name).removesuffix(".weight")
    wrong = {f"{module}.up": torch.zeros(320, 4), f"{module}.down": torch.zeros(4, 320), "lora_controlnet": torch.zeros(0)}
    net = stored_control(tmp_path / "other.safetensors", kept | wrong)
    with pytest.raises(ValueError, match="320 x 320, but that of Stable Diffusion 1 is 128 x 128"):
        steered(net)


def test_a_file_of_differences_and_its_model_are_the_whole_net(plain: ControlNet, tmp_path: Path) -> None:
    stored = demo_model().part.stored
    tensors = {}
    for name, tensor in original_layout().items():
        short = name.removeprefix("control_model.")
        tensors[name] = tensor - stored[short].float() if short in stored else tensor
    save_file(tensors | {"difference": torch.zeros(0)}, tmp_path / "diff.safetensors")
    net = load_control(tmp_path / "diff.safetensors", Residency("cpu"), demo_model())
    assert torch.allclose(steered(net), steered(plain), atol=1e-4)
    with pytest.raises(CheckpointError, match="differences from a model"):
        load_control(tmp_path / "diff.safetensors")


SDXL_NET = {
    "block_out_channels": (320, 640, 1280), "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "transformer_layers_per_block": [1, 2, 10], "attention_head_dim": (5, 10, 20), "use_linear_projection": True,
    "cross_attention_dim": 2048, "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}  # fmt: skip
LOW = {"down_block_types": ("DownBlock2D",) * 3, "transformer_layers_per_block": [1, 1, 1], "mid_block_type": "UNetMidBlock2D"}
FULL: dict[str, tuple[str, dict[str, Any]]] = {
    "SD 1": ("ControlNetModel", {"cross_attention_dim": 768, "conditioning_embedding_out_channels": (16, 32, 96, 256)}),
    "SD 2": ("ControlNetModel", {"cross_attention_dim": 1024, "use_linear_projection": True,
                                 "attention_head_dim": (5, 10, 20, 20)}),
    "SDXL": ("ControlNetModel", SDXL_NET),
    "SDXL mid": ("ControlNetModel", SDXL_NET | {"down_block_types": ("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"),
                                                "transformer_layers_per_block": [1, 1, 1]}),
    "SDXL small": ("ControlNetModel", SDXL_NET | LOW),
    "Union": ("ControlNetUnionModel", SDXL_NET | {"conditioning_embedding_out_channels": (48, 96, 192, 384)}),
    "ProMax": ("ControlNetUnionModel", SDXL_NET | {"num_control_type": 8}),
}  # fmt: skip


@pytest.mark.parametrize("name", list(FULL))
def test_at_full_size_every_key_and_shape_is_read_from_the_file_alone(name: str) -> None:
    expected = networks.build(*FULL[name]).state_dict()
    part, context = diffusers_part(expected)
    ours = part.build().state_dict()
    assert {key: tensor.shape for key, tensor in ours.items()} == {key: tensor.shape for key, tensor in expected.items()}
    assert context == (0 if name == "SDXL small" else FULL[name][1]["cross_attention_dim"])


FULL_ADAPTERS: dict[str, dict[str, Any]] = {
    "SD 1": {}, "SD 1 sketch": {"in_channels": 1}, "SD 1 colour": {"adapter_type": "light_adapter", "channels": [320, 640, 1280],
                                                                  "num_res_blocks": 4},
    "SDXL": {"adapter_type": "full_adapter_xl", "downscale_factor": 16},
    "SDXL sketch": {"adapter_type": "full_adapter_xl", "downscale_factor": 16, "in_channels": 1},
}  # fmt: skip


@pytest.mark.parametrize("name", list(FULL_ADAPTERS))
def test_at_full_size_an_adapter_is_read_from_the_file_alone(name: str) -> None:
    expected = networks.build("T2IAdapter", FULL_ADAPTERS[name]).state_dict()
    found = adapter(expected)
    assert found is not None
    part, channels, cell = found
    ours = part.build().state_dict()
    assert {key: tensor.shape for key, tensor in ours.items()} == {key: tensor.shape for key, tensor in expected.items()}
    assert {row.target for row in part.keymap} == expected.keys()
    assert (channels, cell) == (FULL_ADAPTERS[name].get("in_channels", 3), FULL_ADAPTERS[name].get("downscale_factor", 8))


def test_a_mask_says_where(plain: ControlNet, tmp_path: Path) -> None:
    ones, zeros = torch.ones(1, 64, 64), torch.zeros(1, 64, 64)
    assert torch.allclose(steered(plain, 1.0, ones), steered(plain), atol=1e-5)
    assert torch.allclose(steered(plain, 1.0, zeros), denoised(A), atol=1e-5)
    assert torch.allclose(steered(plain, 1.0, ones / 2), steered(plain, 0.5), atol=1e-4)
    first = torch.cat([ones, zeros])
    two = steered(plain, 1.0, first, x=torch.cat([X, X]))
    assert torch.allclose(two, torch.cat([steered(plain), denoised(A)]), atol=1e-4)


def test_an_adapter_of_another_base_says_so(tmp_path: Path) -> None:
    net = stored_control(tmp_path / "t2i.safetensors", adapter_tensors(ADAPTERS["full"]))
    with pytest.raises(ValueError, match=r"widths \[32, 64, 64\], which is not what Stable Diffusion 1 takes"):
        steered(net)


def test_a_control_net_and_an_adapter_work_together(tmp_path: Path) -> None:
    small = stored_control(tmp_path / "t2i.safetensors", adapter_tensors(ADAPTERS["full"]))
    network: Any = tiny().network()
    config = {name: network.config[name] for name in SHARED} | {
        "layers_per_block": 1, "transformer_layers_per_block": 1, "conditioning_embedding_out_channels": (16, 32, 96, 256)
    }  # fmt: skip
    plain = stored_control(tmp_path / "net.safetensors", filled(networks.build("ControlNetModel", config).state_dict(), 5))
    positive, _ = apply_control(A, B, plain, PICTURE, 0.7, 0.0, 1.0)
    both, _ = apply_control(positive, B, small, PICTURE, 0.4, 0.0, 1.0)
    control = Control(plain, PICTURE, 0.7)
    t = demo_model().sampling.timestep(SIGMA).expand(1)
    with torch.no_grad():
        found = control.residuals(SCALED, t, SIGMA, {"context": A[0][0]}, tiny())
        features = [feature * 0.4 for feature in small.place(small.part)(HINT)]
    assert found is not None
    expected = by_hand(
        tiny(), down_block_additional_residuals=found.down, mid_block_additional_residual=found.mid,
        down_intrablock_additional_residuals=features,
    )  # fmt: skip
    assert torch.allclose(denoised(both, model=tiny()), expected, atol=1e-4)


def test_sdxl_is_steered_as_diffusers_does_it(tmp_path: Path) -> None:
    """With the pooled text and the sizes in the ControlNet too, and an adapter of XL's layout."""
    family = SDXL(originals.SDXL_TINY)
    tensors = filled(originals.denoiser(family), 1)
    model = Model(Part("denoiser", family.build, family.keymap(tensors), tensors), family, Residency("cpu"))
    network: Any = model.network()
    vector = ("addition_embed_type", "addition_time_embed_dim", "projection_class_embeddings_input_dim")
    config = {name: network.config[name] for name in (*SHARED, *vector)} | {
        "layers_per_block": 1,
        "transformer_layers_per_block": [1, 1, 2],
        "conditioning_embedding_out_channels": (16, 32, 96, 256),
    }
    made = filled(networks.build("ControlNetModel", config).state_dict(), 5)
    net = stored_control(tmp_path / "xl.safetensors", made)
    t2i_config = {"in_channels": 3, "channels": [32, 64, 128, 128], "num_res_blocks": 2, "downscale_factor": 16,
                  "adapter_type": "full_adapter_xl"}  # fmt: skip
    small = stored_control(tmp_path / "t2i.safetensors", adapter_tensors(t2i_config))
    generator = torch.Generator().manual_seed(1)
    text, pooled = torch.randn(1, 77, 192, generator=generator), torch.randn(1, 128, generator=generator)
    positive = [[text, {"pooled_output": pooled}]]
    positive, _ = apply_control(positive, positive, net, PICTURE, 0.5, 0.0, 1.0)
    positive, _ = apply_control(positive, positive, small, PICTURE, 0.5, 0.0, 1.0)
    t = model.sampling.timestep(SIGMA).expand(1)
    added = {"text_embeds": pooled, "time_ids": torch.tensor([[128.0, 128, 0, 0, 128, 128]])}
    with torch.no_grad():
        control = net.place(net.part)
        down, mid = control(SCALED, t, text, HINT, conditioning_scale=0.5, added_cond_kwargs=added, return_dict=False)
        eps = network(
            SCALED, t, text, added_cond_kwargs=added, down_block_additional_residuals=down, mid_block_additional_residual=mid,
            down_intrablock_additional_residuals=[f * 0.5 for f in small.place(small.part)(HINT)],
        ).sample  # fmt: skip
    assert torch.allclose(denoised(positive, model=model), X - SIGMA * eps, atol=1e-4)
