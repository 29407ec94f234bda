"""Models made of two."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Interval

from engine.node import Doc, Seed, Step, node
from engine.types import Clip, Model

Ratio = Annotated[float, Interval(ge=0.0, le=1.0), Step(0.01)]
Multiplier = Annotated[float, Interval(ge=-10.0, le=10.0), Step(0.01)]


@node("ModelMergeSimple", category="advanced/model_merging")
def model_merge_simple(model1: Model, model2: Model, ratio: Ratio = 1.0) -> Model:
    """A weighted mean: 1 is the first model, 0 the second."""
    from engine.diffusion.merging import merge_models, weighted

    return merge_models(lambda row: weighted(ratio), model1, model2)


@node("ModelMergeBlocks", category="advanced/model_merging")
def model_merge_blocks(model1: Model, model2: Model, input: Ratio = 1.0, middle: Ratio = 1.0, out: Ratio = 1.0) -> Model:
    """A weighted mean with a share of the first model for the way down, the middle and the way up."""
    from engine.diffusion.merging import by_block, merge_models

    return merge_models(by_block({"input": input, "middle": middle, "out": out}, default=input), model1, model2)


@node("ModelMergeAdd", category="advanced/model_merging")
def model_merge_add(model1: Model, model2: Model) -> Model:
    """The sum: of a model and a difference of two others."""
    from engine.diffusion.merging import merge_models

    return merge_models(lambda row: lambda a, b: a + b, model1, model2)


@node("ModelMergeSubtract", category="advanced/model_merging")
def model_merge_subtract(model1: Model, model2: Model, multiplier: Multiplier = 1.0) -> Model:
    """The difference of two models times ``multiplier``: what a finetune learned, say."""
    from engine.diffusion.merging import merge_models

    return merge_models(lambda row: lambda a, b: multiplier * (a - b), model1, model2)


@node("CLIPMergeSimple", category="advanced/model_merging")
def clip_merge_simple(clip1: Clip, clip2: Clip, ratio: Ratio = 1.0) -> Clip:
    """A weighted mean of text encoders: 1 is the first, 0 the second."""
    from engine.diffusion.merging import merge_clips, weighted

    return merge_clips(lambda row: weighted(ratio), clip1, clip2)


@node("CLIPMergeAdd", category="advanced/model_merging")
def clip_merge_add(clip1: Clip, clip2: Clip) -> Clip:
    """The sum: of a text encoder and a difference of two others."""
    from engine.diffusion.merging import merge_clips

    return merge_clips(lambda row: lambda a, b: a + b, clip1, clip2)


@node("CLIPMergeSubtract", category="advanced/model_merging")
def clip_merge_subtract(clip1: Clip, clip2: Clip, multiplier: Multiplier = 1.0) -> Clip:
    """The difference of two text encoders times ``multiplier``."""
    from engine.diffusion.merging import merge_clips

    return merge_clips(lambda row: lambda a, b: multiplier * (a - b), clip1, clip2)


Method = Literal["weighted", "spherical", "add difference", "train difference", "sum twice", "cosine", "DARE", "TIES"]
BLOCKS = "Empty or an alpha a block: 26 (17) numbers (BASE, IN00-11, M00, OUT00-11), 20 (12) for SDXL; GRAD_V; output_blocks.=0.3"
BlockList = Annotated[str, Doc(BLOCKS)]
WITH_THIRD = ("add difference", "train difference", "sum twice", "TIES")


@node("ModelMergeMethod", category="advanced/model_merging", title="Merge Models (Method)")
def model_merge_method(
    model_a: Model,
    model_b: Model,
    model_c: Model | None = None,
    method: Method = "weighted",
    alpha: Ratio = 0.5,
    beta: Ratio = 0.5,
    seed: Seed = 0,
    blocks: BlockList = "",
) -> Model:
    """Merge A with B by a method of one's choice; ``alpha`` 0 is A.

    Add difference, train difference, sum twice and TIES need a third model C (for all but sum twice the common ancestor).
    ``beta`` is C's share for sum twice, the share left out for DARE, the share kept for TIES. The seed is DARE's. ``blocks``
    gives each block an alpha of its own.
    """
    from engine.diffusion import merge_blocks, merging

    alphas = merge_blocks.read(blocks, alpha)
    others = [model_b]
    if method in WITH_THIRD:
        if model_c is None:
            raise ValueError(f"{method} merges three models: connect model_c")
        others.append(model_c)
    return merging.merge_models(lambda row: merging.method(method, alphas(row.source), beta, seed), model_a, *others)
