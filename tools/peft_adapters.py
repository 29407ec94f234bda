"""Makes tests/diffusion/peft_adapters.safetensors: adapters of every kind peft trains, and the weights peft merges them to.

    pip install peft==0.21.2
    python tools/peft_adapters.py

The test reads the file, so that it needs no peft.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

RESULT = Path(__file__).parents[1] / "tests" / "diffusion" / "peft_adapters.safetensors"
BOTH = ["to_q", "conv"]
KINDS = {
    "LoRA": ("LoraConfig", {"r": 2, "lora_alpha": 4}),
    "LoRA, an alpha a layer": ("LoraConfig", {"r": 2, "lora_alpha": 4, "alpha_pattern": {"conv": 3}}),
    "LoRA, rank-stabilized, with bias": ("LoraConfig", {"r": 2, "lora_alpha": 4, "use_rslora": True, "lora_bias": True}),
    "DoRA": ("LoraConfig", {"r": 2, "lora_alpha": 4, "use_dora": True}),
    "LoHa": ("LoHaConfig", {"r": 2, "alpha": 4, "use_effective_conv2d": True}),
    "LoKr": ("LoKrConfig", {"r": 2, "alpha": 4, "use_effective_conv2d": True}),
    "LoKr, both factored": ("LoKrConfig", {"r": 1, "alpha": 2, "decompose_both": True, "decompose_factor": 4}),
    "IA3": ("IA3Config", {"feedforward_modules": []}),
    "IA3 on inputs": ("IA3Config", {"feedforward_modules": BOTH}),
    "OFT": ("OFTConfig", {"r": 0, "oft_block_size": 4}),
    "OFT, one block for all": ("OFTConfig", {"r": 0, "oft_block_size": 4, "block_share": True}),
    "BOFT": ("BOFTConfig", {"boft_block_size": 4, "boft_n_butterfly_factor": 1}),
}


class Two(nn.Module):
    """A linear layer and a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.to_q, self.conv = nn.Linear(8, 12), nn.Conv2d(4, 8, 3)


def main() -> None:
    import peft

    tensors: dict[str, Tensor] = {}
    configs = {}
    for kind, (name, options) in KINDS.items():
        torch.manual_seed(0)
        network = Two()
        tensors |= {f"base.{key}": value.clone() for key, value in network.state_dict().items()}
        model = peft.get_peft_model(network, getattr(peft, name)(target_modules=BOTH, **options))
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                if "base_layer" not in key:
                    parameter.add_(torch.randn_like(parameter) * (0.03 if "oft" in key else 0.2))
        tensors |= {f"{kind}/{key}": value.clone() for key, value in peft.get_peft_model_state_dict(model).items()}
        told = model.peft_config["default"].to_dict()
        configs[kind] = {key: value for key, value in told.items() if isinstance(value, bool | int | float | str | dict)}
        merged = model.merge_and_unload().state_dict()
        tensors |= {f"{kind}/merged.{key}": value.clone() for key, value in merged.items()}
    save_file(tensors, RESULT, {"configs": json.dumps(configs), "peft": peft.__version__})


if __name__ == "__main__":
    main()
