"""LoRA files as patches by the names of weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.comfy.finder import missing

__getattr__ = missing(__name__)
LORA_CLIP_MAP = {
    "mlp.fc1": "mlp_fc1", "mlp.fc2": "mlp_fc2", "self_attn.k_proj": "self_attn_k_proj", "self_attn.q_proj": "self_attn_q_proj",
    "self_attn.v_proj": "self_attn_v_proj", "self_attn.out_proj": "self_attn_out_proj",
}  # fmt: skip


class Keys(dict[str, str]):
    """Spellings to names; it remembers whose they are."""

    def __init__(self, *found: Any) -> None:
        super().__init__(*found)
        self.parts: list[Any] = []


def _into(key_map: Mapping[str, str] | None, parts: Any) -> Keys:
    from engine.comfy.weights import lora_keys

    keys = key_map if isinstance(key_map, Keys) else Keys(key_map or {})
    for part in parts:
        keys.update(lora_keys(part))
        keys.parts.append(part)
    return keys


def model_lora_keys_unet(model: Any, key_map: Mapping[str, str] | None = None) -> Keys:
    """Every spelling of the denoiser's weights; ``model`` is the inner model of a ModelPatcher."""
    return _into(key_map, [model.engine.part])


def model_lora_keys_clip(model: Any, key_map: Mapping[str, str] | None = None) -> Keys:
    """Every spelling of the text encoders' weights; ``model`` is a CLIP's ``cond_stage_model``."""
    return _into(key_map, model.owner.engine.parts)


def load_lora(lora: Mapping[str, Any], to_load: Mapping[str, str], log_missing: bool = True) -> dict[str, Any]:
    """The patches in a LoRA for the weights in ``to_load``."""
    from engine.comfy import weights

    return weights.load_lora(lora, to_load.parts if isinstance(to_load, Keys) else [])


def calculate_weight(patches: Any, weight: Any, key: str, intermediate_dtype: Any = None, original_weights: Any = None) -> Any:
    """The weight with plain differences and replacements applied."""
    result = weight.float()
    for strength, patch, strength_model, *_ in patches:
        kind, values = ("diff", patch) if len(patch) == 1 else patch[:2]
        result = result * strength_model
        result = values[0].to(result) if kind == "set" else result + strength * values[0].to(result)
    return result.to(weight)
