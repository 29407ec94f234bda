"""LoRAs block by block, and into files."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Interval

from engine.node import Run, node
from engine.types import Clip, Model
from nodes.loaders import Adapted, LoraName
from nodes.model_files import about
from nodes.model_merging import BlockList
from nodes.sizes import Strength100


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
    from engine.diffusion.containers import read_tensors
    from engine.diffusion.lora import apply_by_block
    from engine.diffusion.merge_blocks import read

    tensors = read_tensors(run.folders.find("loras", lora_name)).tensors
    patched, words = apply_by_block(model, clip, tensors, strength_model, strength_clip, read(blocks, 1.0))
    return Adapted(patched, words or clip)


@node("LoraSave", category="_for_testing", title="Extract and Save Lora", output=True)
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
    from engine.diffusion.saving import Entry, stream_tensors

    found = extract(model_diff, text_encoder_diff, rank, full=lora_type == "full_diff", bias=bias_diff, report=run.progress)
    entries = {name: Entry(tensor.dtype, tuple(tensor.shape)) for name, tensor in found.items()}
    run.save(stream_tensors(entries, found.values(), about(run, "lora")), ".safetensors", prefix=filename_prefix)
