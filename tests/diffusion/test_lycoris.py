"""Every kind of adapter LyCORIS trains, beside LyCORIS: what its module makes of a weight is what its file makes of it here.

Not DoRA over outputs, where lengths are measured as ComfyUI does, before the change and not after: see ``test_lora.py``.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from lycoris.modules.boft import ButterflyOFTModule
from lycoris.modules.diag_oft import DiagOFTModule
from lycoris.modules.full import FullModule
from lycoris.modules.glora import GLoRAModule
from lycoris.modules.ia3 import IA3Module
from lycoris.modules.locon import LoConModule
from lycoris.modules.loha import LohaModule
from lycoris.modules.lokr import LokrModule
from torch import Tensor, nn

from engine.diffusion.lora import AdapterError, read_adapters
from engine.diffusion.parts import Part, straight
from engine.diffusion.patches import Patch, patched
from engine.diffusion.rotations import Rotation, cayley

LINEAR, CONV, SQUARE = (64, 32), (64, 32, 3, 3), (32, 32)
KINDS: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "LoCon": (LoConModule, {}),
    "LoCon, Tucker": (LoConModule, {"use_tucker": True}),
    "LoCon, DoRA": (LoConModule, {"weight_decompose": True, "wd_on_out": False}),
    "LoHa": (LohaModule, {}),
    "LoHa, Tucker": (LohaModule, {"use_tucker": True}),
    "LoHa, DoRA": (LohaModule, {"weight_decompose": True, "wd_on_out": False}),
    "LoKr": (LokrModule, {"factor": 4}),
    "LoKr, both factored": (LokrModule, {"factor": 4, "decompose_both": True, "lora_dim": 1}),
    "LoKr, Tucker": (LokrModule, {"factor": 4, "use_tucker": True}),
    "LoKr, whole": (LokrModule, {"factor": 4, "full_matrix": True}),
    "LoKr, DoRA": (LokrModule, {"factor": 4, "weight_decompose": True, "wd_on_out": False}),
    "GLoRA": (GLoRAModule, {}),
    "GLoRA, Tucker": (GLoRAModule, {"use_tucker": True}),
    "IA3": (IA3Module, {}),
    "IA3 on inputs": (IA3Module, {"train_on_input": True}),
    "full": (FullModule, {}),
    "OFT": (DiagOFTModule, {"lora_dim": 8}),
    "OFT, constrained": (DiagOFTModule, {"lora_dim": 8, "constraint": 0.01}),
    "OFT, rescaled": (DiagOFTModule, {"lora_dim": 8, "rescaled": True}),
    "BOFT": (ButterflyOFTModule, {"lora_dim": 8}),
    "BOFT, constrained and rescaled": (ButterflyOFTModule, {"lora_dim": 8, "constraint": 0.01, "rescaled": True}),
}


def layer(shape: tuple[int, ...]) -> nn.Module:
    made = nn.Linear(shape[1], shape[0]) if len(shape) == 2 else nn.Conv2d(shape[1], shape[0], 3, padding=1)
    return made.requires_grad_(False)


def part_of(weight: Tensor) -> Part:
    """A network of one layer, as far as reading an adapter looks at it."""
    stored = {f"{TARGET}.weight": weight}
    return Part("denoiser", lambda: nn.Identity(), straight(stored), stored)


CASES = [(kind, shape) for kind in KINDS for shape in (LINEAR, CONV, SQUARE) if shape is CONV or "Tucker" not in kind]
TARGET = "down_blocks.0.resnets.0.conv1"


@pytest.mark.parametrize(("kind", "shape"), CASES, ids=lambda value: str(value))
def test_a_file_makes_of_a_weight_what_its_module_does(kind: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    cls, options = KINDS[kind]
    organ = layer(shape)
    weight, bias = organ.weight.clone(), organ.bias.clone()
    module = cls("lora_unet_down_blocks_0_resnets_0_conv1", organ, **{"lora_dim": 4, "alpha": 2.0, **options})
    with torch.no_grad():
        module.eval().apply_to()
        for name, parameter in module.named_parameters():
            if "dora" not in name and "org_module" not in name:
                parameter.copy_(torch.randn_like(parameter) * 0.2 + (1.0 if "rescale" in name else 0.0))
        saved = module.custom_state_dict() or module.state_dict()
        file = {f"{module.lora_name}.{name}": tensor.clone() for name, tensor in saved.items()}
        (adapter,) = read_adapters(file, [part_of(weight)])
        x = torch.randn(2, 32) if len(shape) == 2 else torch.randn(2, 32, 5, 5)
        for strength in (1.0,) if "DoRA" in kind or "OFT" in kind else (1.0, 0.5):
            patch = Patch(adapter, strength)
            ours = patched(weight, [patch], f"{TARGET}.weight")
            shift = patched(bias, [patch], f"{TARGET}.bias") if f"{TARGET}.bias" in adapter.deltas else bias
            assert not torch.allclose(ours, weight, atol=1e-3), "it changes nothing"
            changed = layer(shape)
            changed.load_state_dict({"weight": ours, "bias": shift})
            module.multiplier = strength
            expected = module(x)
            assert torch.allclose(changed(x), expected, atol=1e-4, rtol=1e-4), (strength, (changed(x) - expected).abs().max())


def test_rotations_keep_lengths_and_angles() -> None:
    """W turned by an orthogonal R has the W'W it had, block by block; nothing to turn by is no change at all."""
    weight = torch.randn(64, 32)
    for blocks in (torch.randn(8, 8, 8), torch.randn(3, 8, 8, 8)):
        turns = cayley(blocks)
        assert torch.allclose(turns @ turns.transpose(-1, -2), torch.eye(8).expand_as(turns), atol=1e-5)
        turned = Rotation(blocks).apply(weight, 1.0)
        assert torch.allclose(turned.T @ turned, weight.T @ weight, atol=1e-3)
        assert torch.allclose(Rotation(blocks * 0).apply(weight, 1.0), weight, atol=1e-6)


def test_a_rotation_for_another_base_is_refused() -> None:
    file = {"lora_unet_down_blocks_0_resnets_0_conv1.oft_blocks": torch.randn(4, 8, 8)}
    with pytest.raises(AdapterError, match="changes a weight of 32 x 32, but this model's is 64 x 32"):
        read_adapters(file, [part_of(torch.randn(*LINEAR))])
