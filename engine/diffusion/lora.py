"""LoRA files and their kin: every spelling of their names, and which weights they change.

The spellings are generated from each network's key map, which knows a weight by two names: the network's own (diffusers,
transformers) and that of the original layout.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from torch import Tensor

from engine.diffusion.parts import Part, Row, Tensors
from engine.diffusion.patches import Adapter, Delta, Difference, Glora, Hadamard, Kronecker, LowRank, Patch, Replace, Rows, Scale
from engine.diffusion.rotations import Rotation

if TYPE_CHECKING:
    from engine.diffusion.clip import Clip
    from engine.diffusion.merge_blocks import BlockWeights
    from engine.diffusion.model import Model

SUFFIXES: Mapping[str, str] = {
    ".lora_up.weight": "up", ".lora_down.weight": "down", ".lora_mid.weight": "mid",
    ".lora_B.weight": "up", ".lora_A.weight": "down", ".lora_B": "up", ".lora_A": "down",
    ".lora_B.default.weight": "up", ".lora_A.default.weight": "down",
    "_lora.up.weight": "up", "_lora.down.weight": "down", ".lora.up.weight": "up", ".lora.down.weight": "down",
    ".lora_linear_layer.up.weight": "up", ".lora_linear_layer.down.weight": "down",
    ".alpha": "alpha", ".dora_scale": "dora",
    ".lora_magnitude_vector": "dora", ".lora_magnitude_vector.weight": "dora", ".lora_magnitude_vector.default.weight": "dora",
    ".hada_w1_a": "w1_a", ".hada_w1_b": "w1_b", ".hada_w2_a": "w2_a", ".hada_w2_b": "w2_b", ".hada_t1": "t1", ".hada_t2": "t2",
    ".lokr_w1": "kr1", ".lokr_w1_a": "kr1_a", ".lokr_w1_b": "kr1_b",
    ".lokr_w2": "kr2", ".lokr_w2_a": "kr2_a", ".lokr_w2_b": "kr2_b", ".lokr_t2": "krt2",
    ".a1.weight": "a1", ".a2.weight": "a2", ".b1.weight": "b1", ".b2.weight": "b2",
    ".oft_blocks": "oft", ".rescale": "rescale", ".bm.weight": "bm",
    ".diff": "diff", ".diff_b": "diff_b", ".w_norm": "diff", ".b_norm": "diff_b", ".set_weight": "set",
    ".on_input": "on_input", ".weight": "ia3",
}  # fmt: skip
"""How a tensor's name ends, and what it is to its module."""


class AdapterError(ValueError):
    """A file that cannot be applied to this model: why, and what to do."""


def apply_lora(
    model: Model | None, clip: Clip | None, tensors: Tensors, strength_model: float, strength_clip: float
) -> tuple[Model | None, Clip | None]:
    """The model and the text encoder with a LoRA on them; what the file has nothing for comes back as it was."""
    parts = [model.part] if model is not None and strength_model else []
    parts += clip.parts if clip is not None and strength_clip else ()
    if not parts:
        return model, clip
    adapters = read_adapters(tensors, parts)
    for adapter in adapters:
        if adapter.role == "denoiser" and model is not None:
            model = model.with_patches(adapter, strength_model)
        elif clip is not None:
            clip = clip.with_patches((*clip.patches, Patch(adapter, strength_clip)))
    return model, clip


def apply_by_block(
    model: Model, clip: Clip | None, tensors: Tensors, strength_model: float, strength_clip: float, blocks: BlockWeights
) -> tuple[Model, Clip | None]:
    """As ``apply_lora``, the strength of each block of the denoiser times its weight, that of the text encoders times BASE."""
    parts = [model.part, *(clip.parts if clip is not None else ())]
    source = {row.target: row.source for row in model.part.keymap}
    for adapter in read_adapters(tensors, parts):
        if adapter.role != "denoiser":
            assert clip is not None
            clip = clip.with_patches((*clip.patches, Patch(adapter, strength_clip * blocks.base)))
            continue
        by_weight: dict[float, dict[str, tuple[Delta, ...]]] = {}
        for target, deltas in adapter.deltas.items():
            by_weight.setdefault(blocks(source.get(target, target)), {})[target] = deltas
        for weight, some in by_weight.items():
            model = model.with_patches(Adapter("denoiser", some), strength_model * weight)
    return model, clip


def read_adapters(tensors: Tensors, parts: Iterable[Part]) -> list[Adapter]:
    """One adapter for each part the file changes; ``AdapterError`` if that is none, or if a shape does not fit."""
    modules = _modules(tensors)
    adapters: list[Adapter] = []
    parts = list(parts)
    for part in parts:
        deltas: dict[str, tuple[Delta, ...]] = {}
        spelled = spellings(part)
        for module, pieces in modules.items():
            for row in spelled.get(module, ()):
                for target, delta in _deltas(row, pieces):
                    _check(part, row, target, delta, module)
                    deltas[target] = (*deltas.get(target, ()), delta)
        if deltas:
            adapters.append(Adapter(part.role, deltas))
    if not adapters:
        known = next(iter(modules), None) or next(iter(tensors), "nothing")
        raise AdapterError(
            f"nothing in this LoRA fits the model ({', '.join(part.role for part in parts)}): its first entry is {known!r}. "
            "Choose one made for this model's family."
        )
    return adapters


def unmatched(tensors: Tensors, parts: Iterable[Part]) -> list[str]:
    """Modules of the file that none of the parts has."""
    known = {name for part in parts for name in spellings(part)}
    return [module for module in _modules(tensors) if module not in known]


def _modules(tensors: Tensors) -> dict[str, dict[str, Tensor]]:
    """The file's tensors by module, then by what they are."""
    modules: dict[str, dict[str, Tensor]] = {}
    suffixes = sorted(SUFFIXES, key=len, reverse=True)
    for name, tensor in tensors.items():
        suffix = next((suffix for suffix in suffixes if name.endswith(suffix)), None)
        if suffix is not None:
            module = name[: -len(suffix)].replace(".processor.", ".")
            modules.setdefault(module, {})[SUFFIXES[suffix]] = tensor
    return modules


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
        yield from (f"{prefix}_{name.replace('.', '_')}" for prefix in ("lora_unet", "lycoris", "lora_transformer"))
    yield from (f"{prefix}.{original}" for prefix in ("diffusion_model", "model.diffusion_model", "base_model.model"))
    yield from (f"{prefix}_{original.replace('.', '_')}" for prefix in ("lora_unet", "lycoris"))


TEXT_PREFIXES: Mapping[str, tuple[str, ...]] = {
    "clip_l": ("lora_te", "lora_te1", "text_encoder", "text_encoders.clip_l.transformer"),
    "clip_g": ("lora_te2", "text_encoder_2", "text_encoders.clip_g.transformer"),
    "clip_h": ("lora_te", "text_encoder", "text_encoders.clip_h.transformer"),
}
"""Where text encoders are found; a prefix with a dot-free ``lora_`` start has underscores for dots after it."""


def _text_names(row: Row, role: str) -> Iterator[str]:
    name = "text_model." + row.target.removesuffix(".weight").removeprefix("text_model.")
    for prefix in TEXT_PREFIXES.get(role, (f"text_encoders.{role}.transformer",)):
        yield f"{prefix}_{name.replace('.', '_')}" if prefix.startswith("lora_") else f"{prefix}.{name}"


def _deltas(row: Row, pieces: Mapping[str, Tensor]) -> Iterator[tuple[str, Delta]]:
    """The changes a module's tensors make, with the weight each is for."""
    alpha = float(pieces["alpha"]) if "alpha" in pieces else None
    dora = pieces.get("dora")
    delta = _delta(pieces, alpha, dora)
    if isinstance(delta, LowRank) and row.rows is not None and delta.up.shape[0] != row.rows[1] - row.rows[0]:
        delta = Rows(delta, *row.rows)
    if delta is not None:
        yield row.target, delta
    if "diff" in pieces:
        yield row.target, Difference(pieces["diff"])
    if "set" in pieces:
        yield row.target, Replace(pieces["set"])
    if "diff_b" in pieces:
        yield row.target.removesuffix(".weight") + ".bias", Difference(pieces["diff_b"])


def _delta(pieces: Mapping[str, Tensor], alpha: float | None, dora: Tensor | None) -> Delta | None:
    p = pieces
    if "up" in p and "down" in p:
        return LowRank(p["up"], p["down"], alpha, p.get("mid"), dora)
    if "w1_a" in p and "w1_b" in p and "w2_a" in p and "w2_b" in p:
        return Hadamard(p["w1_a"], p["w1_b"], p["w2_a"], p["w2_b"], alpha, p.get("t1"), p.get("t2"), dora)
    if ("kr1" in p or "kr1_a" in p) and ("kr2" in p or "kr2_a" in p):
        first = p["kr1"] if "kr1" in p else (p["kr1_a"], p["kr1_b"])
        second = p["kr2"] if "kr2" in p else (p["kr2_a"], p["kr2_b"])
        return Kronecker(first, second, p.get("krt2"), alpha, dora)
    if "a1" in p and "a2" in p and "b1" in p and "b2" in p:
        return Glora(p["a1"], p["a2"], p["b1"], p["b2"], alpha, dora, p.get("bm"))
    if "oft" in p:
        return Rotation(p["oft"], alpha or 0.0, p.get("rescale"))
    if "ia3" in p and "on_input" in p:
        return Scale(p["ia3"], bool(p["on_input"]))
    return None


def _check(part: Part, row: Row, target: str, delta: Delta, module: str) -> None:
    """A delta of another size means a LoRA of another base model with like-named modules."""
    if target != row.target:
        return
    weight = row.view(part.stored[row.source])
    ours = (weight.shape[0], weight[0].numel())
    theirs = ours
    if isinstance(delta, LowRank):
        kernel = delta.mid.shape[2:].numel() if delta.mid is not None else 1
        theirs = (delta.up.shape[0], delta.down[0].numel() * kernel)
    elif isinstance(delta, Rotation):
        theirs = (delta.outputs, ours[1])
    elif isinstance(delta, Hadamard) and delta.t1 is None:
        theirs = (delta.w1_a.shape[0], delta.w1_b.shape[1])
    elif isinstance(delta, Difference) and delta.value.ndim != weight.ndim:
        theirs = (delta.value.shape[0], delta.value[0].numel())
    if theirs != ours:
        raise AdapterError(
            f"this LoRA is for another base model: {module} changes a weight of {theirs[0]} x {theirs[1]}, "
            f"but this model's is {ours[0]} x {ours[1]}. Choose one made for this model's family."
        )
