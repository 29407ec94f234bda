"""LoRAs from files, whole or block by block, and into files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from annotated_types import Interval

from engine.node import Folder, Run, node
from engine.types import Clip, Model
from nodes.model_merging import BlockList
from nodes.sizes import Strength100

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.diffusion.parts import Part, Tensors

LoraName = Annotated[str, Folder("loras")]


def tell(run: Run, name: str, tensors: Tensors, parts: Sequence[Part]) -> None:
    """Write on the node how much of a LoRA the model has no place for, and which words come with it."""
    from engine.diffusion.lora import bundled, unmatched

    notes, left, words = [], unmatched(tensors, parts), bundled(tensors)
    if left:
        noun, have, were, more = ("parts", "have", "were", " ...") if left[1:] else ("part", "has", "was", ".")
        notes.append(f"{len(left)} {noun} of {name} {have} no place in this model and {were} left out: {left[0]}{more}")
    if words and any(part.role != "denoiser" for part in parts):
        notes.append(f"It brings {', '.join(f'embedding:{word}' for word in words)} for the prompt.")
    if notes:
        run.progress(1, 1, " ".join(notes))


class Adapted(NamedTuple):
    model: Model
    clip: Clip


@node("LoraLoader", category="loaders", title="Load LoRA", outputs=("MODEL", "CLIP"), lane="io")
def lora_loader(
    model: Model,
    clip: Clip,
    lora_name: LoraName,
    strength_model: Strength100 = 1.0,
    strength_clip: Strength100 = 1.0,
    *,
    run: Run,
) -> Adapted:
    """Apply a LoRA to the model and its text encoder; several may be chained."""
    from engine.diffusion.lora import apply_lora
    from engine.diffusion.lora_file import read_lora

    if strength_model == 0 and strength_clip == 0:
        return Adapted(model, clip)
    tensors = read_lora(run.folders.find("loras", lora_name))
    adapted_model, adapted_clip = apply_lora(model, clip, tensors, strength_model, strength_clip)
    tell(run, lora_name, tensors, [model.part, *clip.parts])
    return Adapted(adapted_model or model, adapted_clip or clip)


@node("LoraLoaderModelOnly", category="loaders", lane="io")
def lora_loader_model_only(model: Model, lora_name: LoraName, strength_model: Strength100 = 1.0, *, run: Run) -> Model:
    """Apply a LoRA to the model alone."""
    from engine.diffusion.lora import apply_lora
    from engine.diffusion.lora_file import read_lora

    if strength_model == 0:
        return model
    tensors = read_lora(run.folders.find("loras", lora_name))
    adapted = apply_lora(model, None, tensors, strength_model, 0.0)[0]
    tell(run, lora_name, tensors, [model.part])
    return adapted or model


@node("LoraLoaderBlocks", category="loaders", title="Load LoRA (Block Weights)", outputs=("MODEL", "CLIP"), lane="io")
def lora_loader_blocks(
    model: Model,
    clip: Clip,
    lora_name: LoraName,
    strength_model: Strength100 = 1.0,
    strength_clip: Strength100 = 1.0,
    blocks: BlockList = "",
    *,
    run: Run,
) -> Adapted:
    """Apply a LoRA with a strength a block: some blocks draw what is there, others how it looks. BASE is the text encoder's."""
    from engine.diffusion.lora import apply_by_block
    from engine.diffusion.lora_file import read_lora
    from engine.diffusion.merge_blocks import read

    tensors = read_lora(run.folders.find("loras", lora_name))
    adapted_model, adapted_clip = apply_by_block(model, clip, tensors, strength_model, strength_clip, read(blocks, 1.0))
    tell(run, lora_name, tensors, [model.part, *clip.parts])
    return Adapted(adapted_model, adapted_clip or clip)


@node("LoraSave", category="_for_testing", title="Extract and Save Lora", output=True, experimental=True)
def lora_save(
    filename_prefix: str = "loras/ComfyUI_extracted_lora",
    rank: Annotated[int, Interval(ge=1, le=4096)] = 8,
    lora_type: Literal["standard", "full_diff"] = "standard",
    bias_diff: bool = True,
    model_diff: Model | None = None,
    text_encoder_diff: Clip | None = None,
    *,
    run: Run,
) -> None:
    """A LoRA of the difference between two models: connect what ModelMergeSubtract gives, and CLIPMergeSubtract for the text."""
    from engine.diffusion.extraction import extract
    from engine.diffusion.modelspec import about_lora
    from engine.diffusion.saving import Entry, stream_tensors

    found = extract(model_diff, text_encoder_diff, rank, full=lora_type == "full_diff", bias=bias_diff, report=run.progress)
    entries = {name: Entry(tensor.dtype, tuple(tensor.shape)) for name, tensor in found.items()}
    title = filename_prefix.rpartition("/")[2]
    said = {**run.texts(), **about_lora(title, model_diff, rank if lora_type == "standard" else None)}
    run.save(stream_tensors(entries, found.values(), said), ".safetensors", prefix=filename_prefix)
