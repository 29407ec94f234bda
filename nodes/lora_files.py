"""LoRAs into files."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Interval

from engine.node import Run, node
from engine.types import Clip, Model
from nodes.model_files import about


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
