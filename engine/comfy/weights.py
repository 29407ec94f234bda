"""Patches of weights as packs write them: ComfyUI's names and tuples to the engine's adapters and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from engine.diffusion.lora import read_adapters
from engine.diffusion.lora_names import spellings
from engine.diffusion.parts import Part, Row
from engine.diffusion.patches import Adapter, Delta, Difference, Merged, Replace

PREFIX = "diffusion_model."


def rows_by_name(part: Part) -> dict[str, list[Row]]:
    """The rows of each weight by the name packs know it by: the original layout's, under ``diffusion_model.``."""
    found: dict[str, list[Row]] = {}
    prefix = PREFIX if part.role == "denoiser" else f"{part.role}.transformer."
    for row in part.keymap:
        found.setdefault(prefix + row.source, []).append(row)
    return found


def adapter_of(patches: Mapping[Any, Any], part: Part, strength_model: float = 1.0) -> tuple[Adapter | None, list[str]]:
    """The patches that name weights of ``part`` as one adapter, and their names.

    A patch is ``("diff", (tensor,))``, ``("set", (tensor,))``, a bare ``(tensor,)``, or an adapter that ``load_lora`` made.
    With ``strength_model`` below 1 the weight gives way to the patch by as much.
    """
    names = rows_by_name(part)
    deltas: dict[str, tuple[Delta, ...]] = {}
    taken: list[str] = []
    for key, patch in patches.items():
        name = key if isinstance(key, str) else key[0]
        if name not in names:
            continue
        found = list(_deltas(patch, names[name], strength_model))
        for target, delta in found:
            deltas[target] = (*deltas.get(target, ()), delta)
        if found:
            taken.append(key)
    return (Adapter(part.role, deltas) if deltas else None), taken


def _deltas(patch: Any, rows: list[Row], strength_model: float) -> Iterable[tuple[str, Delta]]:
    if isinstance(patch, Mapping) and "deltas" in patch:
        yield from patch["deltas"]
        return
    kind, values = ("diff", patch) if len(patch) == 1 else patch[:2]
    tensor = values[0] if isinstance(values, tuple | list) else values
    for row in rows:
        value = row.view(tensor)
        if kind == "set":
            yield row.target, Replace(value)
        elif kind == "diff":
            yield row.target, Merged(value) if strength_model == 0.0 else Difference(value)


def load_lora(tensors: Mapping[str, Any], parts: Iterable[Part]) -> dict[str, Any]:
    """A LoRA file as patches by name, ready for ``add_patches``."""
    from engine.diffusion.lora import AdapterError

    found: dict[str, Any] = {}
    for part in parts:
        try:
            (adapter,) = read_adapters(tensors, [part])
        except AdapterError:
            continue
        for name, rows in rows_by_name(part).items():
            deltas = [(row.target, delta) for row in rows for delta in adapter.deltas.get(row.target, ())]
            if deltas:
                found[name] = {"deltas": deltas}
    return found


def lora_keys(part: Part) -> dict[str, str]:
    """Every spelling of a weight in LoRA files, and the weight's name."""
    by_target = {row.target: name for name, rows in rows_by_name(part).items() for row in rows}
    return {spelled: by_target[row.target] for spelled, rows in spellings(part).items() for row in rows}
