"""LoRA files and their kin on a model: which weights they change, and how."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from engine.diffusion.lora_names import BUNDLED, modules, of_text, spellings
from engine.diffusion.parts import Part, Row, Tensors
from engine.diffusion.patches import Adapter, Delta, Difference, Glora, Hadamard, Kronecker, LowRank, Patch, Replace, Rows, Scale
from engine.diffusion.peft_kinds import Decomposed, Turned
from engine.diffusion.rotations import Rotation

if TYPE_CHECKING:
    from engine.diffusion.clip import Clip
    from engine.diffusion.merge_blocks import BlockWeights
    from engine.diffusion.model import Model


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
    if words := bundled(tensors):
        clip = clip.with_embeddings(words) if clip is not None else None
        if all(name.startswith(BUNDLED) for name in tensors):
            return model, clip
    for adapter in read_adapters(tensors, parts):
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
    clip = clip.with_embeddings(bundled(tensors)) if clip is not None else None
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
    found, strange = modules(tensors)
    adapters: list[Adapter] = []
    parts = list(parts)
    for part in parts:
        deltas: dict[str, tuple[Delta, ...]] = {}
        spelled = spellings(part)
        for module, pieces in found.items():
            for row in spelled.get(module, ()):
                weight = row.view(part.stored[row.source])
                for target, delta in _deltas(row, weight, pieces):
                    if target == row.target:
                        _check(weight, delta, module)
                    deltas[target] = (*deltas.get(target, ()), delta)
        if deltas:
            adapters.append(Adapter(part.role, deltas))
    if not adapters:
        names = [*found, *strange]
        first = f"the first of its {len(names)} parts is {names[0]!r}" if names else "it is empty"
        roles = ", ".join(part.role for part in parts)
        raise AdapterError(f"nothing in this LoRA fits the model ({roles}): {first}. Choose one made for this model's family.")
    return adapters


def unmatched(tensors: Tensors, parts: Sequence[Part]) -> list[str]:
    """Modules of the file that change nothing in any of the parts, and tensors of which it is not known what they are.

    With the denoiser alone, those of text encoders are no concern.
    """
    found, strange = modules(tensors)
    tables = [(part, spellings(part)) for part in parts]

    def used(module: str, pieces: Mapping[str, Tensor]) -> bool:
        rows = ((part, row) for part, table in tables for row in table.get(module, ()))
        return any(True for part, row in rows for _ in _deltas(row, row.view(part.stored[row.source]), pieces))

    left = [module for module, pieces in found.items() if not used(module, pieces)] + strange
    return [name for name in left if not of_text(name)] if all(part.role == "denoiser" for part in parts) else left


def bundled(tensors: Tensors) -> dict[str, Tensors]:
    """The textual inversions that come with a LoRA, by name, each as a file of its own would have it."""
    found: dict[str, dict[str, Tensor]] = {}
    for full, tensor in tensors.items():
        name, dot, piece = full.removeprefix(BUNDLED).partition(".")
        if full.startswith(BUNDLED) and dot:
            found.setdefault(name, {})[piece] = tensor
    return dict(found)


def _deltas(row: Row, weight: Tensor, pieces: Mapping[str, Tensor]) -> Iterator[tuple[str, Delta]]:
    """The changes a module's tensors make, with the weight each is for; ``weight`` is looked at for its shape alone."""
    bias = row.target.removesuffix(".weight") + ".bias"
    alpha = float(pieces["alpha"].flatten()[0]) if "alpha" in pieces and pieces["alpha"].numel() else None
    delta = _delta(pieces, alpha, weight.shape[0])
    if isinstance(delta, LowRank) and row.rows is not None and delta.up.shape[0] != row.rows[1] - row.rows[0]:
        delta = Rows(delta, *row.rows)
    if isinstance(delta, LowRank) and "up_b" in pieces:
        yield bias, Difference(pieces["up_b"].float() * delta.scale)
    if delta is not None:
        yield row.target, Decomposed(delta, pieces["lengths"]) if "lengths" in pieces else delta
    if isinstance(delta, Scale) and "ia3_l" in pieces and not delta.on_input:
        yield bias, delta
    if "diff" in pieces:
        yield row.target, Difference(pieces["diff"])
    if "set" in pieces:
        yield row.target, Replace(pieces["set"])
    if "diff_b" in pieces:
        yield bias, Difference(pieces["diff_b"])


def _delta(pieces: Mapping[str, Tensor], alpha: float | None, outputs: int) -> Delta | None:
    """What the tensors of one module are together; None if that is nothing whole, or of rank 0."""
    p, dora = pieces, pieces.get("dora")
    if "up" in p and "down" in p:
        return LowRank(p["up"], p["down"], alpha, p.get("mid"), dora) if p["down"].shape[0] else None
    if "w1_a" in p and "w1_b" in p and "w2_a" in p and "w2_b" in p:
        return Hadamard(p["w1_a"], p["w1_b"], p["w2_a"], p["w2_b"], alpha, p.get("t1"), p.get("t2"), dora)
    if ("kr1" in p or ("kr1_a" in p and "kr1_b" in p)) and ("kr2" in p or ("kr2_a" in p and "kr2_b" in p)):
        first = p["kr1"] if "kr1" in p else (p["kr1_a"], p["kr1_b"])
        second = p["kr2"] if "kr2" in p else (p["kr2_a"], p["kr2_b"])
        return Kronecker(first, second, p.get("krt2"), alpha, dora)
    if "a1" in p and "a2" in p and "b1" in p and "b2" in p:
        return Glora(p["a1"], p["a2"], p["b1"], p["b2"], alpha, dora, p.get("bm"))
    if "oft" in p:
        return Rotation(p["oft"], alpha or 0.0, p.get("rescale"))
    if "oft_r" in p or "boft_r" in p:
        return Turned(p["oft_r"] if "oft_r" in p else p["boft_r"], p.get("boft_s"))
    if "ia3" in p and "on_input" in p:
        return Scale(p["ia3"], bool(p["on_input"]))
    if "ia3_l" in p:
        factor = p["ia3_l"]
        return Scale(factor.float() - 1.0, factor.shape[0] == 1 if factor.ndim == 2 else factor.numel() != outputs)
    return None


def _check(weight: Tensor, delta: Delta, module: str) -> None:
    """A delta of another size means a LoRA of another base model with like-named modules."""
    ours = (weight.shape[0], weight[0].numel())
    theirs = _size(delta, weight)
    if theirs != ours:
        raise AdapterError(
            f"this LoRA is for another base model: {module} changes a weight of {theirs[0]} x {theirs[1]}, "
            f"but this model's is {ours[0]} x {ours[1]}. Choose one made for this model's family."
        )
    lengths = delta.lengths if isinstance(delta, Decomposed) else getattr(delta, "dora", None)
    if lengths is not None and lengths.numel() not in (weight.shape[0], weight.shape[1]):
        raise AdapterError(
            f"this DoRA is for another base model: {module} has {lengths.numel()} lengths, but this model's weight has "
            f"{weight.shape[0]} outputs and {weight.shape[1]} inputs. Choose one made for this model's family."
        )
    if isinstance(delta, LowRank) and delta.up.shape[1] != delta.down.shape[0] and delta.mid is None:
        raise AdapterError(
            f"this LoRA is damaged: {module} has factors of rank {delta.up.shape[1]} and {delta.down.shape[0]}, which should be "
            "equal. Download or train it again."
        )


def _size(delta: Delta, weight: Tensor) -> tuple[int, int]:
    """(outputs, inputs times kernel) of the weight a delta is for; those of ``weight`` where any will do."""
    outputs, inputs = weight.shape[0], weight[0].numel()
    match delta:
        case Decomposed():
            return _size(delta.delta, weight)
        case LowRank():
            return delta.up.shape[0], delta.down[0].numel() * _kernel(delta.mid)
        case Rows():
            return outputs, delta.delta.down[0].numel()
        case Hadamard():
            if delta.t1 is None:
                return delta.w1_a.shape[0], delta.w1_b.shape[1]
            return delta.w1_a.shape[1], delta.w1_b.shape[1] * _kernel(delta.t1)
        case Kronecker():
            (rows, columns), (more_rows, more_columns) = _factor(delta.w1, None), _factor(delta.w2, delta.t2)
            return rows * more_rows, columns * more_columns
        case Glora():
            _, _, first, last = delta.factors
            return last.shape[0], first[0].numel() * _kernel(delta.bm)
        case Rotation():
            return delta.outputs, inputs
        case Turned():
            return outputs, inputs if delta.inputs is None else delta.inputs
        case Scale():
            return (outputs, inputs // weight.shape[1] * delta.value.numel()) if delta.on_input else (delta.value.numel(), inputs)
        case Difference() if delta.value.ndim == weight.ndim == 4:  # which may widen the inputs
            (new_outputs, new_inputs, *new_kernel), (_, old_inputs, *old_kernel) = delta.value.shape, weight.shape
            fits = new_outputs == outputs and new_inputs >= old_inputs and new_kernel == old_kernel
            return (outputs, inputs) if fits else (delta.value.shape[0], delta.value[0].numel())
        case Difference() | Replace():
            return delta.value.shape[0], delta.value[0].numel()
    return outputs, inputs


def _kernel(core: Tensor | None) -> int:
    return core.shape[2:].numel() if core is not None else 1


def _factor(factor: Tensor | tuple[Tensor, Tensor], core: Tensor | None) -> tuple[int, int]:
    """(rows, columns) of one side of a Kronecker product, a kernel counted with the columns."""
    if isinstance(factor, Tensor):
        return factor.shape[0], factor[0].numel()
    if core is None:
        return factor[0].shape[0], factor[1][0].numel()
    return factor[0].shape[1], factor[1].shape[1] * _kernel(core)
