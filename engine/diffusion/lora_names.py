"""The names in LoRA files: what a tensor is to its module, and every way a module is spelled.

The spellings are generated from each network's key map, which knows a weight by two names: the network's own (diffusers,
transformers) and that of the original layout.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from weakref import WeakKeyDictionary

from torch import Tensor

from engine.diffusion.parts import Part, Row, Tensors

SUFFIXES: Mapping[str, str] = {
    ".lora_up.weight": "up", ".lora_down.weight": "down", ".lora_mid.weight": "mid",
    ".lora_B.weight": "up", ".lora_A.weight": "down", ".lora_B": "up", ".lora_A": "down", ".lora_B.bias": "up_b",
    "_lora.up.weight": "up", "_lora.down.weight": "down", ".lora.up.weight": "up", ".lora.down.weight": "down",
    ".lora_linear_layer.up.weight": "up", ".lora_linear_layer.down.weight": "down",
    ".alpha": "alpha", ".dora_scale": "dora", ".lora_magnitude_vector": "lengths", ".lora_magnitude_vector.weight": "lengths",
    ".hada_w1_a": "w1_a", ".hada_w1_b": "w1_b", ".hada_w2_a": "w2_a", ".hada_w2_b": "w2_b", ".hada_t1": "t1", ".hada_t2": "t2",
    ".lokr_w1": "kr1", ".lokr_w1_a": "kr1_a", ".lokr_w1_b": "kr1_b",
    ".lokr_w2": "kr2", ".lokr_w2_a": "kr2_a", ".lokr_w2_b": "kr2_b", ".lokr_t2": "krt2",
    ".a1.weight": "a1", ".a2.weight": "a2", ".b1.weight": "b1", ".b2.weight": "b2", ".bm.weight": "bm",
    ".oft_blocks": "oft", ".rescale": "rescale", ".oft_R": "oft_r", ".oft_R.weight": "oft_r", ".boft_R": "boft_r",
    ".boft_s": "boft_s",
    ".diff": "diff", ".diff_b": "diff_b", ".w_norm": "diff", ".b_norm": "diff_b", ".set_weight": "set",
    ".on_input": "on_input", ".weight": "ia3", ".ia3_l": "ia3_l",
}  # fmt: skip
"""How a tensor's name ends, and what it is to its module."""

BUNDLED = "bundle_emb."
"""How the names of textual inversions begin that come with a LoRA."""

_ENDINGS = sorted(SUFFIXES, key=len, reverse=True)
_ADAPTER = re.compile(
    r"(\.(?:lora_[AB]|lora_magnitude_vector|hada_\w+|lokr_\w+|ia3_l|oft_R|boft_[Rs]))\.(?!weight$|bias$)[^.]+(?=\.(?:weight|bias)$|$)"
)
"""peft's name of an adapter within a tensor's name, as in ``lora_A.default.weight``."""


def modules(tensors: Tensors) -> tuple[dict[str, dict[str, Tensor]], list[str]]:
    """The file's tensors by module, then by what they are; and the names no adapter is known to have."""
    found: dict[str, dict[str, Tensor]] = {}
    strange: list[str] = []
    for full, tensor in tensors.items():
        name = _ADAPTER.sub(r"\1", full)
        ending = next((ending for ending in _ENDINGS if name.endswith(ending)), None)
        if ending is not None:
            module = name[: -len(ending)].replace(".processor.", ".")
            found.setdefault(module, {})[SUFFIXES[ending]] = tensor
        elif not full.startswith(BUNDLED):
            strange.append(full)
    return found, strange


def of_text(name: str) -> bool:
    """Whether a name in a LoRA file is for a text encoder."""
    return name.startswith(("lora_te", "oft_te", "text_encoder")) or "text_model" in name or ".encoder.layers." in name


def spellings(part: Part) -> dict[str, tuple[Row, ...]]:
    """Every name a module of ``part`` goes by, and the rows of the key map it stands for: several for a fused projection."""
    known = _spelled.get(part)
    if known is None:
        known = _spelled[part] = _spellings(part)
    return known


_spelled: WeakKeyDictionary[Part, dict[str, tuple[Row, ...]]] = WeakKeyDictionary()
"""What takes a fifth of a second for SDXL, kept as long as the part lives."""


def _spellings(part: Part) -> dict[str, tuple[Row, ...]]:
    table: dict[str, list[Row]] = {}
    for row in part.keymap:
        if row.target.endswith(".weight"):
            names = set(_denoiser_names(row) if part.role == "denoiser" else _text_names(row, part.role))
            for name in names:
                table.setdefault(name, []).append(row)
    return {name: tuple(rows) for name, rows in table.items()}


def _denoiser_names(row: Row) -> Iterator[str]:
    ours, original = row.target.removesuffix(".weight"), row.source.removesuffix(".weight")
    short = ours.replace(".to_out.0", ".to_out")
    for name in {ours, short}:
        yield from (name, f"unet.{name}", f"transformer.{name}", f"base_model.model.{name}")
        flat = name.replace(".", "_")
        yield from (f"{prefix}_{flat}" for prefix in ("lora_unet", "oft_unet", "lycoris", "lora_transformer"))
    yield from (f"{prefix}.{original}" for prefix in ("diffusion_model", "model.diffusion_model", "base_model.model"))
    yield from (f"{prefix}_{original.replace('.', '_')}" for prefix in ("lora_unet", "oft_unet", "lycoris"))


TEXT_PREFIXES: Mapping[str, tuple[str, ...]] = {
    "clip_l": (
        "lora_te", "lora_te1", "oft_te", "oft_te1", "lycoris", "text_encoder", "text_encoders.clip_l.transformer",
        "base_model.model",
    ),
    "clip_g": ("lora_te2", "oft_te2", "text_encoder_2", "text_encoders.clip_g.transformer"),
    "clip_h": ("lora_te", "oft_te", "lycoris", "text_encoder", "text_encoders.clip_h.transformer", "base_model.model"),
}  # fmt: skip
"""Where text encoders are found; after those of trainers (``lora_te`` ...) dots are underscores."""


def _text_names(row: Row, role: str) -> Iterator[str]:
    """With ``text_model`` and, as transformers 5 has it, without; ``to_q`` for ``q_proj``, as diffusers once had it."""
    name = row.target.removesuffix(".weight").removeprefix("text_model.")
    old = re.sub(r"self_attn\.(q|k|v|out)_proj$", r"self_attn.to_\1", name)
    for prefix in TEXT_PREFIXES.get(role, (f"text_encoders.{role}.transformer",)):
        if prefix.startswith(("lora_", "oft_", "lycoris")):
            yield from (f"{prefix}_{spelled.replace('.', '_')}" for spelled in (name, f"text_model.{name}"))
        else:
            yield from {f"{prefix}.{spelled}" for spelled in (name, f"text_model.{name}", f"text_model.{old}")}
