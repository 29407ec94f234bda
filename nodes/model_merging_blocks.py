"""Merges with a ratio for every block of a family's network. Their dozens of inputs are made from a list of names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from engine.node import Name, node
from engine.types import Model
from nodes.model_merging import Ratio

UNET = ("time_embed.", "label_emb.")
MIDDLE = tuple(f"middle_block.{i}." for i in range(3))


def unet_blocks(down: int, up: int) -> tuple[str, ...]:
    """The blocks of a UNet by the beginnings of their weights' names."""
    ways = tuple(f"input_blocks.{i}." for i in range(down)), tuple(f"output_blocks.{i}." for i in range(up))
    return (*UNET, *ways[0], *MIDDLE, *ways[1], "out.")


def merge_node(type_name: str, blocks: Sequence[str], function_name: str) -> Callable[..., Model]:
    """A node with one ratio a block: 1 is the first model, 0 the second."""
    names = {block.replace(".", "_").rstrip("_"): block for block in blocks}

    def merge(**inputs: Any) -> Model:
        from engine.diffusion.merging import by_block, merge_models

        ratios = {block: inputs.get(name, 1.0) for name, block in names.items()}
        return merge_models(by_block(ratios, default=ratios[blocks[0]]), inputs["model1"], inputs["model2"])

    keyword = inspect.Parameter.KEYWORD_ONLY
    models = [inspect.Parameter(name, keyword, annotation=Model) for name in ("model1", "model2")]
    shares = [inspect.Parameter(name, keyword, default=1.0, annotation=Annotated[Ratio, Name(b)]) for name, b in names.items()]
    parameters = [*models, *shares]
    merge.__signature__ = inspect.Signature(parameters, return_annotation=Model)  # type: ignore[attr-defined]
    merge.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters} | {"return": Model}
    merge.__name__ = merge.__qualname__ = function_name
    merge.__doc__ = merge_node.__doc__
    return node(type_name, category="advanced/model_merging/model_specific")(merge)


model_merge_sd1 = merge_node("ModelMergeSD1", unet_blocks(12, 12), "model_merge_sd1")
model_merge_sd2 = merge_node("ModelMergeSD2", unet_blocks(12, 12), "model_merge_sd2")
model_merge_sdxl = merge_node("ModelMergeSDXL", unet_blocks(9, 9), "model_merge_sdxl")
