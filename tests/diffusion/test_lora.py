"""Weight deltas: their arithmetic, every spelling of their names, and that taking them off leaves nothing behind."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.clip import Clip
from engine.diffusion.lora import AdapterError, apply_lora, read_adapters, unmatched
from engine.diffusion.lora_names import spellings
from engine.diffusion.model import Model
from engine.diffusion.parts import Part, PlaceOnCpu
from engine.diffusion.patches import (
    Adapter,
    Delta,
    Difference,
    Glora,
    Hadamard,
    Kronecker,
    LowRank,
    Patch,
    Replace,
    Rows,
    Scale,
    patched,
)
from engine.diffusion.residency import Residency
from engine.diffusion.sampling import ksampler
from tests.diffusion.demo import CHECKPOINT, RESIDENCY, demo_model, empty, prompt
from tests.diffusion.test_checkpoints import saved, sdxl

GENERATOR = torch.Generator().manual_seed(0)


def rand(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=GENERATOR)


@cache
def demo_clip() -> Clip:
    clip = load_checkpoint(CHECKPOINT, RESIDENCY).clip
    assert clip is not None
    return clip


def attention_modules(part: Part) -> list[tuple[str, str, Tensor]]:
    """(network's name, original name, weight) of every projection in attention and every convolution of residual blocks."""
    wanted = ("to_q.weight", "to_out.0.weight", "conv1.weight", "ff.net.2.weight", "proj_in.weight")
    rows = [row for row in part.keymap if row.target.endswith(wanted)]
    names = [(row.target.removesuffix(".weight"), row.source.removesuffix(".weight")) for row in rows]
    return [(ours, original, row.view(part.stored[row.source])) for (ours, original), row in zip(names, rows, strict=True)]


def factors(weight: Tensor, rank: int = 4) -> tuple[Tensor, Tensor]:
    """Up and down of a LoRA (LoCon for a convolution) for this weight."""
    if weight.ndim == 4:
        return rand(weight.shape[0], rank, 1, 1) * 0.1, rand(rank, *weight.shape[1:]) * 0.1
    return rand(weight.shape[0], rank) * 0.1, rand(rank, weight.shape[1]) * 0.1


def merged(weight: Tensor, up: Tensor, down: Tensor, scale: float) -> Tensor:
    """W + scale up down, written with einsum."""
    change = torch.einsum("or,ri->oi", up.flatten(1).double(), down.flatten(1).double())
    return (weight.double() + scale * change.reshape(weight.shape)).float()


KOHYA = (".lora_up.weight", ".lora_down.weight")
NAMES = {
    "kohya, original names": lambda ours, original: (f"lora_unet_{original.replace('.', '_')}", *KOHYA),
    "kohya, diffusers names": lambda ours, original: (f"lora_unet_{ours.replace('.', '_')}", *KOHYA),
    "diffusers": lambda ours, original: (f"unet.{ours}", ".lora.up.weight", ".lora.down.weight"),
    "old diffusers": lambda ours, original: (
        "unet." + ".processor.".join(ours.replace(".to_out.0", ".to_out").rsplit(".", 1)), "_lora.up.weight", "_lora.down.weight",
    ),
    "peft": lambda ours, original: (f"unet.{ours}", ".lora_B.weight", ".lora_A.weight"),
    "peft, wrapped": lambda ours, original: (f"base_model.model.{ours}", ".lora_B.default.weight", ".lora_A.default.weight"),
    "generic": lambda ours, original: (f"diffusion_model.{original}", ".lora_B.weight", ".lora_A.weight"),
    "lycoris": lambda ours, original: (f"lycoris_{ours.replace('.', '_')}", *KOHYA),
}  # fmt: skip


@pytest.mark.parametrize("spelling", NAMES)
def test_every_spelling_reaches_every_module(spelling: str) -> None:
    """All projections and convolutions under each naming; the merged weight equals W + strength alpha / rank up down."""
    part = demo_model().part
    tensors, expected = {}, {}
    for ours, original, weight in attention_modules(part):
        name, up_name, down_name = NAMES[spelling](ours, original)
        up, down = factors(weight)
        tensors |= {name + up_name: up, name + down_name: down, name + ".alpha": torch.tensor(2.0)}
        expected[ours + ".weight"] = merged(weight, up, down, 0.8 * 2.0 / 4)
    assert len(expected) > 20
    (adapter,) = read_adapters(tensors, [part])
    assert adapter.deltas.keys() == expected.keys()
    assert unmatched(tensors, [part]) == []
    for target, weight in part.weights().items():
        if target in expected:
            ours_now = patched(weight, [Patch(adapter, 0.8)], target)
            assert torch.allclose(ours_now, expected[target], atol=1e-5), target


@pytest.mark.parametrize("prefix", ["lora_te_text_model", "lora_te1_text_model", "lycoris_text_model", "oft_te_text_model"])
def test_text_encoder_modules_under_trainers_names(prefix: str) -> None:
    clip = demo_clip()
    tensors = {}
    for module in ("self_attn.q_proj", "mlp.fc1"):
        weight = clip.parts[0].weights()[f"text_model.encoder.layers.0.{module}.weight"]
        up, down = factors(weight)
        name = f"{prefix}_encoder_layers_0_{module.replace('.', '_')}"
        tensors |= {f"{name}.lora_up.weight": up, f"{name}.lora_down.weight": down}
    _, changed = apply_lora(None, clip, tensors, 1.0, 1.0)
    assert changed is not None
    plain, moved = clip.encode("a red cat")[0][0], changed.encode("a red cat")[0][0]
    assert not torch.allclose(plain, moved, atol=1e-3)
    assert torch.equal(clip.encode("a red cat")[0][0], plain)


def test_a_strength_of_zero_is_the_very_model() -> None:
    tensors = lora_for(demo_model())
    model, _ = apply_lora(demo_model(), None, tensors, 0.0, 1.0)
    assert model is demo_model()


def lora_for(model: Model) -> dict[str, Tensor]:
    tensors = {}
    for ours, _, weight in attention_modules(model.part):
        up, down = factors(weight)
        name = f"lora_unet_{ours.replace('.', '_')}"
        tensors |= {name + ".lora_up.weight": up, name + ".lora_down.weight": down}
    return tensors


def test_taking_a_lora_off_leaves_every_weight_bit_equal() -> None:
    """Three models on one part: plain, patched, plain again, as a graph with a branch would run them."""
    place = Residency("cpu")
    base = Model(demo_model().part, demo_model().family, place)
    before = {name: weight.clone() for name, weight in base.network().state_dict().items()}
    model, _ = apply_lora(base, None, lora_for(base), 1.5, 0.0)
    assert model is not None
    changed = model.network().state_dict()
    assert sum(not torch.equal(changed[name], before[name]) for name in before) == len(attention_modules(base.part))
    after = base.network().state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_a_patched_network_shares_what_no_patch_touches() -> None:
    place = Residency("cpu")
    base = Model(demo_model().part, demo_model().family, place)
    plain = base.network().state_dict()
    alone = place.nbytes
    model, _ = apply_lora(base, None, lora_for(base), 1.0, 0.0)
    assert model is not None
    changed = model.network().state_dict()
    touched = {ours + ".weight" for ours, _, _ in attention_modules(base.part)}
    for name, weight in changed.items():
        assert (weight.data_ptr() == plain[name].data_ptr()) == (name not in touched), name
    assert place.nbytes == alone + sum(changed[name].nbytes for name in touched)


def test_sampling_with_a_lora_equals_sampling_with_merged_weights() -> None:
    base = demo_model()
    tensors = lora_for(base)
    model, _ = apply_lora(base, None, tensors, -0.7, 0.0)
    assert model is not None
    stored = dict(base.part.stored)
    for ours, original, weight in attention_modules(base.part):
        name = f"lora_unet_{ours.replace('.', '_')}"
        new = merged(weight.float(), tensors[name + ".lora_up.weight"], tensors[name + ".lora_down.weight"], -0.7)
        stored[original + ".weight"] = new
    baked = Model(Part("denoiser", base.part.build, base.part.keymap, stored), base.family, Residency("cpu"))
    settings = {"seed": 3, "steps": 3, "cfg": 3.0, "sampler_name": "euler", "scheduler": "normal"}
    ours_now = ksampler(model, prompt(1), prompt(2), empty(), **settings)["samples"]  # type: ignore[arg-type]
    expected = ksampler(baked, prompt(1), prompt(2), empty(), **settings)["samples"]  # type: ignore[arg-type]
    assert torch.allclose(ours_now, expected, atol=1e-3)


def test_ten_loras_add_up_and_their_order_does_not_matter() -> None:
    part = demo_model().part
    target = attention_modules(part)[0][0] + ".weight"
    weight = part.weights()[target]
    patches = []
    for _ in range(10):
        up, down = factors(weight)
        patches.append(Patch(Adapter("denoiser", {target: (LowRank(up, down, 4.0),)}), 0.5))
    expected = weight.double()
    for patch in patches:
        delta = patch.adapter.deltas[target][0]
        assert isinstance(delta, LowRank)
        expected = expected + 0.5 * (delta.up.flatten(1).double() @ delta.down.flatten(1).double()).reshape(weight.shape)
    assert torch.allclose(patched(weight, patches, target), expected.float(), atol=1e-5)
    assert torch.allclose(patched(weight, patches[::-1], target), expected.float(), atol=1e-5)


def kinds() -> list[tuple[str, Delta, Tensor, Tensor]]:
    """(name, delta, weight, dW at strength 1) with dW from an independent formula."""
    linear, conv = rand(6, 8), rand(6, 4, 3, 3)
    up, down, mid = rand(6, 2), rand(2, 4), rand(2, 2, 3, 3)
    w1a, w1b, w2a, w2b = rand(6, 2), rand(2, 8), rand(6, 2), rand(2, 8)
    t1, t2 = rand(2, 2, 3, 3), rand(2, 2, 3, 3)
    h1a, h1b, h2a, h2b = rand(2, 6), rand(2, 4), rand(2, 6), rand(2, 4)
    k1, k2, k2a, k2b = rand(2, 4), rand(3, 2), rand(3, 1), rand(1, 2)
    kc = rand(3, 2, 3, 3)
    a1, a2, b1, b2 = rand(8, 2), rand(2, 8), rand(6, 2), rand(2, 8)
    tucker = torch.einsum("or,rskl,si->oikl", up, mid, down)
    loha = torch.einsum("ijkl,jr,ip->prkl", t1, h1b, h1a) * torch.einsum("ijkl,jr,ip->prkl", t2, h2b, h2a)
    kron_conv = torch.stack([torch.stack([torch.kron(k1[:2, :2], kc[:, :, i, j]) for j in range(3)], -1) for i in range(3)], -2)
    return [
        ("LoRA without alpha", LowRank(up, rand(2, 8)), linear, torch.zeros(0)),
        ("LoCon with a core", LowRank(up[..., None, None], down[..., None, None], 1.0, mid), conv, tucker * 0.5),
        ("LoHa", Hadamard(w1a, w1b, w2a, w2b, 1.0), linear, (w1a @ w1b) * (w2a @ w2b) * 0.5),
        ("LoHa with cores", Hadamard(h1a, h1b, h2a, h2b, 2.0, t1, t2), conv, loha),
        ("LoKr whole", Kronecker(k1, k2, alpha=99.0), linear[:, :8], torch.kron(k1, k2)),
        ("LoKr product", Kronecker(k1, (k2a, k2b), alpha=0.5), linear, torch.kron(k1, k2a @ k2b) * 0.5),
        ("LoKr convolution", Kronecker(k1[:2, :2], kc), conv, kron_conv),
        ("GLoRA", Glora(a1, a2, b1, b2, 1.0), linear, (linear @ a1 @ a2 + b1 @ b2) * 0.5),
        ("difference", Difference(conv * 2), conv, conv * 2),
        ("IA3 rows", Scale(linear[:, 0]), linear, linear * linear[:, :1]),
        ("IA3 columns", Scale(linear[0], on_input=True), linear, linear * linear[:1]),
        ("rows of a fused weight", Rows(LowRank(torch.cat([rand(6, 2), up]), rand(2, 8)), 6, 12), linear, torch.zeros(0)),
    ]


@pytest.mark.parametrize("case", kinds(), ids=lambda case: case[0])
def test_each_kind_of_delta(case: tuple[str, Delta, Tensor, Tensor]) -> None:
    _, delta, weight, change = case
    if isinstance(delta, LowRank) and not change.numel():
        change = delta.up @ delta.down
    if isinstance(delta, Rows):
        change = delta.delta.up[6:12] @ delta.delta.down
    before = weight.clone()
    for strength in (1.0, -0.5, 2.0):
        assert torch.allclose(delta.apply(weight, strength), weight + strength * change, atol=1e-4)
    assert torch.allclose(delta.apply(weight, 0.0), weight)
    assert torch.equal(weight, before)


def test_glora_in_its_old_order() -> None:
    weight, a1, a2, b1, b2 = rand(6, 8), rand(2, 8), rand(8, 2), rand(2, 8), rand(6, 2)
    expected = weight + weight @ a2 @ a1 + b2 @ b1
    assert torch.allclose(Glora(a1, a2, b1, b2, 2.0).apply(weight, 1.0), expected, atol=1e-5)


def test_dora_gives_each_column_its_length() -> None:
    """Lengths over the input axis: at strength 1 column norms are exactly the stored ones; at 0 the weight is itself."""
    weight, up, down = rand(6, 8), rand(6, 2), rand(2, 8)
    lengths = rand(1, 8).abs() + 0.5
    full = LowRank(up, down, 2.0, dora=lengths).apply(weight, 1.0)
    assert torch.allclose(full.norm(dim=0), lengths[0], atol=1e-5)
    direction = weight + up @ down
    assert torch.allclose(full, direction * lengths / direction.norm(dim=0), atol=1e-5)
    half = LowRank(up, down, 2.0, dora=lengths).apply(weight, 0.5)
    assert torch.allclose(half, (weight + full) / 2, atol=1e-5)
    by_rows = LowRank(up, down, 2.0, dora=rand(6, 1)).apply(weight, 1.0)
    assert by_rows.shape == weight.shape


def test_replace_and_widen() -> None:
    weight = rand(4, 4, 3, 3)
    assert torch.equal(Replace(weight + 1).apply(weight, 0.3), weight + 1)
    wider = Difference(rand(4, 9, 3, 3)).apply(weight, 1.0)
    assert wider.shape == (4, 9, 3, 3)


def test_norm_and_bias_differences() -> None:
    part = demo_model().part
    name = "lora_unet_down_blocks_0_resnets_0_norm1"
    (adapter,) = read_adapters({name + ".w_norm": torch.ones(64), name + ".b_norm": torch.ones(64)}, [part])
    assert adapter.deltas.keys() == {"down_blocks.0.resnets.0.norm1.weight", "down_blocks.0.resnets.0.norm1.bias"}


def test_a_lora_of_another_base_is_refused_in_a_sentence() -> None:
    name = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
    wrong = {name + ".lora_up.weight": rand(320, 4), name + ".lora_down.weight": rand(4, 768)}
    with pytest.raises(AdapterError, match=r"another base model: .* 320 x 768, but this model's is 128 x 128"):
        apply_lora(demo_model(), None, wrong, 1.0, 0.0)
    with pytest.raises(AdapterError, match="nothing in this LoRA fits"):
        apply_lora(demo_model(), None, {"lora_unet_double_blocks_0_img_mod_lin.lora_up.weight": rand(4, 4)}, 1.0, 0.0)
    with pytest.raises(AdapterError, match="nothing in this LoRA fits"):
        apply_lora(demo_model(), None, {}, 1.0, 0.0)


def test_spellings_of_one_module() -> None:
    names = spellings(demo_model().part)
    module = "mid_block.attentions.0.transformer_blocks.0.attn1.to_out.0"
    same = {name for name, rows in names.items() if any(row.target == module + ".weight" for row in rows)}
    assert {"lora_unet_middle_block_1_transformer_blocks_0_attn1_to_out_0", "unet." + module, "unet." + module[:-2]} <= same


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_weights_of_any_width_take_loras_and_stay_as_they_are(dtype: torch.dtype) -> None:
    """Among them eight bits; neither the file's weight nor the adapter's tensors are ever written to."""
    weight = (rand(48, 32) * 0.1).to(dtype)
    up, down, whole = rand(48, 4), rand(4, 32), rand(48, 32)
    before = [tensor.clone() for tensor in (weight.float(), up, down, whole)]
    low, replace_, add = LowRank(up, down, 2.0), Replace(whole), Difference(whole)
    for deltas, expected in (
        ((low,), weight.double() + 0.5 * 0.7 * (up.double() @ down.double())),
        ((low, add), weight.double() + 0.5 * 0.7 * (up.double() @ down.double()) + 0.7 * whole.double()),
        ((replace_, low), whole.double() + 0.5 * 0.7 * (up.double() @ down.double())),
        ((low, low), weight.double() + 0.7 * (up.double() @ down.double())),
    ):
        merged_now = patched(weight, [Patch(Adapter("denoiser", {"w": deltas}), 0.7)], "w")
        assert torch.allclose(merged_now.double(), expected, atol=1e-5)
        assert all(torch.equal(now, then) for now, then in zip((weight.float(), up, down, whole), before, strict=True))


def test_patches_for_a_bfloat16_network_round_twice_and_no_more() -> None:
    """Ten LoRAs in bfloat16: the error is that of two roundings (root two times that of one), the products' own is below it."""
    weight, patches = (rand(256, 192) * 0.05).half(), []
    for _ in range(10):
        low = LowRank(rand(256, 8) * 0.02, rand(8, 192) * 0.02)
        patches.append(Patch(Adapter("denoiser", {"w": (low,)}), 0.8))
    exact = patched(weight, patches, "w")
    quick = patched(weight, patches, "w", torch.bfloat16)
    assert quick.dtype == torch.bfloat16
    once = (exact.bfloat16().float() - exact).square().mean().sqrt()
    assert (quick.float() - exact).square().mean().sqrt() < 1.5 * once
    assert torch.equal(patched(weight, patches, "w", torch.float16), exact), "only where it is for bfloat16"
    kept = patched(weight, [*patches, Patch(Adapter("denoiser", {"w": (Difference(rand(256, 192)),)}))], "w", torch.bfloat16)
    assert kept.dtype == torch.float32, "anything else is done in float32"


@pytest.mark.parametrize(
    ("tower", "prefix", "dots", "endings"),
    [
        ("l", "lora_te1_", False, (".lora_up.weight", ".lora_down.weight")),
        ("g", "lora_te2_", False, (".lora_up.weight", ".lora_down.weight")),
        ("l", "text_encoder.", True, (".lora_B.weight", ".lora_A.weight")),
        ("g", "text_encoder_2.", True, (".lora_B.weight", ".lora_A.weight")),
        ("l", "text_encoder.", True, (".lora_linear_layer.up.weight", ".lora_linear_layer.down.weight")),
        ("g", "text_encoders.clip_g.transformer.", True, (".lora_up.weight", ".lora_down.weight")),
    ],
)
def test_both_of_sdxls_text_encoders_under_every_spelling(
    tower: str, prefix: str, dots: bool, endings: tuple[str, str], tmp_path: Path
) -> None:
    """A LoRA for one tower changes that one's features and no other's; G is stored in open_clip's layout, its q, k, v in one."""
    clip = load_checkpoint(saved(tmp_path / "xl.safetensors", sdxl()), PlaceOnCpu()).clip
    assert clip is not None
    part = next(part for part in clip.parts if part.role == f"clip_{tower}")
    tensors, targets = {}, set()
    for module in ("self_attn.q_proj", "self_attn.out_proj", "mlp.fc1"):
        name = f"text_model.encoder.layers.0.{module}"
        up, down = factors(part.weights()[name + ".weight"])
        targets.add(name + ".weight")
        spelled = prefix + (name if dots else name.replace(".", "_"))
        tensors |= {spelled + endings[0]: up, spelled + endings[1]: down}
    (adapter,) = read_adapters(tensors, clip.parts)
    assert (adapter.role, adapter.deltas.keys()) == (part.role, targets)
    assert unmatched(tensors, clip.parts) == []
