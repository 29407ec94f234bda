"""Every kind of adapter peft trains, beside what peft merges (``tools/peft_adapters.py``)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from engine.diffusion.lora import AdapterError, read_adapters, unmatched
from engine.diffusion.lora_file import read_lora
from engine.diffusion.parts import Part, straight, under
from engine.diffusion.patches import Patch, patched
from engine.diffusion.peft_kinds import Turned, butterfly

with safe_open(Path(__file__).with_name("peft_adapters.safetensors"), "pt") as file:
    TENSORS: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    CONFIGS: dict[str, dict[str, object]] = json.loads(file.metadata()["configs"])

BASE = under(TENSORS, "base.")
PART = Part("denoiser", lambda: nn.Identity(), straight(BASE), BASE)


def adapter(kind: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in under(TENSORS, f"{kind}/").items() if not name.startswith("merged.")}


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_folder_of_peft_makes_of_each_weight_what_peft_does(kind: str, tmp_path: Path) -> None:
    """The file beside its config, which alone says alpha; at strength 0 nothing, at a half half of it."""
    save_file(adapter(kind), tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps(CONFIGS[kind]))
    tensors = read_lora(tmp_path / "adapter_model.safetensors")
    assert unmatched(tensors, [PART]) == []
    (found,) = read_adapters(tensors, [PART])
    for name, expected in under(TENSORS, f"{kind}/merged.").items():
        weight = BASE[name]
        if name not in found.deltas:
            assert torch.equal(weight, expected), name
            continue
        assert not torch.allclose(weight, expected, atol=1e-3), name
        for strength in (1.0, 0.0, 0.5):
            ours = patched(weight, [Patch(found, strength)], name)
            assert torch.allclose(ours, torch.lerp(weight, expected, strength), atol=1e-5), (name, strength)


def test_diffusers_metadata_says_alpha_for_each_network(tmp_path: Path) -> None:
    """``lora_adapter_metadata`` as diffusers writes it; what says its own alpha keeps it."""
    tensors = {name.replace("base_model.model", "unet"): tensor for name, tensor in adapter("LoRA").items()}
    config = {f"unet.{key}": value for key, value in CONFIGS["LoRA"].items()}
    told = {"lora_adapter_metadata": json.dumps({**config, "text_encoder.lora_alpha": 99})}
    save_file(tensors, tmp_path / "told.safetensors", told)
    save_file(tensors, tmp_path / "untold.safetensors")
    save_file({**tensors, "unet.to_q.alpha": torch.tensor(2.0)}, tmp_path / "own.safetensors", told)
    save_file(tensors, tmp_path / "damaged.safetensors", {"lora_adapter_metadata": "{"})
    changes = {}
    for name in ("told", "untold", "own", "damaged"):
        (found,) = read_adapters(read_lora(tmp_path / f"{name}.safetensors"), [PART])
        changes[name] = patched(BASE["to_q.weight"], [Patch(found)], "to_q.weight") - BASE["to_q.weight"]
    expected = TENSORS["LoRA/merged.to_q.weight"] - BASE["to_q.weight"]
    assert torch.allclose(changes["told"], expected, atol=1e-5)
    for name in ("untold", "own", "damaged"):
        assert torch.allclose(changes[name], expected / 2, atol=1e-5), "alpha 2 at rank 2 in place of 4"


def test_an_adapter_s_own_name_within_the_names_does_not_matter() -> None:
    plain = adapter("DoRA")
    named = {
        name.replace("_vector", "_vector.mine") if name.endswith("_vector") else name.replace(".weight", ".mine.weight"): tensor
        for name, tensor in plain.items()
    }
    assert not set(plain) & set(named)
    for name in ("to_q.weight", "conv.weight"):
        one, other = (patched(BASE[name], [Patch(read_adapters(tensors, [PART])[0])], name) for tensors in (plain, named))
        assert torch.equal(one, other)


def test_a_stage_of_a_butterfly_keeps_lengths_and_pairs_blocks_ever_farther_apart() -> None:
    assert butterfly(16, 4, 0).tolist() == list(range(16))
    assert butterfly(16, 4, 1).tolist() == [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15]
    weight = torch.randn(6, 16)
    turned = Turned(torch.randn(3, 4, 4, 4)).apply(weight, 1.0)
    assert torch.allclose(turned @ turned.T, weight @ weight.T, atol=1e-4)
    assert torch.allclose(Turned(torch.zeros(3, 4, 4, 4)).apply(weight, 1.0), weight)


def test_rotations_for_another_width_are_refused() -> None:
    for kind, name in (("OFT", "oft_R.weight"), ("BOFT", "boft_R")):
        tensors = {f"base_model.model.conv.{name}": TENSORS[f"{kind}/base_model.model.to_q.{name}"]}
        with pytest.raises(AdapterError, match="a weight of 8 x 8, but this model's is 8 x 36"):
            read_adapters(tensors, [PART])
