"""IP-Adapters and GLIGEN: each equals diffusers' own network with them inside."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.diffusion import networks
from engine.diffusion.clip_vision import ClipVision
from engine.diffusion.conditioning import set_area
from engine.diffusion.containers import CheckpointError
from engine.diffusion.edits.attention import multiply
from engine.diffusion.edits.image_prompt import ImagePrompt
from engine.diffusion.edits.places import EditError
from engine.diffusion.families import unet
from engine.diffusion.families.sd1 import SD1
from engine.diffusion.families.unet import UNetConfig
from engine.diffusion.gligen import Gligen, ground, load_gligen
from engine.diffusion.guidance import Guided, basic_guider, cfg_guider
from engine.diffusion.ip_adapter import IpAdapter, load_ip_adapter, resampler_rows, resampler_shape
from engine.diffusion.model import Model
from engine.diffusion.parts import Part
from engine.diffusion.residency import Residency
from engine.diffusion.vision.network import ClipImage, VisionConfig
from tests.diffusion import originals
from tests.diffusion.demo import demo_model, prompt
from tests.diffusion.originals import filled

SIGMA = torch.tensor(2.0)
X = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(9)) * 2
SCALED = X / (SIGMA**2 + 1).sqrt()
TEXT, OTHER = prompt(1), prompt(2)
PICTURE = torch.rand(2, 40, 50, 3, generator=torch.Generator().manual_seed(4))
CONFIG = UNetConfig(4, 4, (32, 64), ((1,), (1,)), 1, ((1, 1), (1, 1)), 128, False, None)
VISION = VisionConfig(64, 3, 128, 4, "quick_gelu", 8, 32, 48)


@cache
def tiny() -> Model:
    """Attention on every level, with the text's width of the demo model."""
    family = SD1(CONFIG)
    tensors = filled(originals.denoiser(family), 1)
    return Model(Part("denoiser", family.build, family.keymap(tensors), tensors), family, Residency("cpu"))


@cache
def vision() -> ClipVision:
    tensors = filled(ClipImage(VISION).state_dict(), 6)
    from engine.diffusion.parts import straight

    return ClipVision(Part("clip_vision", partial(ClipImage, VISION), straight(tensors), tensors), Residency("cpu"))


@torch.no_grad()
def denoised(model: Model, positive: Any, negative: Any = None, cfg: float = 1.0, x: Tensor = X) -> Tensor:
    guider = basic_guider(model, positive) if negative is None else cfg_guider(model, positive, negative, cfg)
    with ExitStack() as stack:
        return Guided.start(guider, guider.open(stack), x, None, None)(x, SIGMA)


def reader_tensors() -> dict[str, Tensor]:
    """``to_k_ip`` and ``to_v_ip`` of every layer that reads text, by the authors' numbers."""
    layers = [module for name, module in tiny().network().named_modules() if name.endswith("attn2")]
    generator = torch.Generator().manual_seed(3)
    return {
        f"ip_adapter.{2 * i + 1}.to_{part}_ip.weight": torch.randn(layer.to_q.out_features, 128, generator=generator) * 0.1
        for i, layer in enumerate(layers)
        for part in "kv"
    }  # type: ignore[union-attr]


def plain_tensors() -> dict[str, Tensor]:
    shapes = {"proj.weight": torch.empty(4 * 128, 48), "proj.bias": torch.empty(4 * 128), "norm.weight": torch.empty(128)}
    return {f"image_proj.{name}": t for name, t in filled(shapes | {"norm.bias": torch.empty(128)}, 2).items()}


def plus_tensors() -> dict[str, Tensor]:
    """A resampler of four layers, two heads and five queries, in the authors' names."""
    hidden, inner = 96, 128
    shapes = {"latents": (1, 5, hidden), "proj_in.weight": (hidden, 64), "proj_in.bias": (hidden,),
              "proj_out.weight": (128, hidden), "proj_out.bias": (128,), "norm_out.weight": (128,),
              "norm_out.bias": (128,)}  # fmt: skip
    for i in range(4):
        layer = {"0.norm1.weight": (hidden,), "0.norm1.bias": (hidden,), "0.norm2.weight": (hidden,), "0.norm2.bias": (hidden,),
                 "0.to_q.weight": (inner, hidden), "0.to_kv.weight": (2 * inner, hidden), "0.to_out.weight": (hidden, inner),
                 "1.0.weight": (hidden,), "1.0.bias": (hidden,), "1.1.weight": (4 * hidden, hidden),
                 "1.3.weight": (hidden, 4 * hidden)}  # fmt: skip
        shapes |= {f"layers.{i}.{name}": shape for name, shape in layer.items()}
    return {f"image_proj.{name}": t for name, t in filled({n: torch.empty(s) for n, s in shapes.items()}, 2).items()}


def full_tensors() -> dict[str, Tensor]:
    shapes = {"proj.0.weight": (64, 64), "proj.0.bias": (64,), "proj.2.weight": (128, 64), "proj.2.bias": (128,),
              "proj.3.weight": (128,), "proj.3.bias": (128,)}  # fmt: skip
    return {f"image_proj.{name}": t for name, t in filled({n: torch.empty(s) for n, s in shapes.items()}, 2).items()}


KINDS = {"plain": plain_tensors, "plus": plus_tensors, "full": full_tensors}


AUTHORS = {".ln0.": ".0.norm1.", ".ln1.": ".0.norm2.", "attn.to_out.0": "0.to_out", "attn.to_q": "0.to_q", "ff.0": "1.0",
           "ff.1.net.0.proj": "1.1", "ff.1.net.2": "1.3"}  # fmt: skip


def adapter(kind: str, folder: Path) -> IpAdapter:
    save_file({**KINDS[kind](), **reader_tensors()}, folder / f"{kind}.safetensors")
    return load_ip_adapter(folder / f"{kind}.safetensors", Residency("cpu"))


def theirs(kind: str) -> Any:
    """diffusers' UNet with the same weights and the adapter loaded by its own code."""
    network = networks.network_class("UNet2DConditionModel")(**unet.network_config(CONFIG))
    network.load_state_dict({name: t.float() for name, t in tiny().part.weights().items()})
    parts: dict[str, dict[str, Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    for name, tensor in {**KINDS[kind](), **reader_tensors()}.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = tensor
    network._load_ip_adapter_weights([parts], low_cpu_mem_usage=False)
    return network.eval()


def prompted(made: IpAdapter, images: Tensor = PICTURE[:1], combine: Any = "concat", **more: Any) -> Model:
    tokens, without = made.tokens(vision(), images, combine)
    return tiny().with_edit(ImagePrompt(made.attention, tokens, without, **more))


@pytest.mark.parametrize("kind", ["plain", "plus"])
def test_a_prediction_equals_diffusers(tmp_path: Path, kind: str) -> None:
    made, network = adapter(kind, tmp_path), theirs(kind)
    for processor in network.attn_processors.values():
        if hasattr(processor, "scale"):
            processor.scale = [0.7]
    seen = vision().encode(PICTURE[:1])[made.features]
    with torch.no_grad():
        t = tiny().sampling.timestep(SIGMA).expand(1)
        eps = network(SCALED, t, TEXT[0][0], added_cond_kwargs={"image_embeds": [seen[:, None]]}).sample
    assert torch.allclose(denoised(prompted(made, weight=0.7), TEXT), X - SIGMA * eps, atol=1e-4)
    assert not torch.allclose(denoised(tiny(), TEXT), X - SIGMA * eps, atol=1e-2)


def test_the_tokens_of_a_full_adapter_equal_diffusers(tmp_path: Path) -> None:
    made = adapter("full", tmp_path)
    layer = theirs("full").encoder_hid_proj.image_projection_layers[0]
    with torch.no_grad():
        expected = layer(vision().encode(PICTURE[:1]).penultimate_hidden_states)
    assert torch.allclose(made.tokens(vision(), PICTURE[:1])[0], expected, atol=1e-5)


@pytest.mark.parametrize(("width", "hidden", "context"), [(1280, 768, 768), (1280, 1280, 2048), (1664, 1280, 2048)])
def test_a_resampler_of_full_size_is_read_from_its_shapes(width: int, hidden: int, context: int) -> None:
    """Those of plus for SD 1 and SDXL (ViT-H) and of the first plus for SDXL (ViT-bigG)."""
    config = {"embed_dims": width, "output_dims": context, "hidden_dims": hidden, "heads": hidden // 64, "num_queries": 16}
    expected = networks.build("IPAdapterPlusImageProjection", config).state_dict()
    image = {}
    for name, tensor in expected.items():
        file = name
        for ours, theirs in AUTHORS.items():
            file = file.replace(ours, theirs)
        if "attn.to_k" in name:
            image[file.replace("attn.to_k", "0.to_kv")] = torch.empty(2 * tensor.shape[0], *tensor.shape[1:], device="meta")
        elif "attn.to_v" not in name:
            image[file] = tensor
    built = networks.build("IPAdapterPlusImageProjection", resampler_shape(image)).state_dict()
    shapes = {name: t.shape for name, t in expected.items()}
    assert {name: t.shape for name, t in built.items()} == shapes
    assert {row.target: row.view(image[row.source]).shape for row in resampler_rows(image)} == shapes


def test_a_negative_reads_no_picture(tmp_path: Path) -> None:
    """Both sides in one call, each as if alone with its own tokens."""
    made = adapter("plus", tmp_path)
    tokens, without = made.tokens(vision(), PICTURE[:1])
    assert not torch.allclose(tokens, without, atol=1e-2)
    one = denoised(tiny().with_edit(ImagePrompt(made.attention, tokens, tokens)), TEXT)
    other = denoised(tiny().with_edit(ImagePrompt(made.attention, without, without)), OTHER)
    both = denoised(prompted(made), TEXT, OTHER, 4.0)
    assert torch.allclose(both, other + 4.0 * (one - other), atol=1e-3)


def test_weight_0_and_another_range_are_nothing(tmp_path: Path) -> None:
    made = adapter("plain", tmp_path)
    t = float(tiny().sampling.timestep(SIGMA))
    assert torch.equal(denoised(prompted(made, weight=0.0), TEXT), denoised(tiny(), TEXT))
    assert torch.equal(denoised(prompted(made, last_timestep=t + 1), TEXT), denoised(tiny(), TEXT))
    assert not torch.allclose(denoised(prompted(made, last_timestep=t - 1), TEXT), denoised(tiny(), TEXT), atol=1e-2)


def test_a_mask_of_ones_is_none_and_of_zeros_is_nothing(tmp_path: Path) -> None:
    made = adapter("plain", tmp_path)
    ones = torch.ones(1, 64, 64)
    assert torch.allclose(denoised(prompted(made, mask=ones), TEXT), denoised(prompted(made), TEXT), atol=1e-5)
    assert torch.allclose(denoised(prompted(made, mask=ones * 0), TEXT), denoised(tiny(), TEXT), atol=1e-5)
    half = torch.cat([ones, ones * 0])
    two = denoised(prompted(made, mask=half), TEXT, OTHER, 2.0, torch.cat([X, X]))
    assert torch.allclose(two[:1], denoised(prompted(made), TEXT, OTHER, 2.0), atol=1e-4)
    assert torch.allclose(two[1:], denoised(tiny(), TEXT, OTHER, 2.0), atol=1e-4)


def test_under_an_area_the_mask_is_that_of_the_area(tmp_path: Path) -> None:
    """A mask that is dark where the area is changes nothing there, one that is bright there all of it."""
    made = adapter("plain", tmp_path)
    right = torch.zeros(1, 128, 128)
    right[..., 80:] = 1.0
    area = set_area(TEXT, 64, 128, 0, 0, 1.0)
    assert torch.allclose(denoised(prompted(made, mask=right), area), denoised(tiny(), area), atol=1e-5)
    assert torch.allclose(denoised(prompted(made, mask=1 - right), area), denoised(prompted(made), area), atol=1e-5)
    assert not torch.allclose(denoised(prompted(made), area), denoised(tiny(), area), atol=1e-2)


def test_several_pictures(tmp_path: Path) -> None:
    made = adapter("plain", tmp_path)
    one, two = (made.tokens(vision(), PICTURE[i : i + 1])[0] for i in range(2))
    assert torch.allclose(made.tokens(vision(), PICTURE, "concat")[0], torch.cat([one, two], dim=1), atol=1e-5)
    assert torch.allclose(made.tokens(vision(), PICTURE, "average")[0], (one + two) / 2, atol=1e-5)
    each = denoised(prompted(made, PICTURE, "one each"), TEXT, x=torch.cat([X, X]))
    assert torch.allclose(each[1:], denoised(prompted(made, PICTURE[1:]), TEXT), atol=1e-4)


def test_it_goes_with_other_edits_and_leaves_no_trace(tmp_path: Path) -> None:
    made = adapter("plain", tmp_path)
    before = denoised(tiny(), TEXT)
    both = denoised(prompted(made).with_edit(multiply("attn2", out=1.0)).with_edit(multiply("attn1", q=0.5)), TEXT)
    assert torch.isfinite(both).all()
    assert torch.equal(denoised(tiny(), TEXT), before)


def test_an_adapter_of_another_base_and_a_wrong_file_say_so(tmp_path: Path) -> None:
    made = adapter("plain", tmp_path)
    tokens, without = made.tokens(vision(), PICTURE[:1])
    with pytest.raises(EditError, match="for another base model"):
        denoised(demo_model().with_edit(ImagePrompt(made.attention, tokens, without)), TEXT)
    with pytest.raises(EditError, match="'style' is for SDXL"):
        denoised(prompted(made, blocks="style"), TEXT)
    with pytest.raises(ValueError, match="reads image features of width 7"):
        replace(made, width=7).tokens(vision(), PICTURE)
    save_file({"a": torch.zeros(1)}, tmp_path / "none.safetensors")
    with pytest.raises(CheckpointError, match="no IP-Adapter"):
        load_ip_adapter(tmp_path / "none.safetensors")


@cache
def gated() -> tuple[Any, dict[str, Tensor]]:
    """diffusers' UNet with gates and random weights, and what a GLIGEN file holds of it, by the original names."""
    config = unet.network_config(CONFIG) | {"attention_type": "gated"}
    network = networks.network_class("UNet2DConditionModel")(**config)
    made = filled({name: t for name, t in network.state_dict().items() if ".fuser." in name or "position_net" in name}, 5)
    made |= {name: torch.tensor(0.7) for name in made if ".alpha_" in name}
    network.load_state_dict({name: t.float() for name, t in tiny().part.weights().items()} | made)
    table = {ours: original for original, ours in unet.modules(CONFIG).items()}
    file = {}
    for name, tensor in made.items():
        head, middle, rest = name.partition(".transformer_blocks.")
        file[f"{table[head]}{middle}{rest}" if middle else name] = tensor
    return network.eval(), file


@pytest.fixture
def gligen(tmp_path: Path) -> Gligen:
    save_file(gated()[1], tmp_path / "gligen.safetensors")
    return load_gligen(tmp_path / "gligen.safetensors", Residency("cpu"))


PHRASES = torch.randn(2, 128, generator=torch.Generator().manual_seed(8))


def grounded(gligen: Gligen, conditioning: Any = TEXT) -> list[list[Any]]:
    once = ground(conditioning, PHRASES[:1], gligen, 64, 32, 16, 24)
    return ground(once, PHRASES[1:], gligen, 32, 128, 96, 0)


def test_grounded_phrases_equal_diffusers_gated_network(gligen: Gligen) -> None:
    network, _ = gated()
    boxes, phrases, masks = torch.zeros(1, 30, 4), torch.zeros(1, 30, 128), torch.zeros(1, 30)
    boxes[0, :2] = torch.tensor([[2 / 16, 3 / 16, 10 / 16, 7 / 16], [12 / 16, 0, 1, 1]])
    phrases[0, :2], masks[0, :2] = PHRASES, 1
    arguments = {"boxes": boxes, "positive_embeddings": phrases, "masks": masks}
    with torch.no_grad():
        t = tiny().sampling.timestep(SIGMA).expand(1)
        eps = network(SCALED, t, TEXT[0][0], cross_attention_kwargs={"gligen": arguments}).sample
    assert torch.allclose(denoised(tiny(), grounded(gligen)), X - SIGMA * eps, atol=1e-4)
    assert not torch.allclose(denoised(tiny(), TEXT), X - SIGMA * eps, atol=1e-2)


def test_the_negative_is_grounded_alike_in_one_call(gligen: Gligen) -> None:
    rows: list[int] = []
    handle = tiny().network().register_forward_pre_hook(lambda module, args: rows.append(len(args[0])))
    positive, negative = grounded(gligen), grounded(gligen, OTHER)
    result = denoised(tiny(), positive, OTHER, 3.0)
    handle.remove()
    assert rows == [2]
    one, other = denoised(tiny(), positive), denoised(tiny(), negative)
    assert torch.allclose(result, other + 3.0 * (one - other), atol=1e-3)


def test_the_network_is_as_before_and_other_prompts_are_not_grounded(gligen: Gligen) -> None:
    from engine.diffusion.conditioning import combine

    before = denoised(tiny(), OTHER)
    mixed = denoised(tiny(), combine(grounded(gligen), OTHER))
    assert torch.allclose(mixed, (denoised(tiny(), grounded(gligen)) + before) / 2, atol=1e-4)
    assert torch.equal(denoised(tiny(), OTHER), before)


def test_gligen_of_another_base_too_many_boxes_and_wrong_phrases_say_so(gligen: Gligen, tmp_path: Path) -> None:
    with pytest.raises(EditError, match="for another base model"):
        denoised(demo_model(), grounded(gligen))
    many = TEXT
    for _ in range(31):
        many = ground(many, PHRASES[:1], gligen, 64, 64, 0, 0)
    with pytest.raises(ValueError, match="31 boxes"):
        denoised(tiny(), many)
    with pytest.raises(ValueError, match="width 128, but the text encoder gives 5"):
        denoised(tiny(), ground(TEXT, torch.zeros(1, 5), gligen, 64, 64, 0, 0))
    save_file({"a": torch.zeros(1)}, tmp_path / "none.safetensors")
    with pytest.raises(CheckpointError, match="no GLIGEN"):
        load_gligen(tmp_path / "none.safetensors")
