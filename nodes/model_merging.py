"""Models made of two."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Interval

from engine.node import Step, node
from engine.types import Clip, Model

Ratio = Annotated[float, Interval(ge=0.0, le=1.0), Step(0.01)]
Multiplier = Annotated[float, Interval(ge=-10.0, le=10.0), Step(0.01)]


@node("ModelMergeSimple", category="advanced/model_merging")
def model_merge_simple(model1: Model, model2: Model, ratio: Ratio = 1.0) -> Model:
    """A weighted mean: 1 is the first model, 0 the second."""
    from engine.diffusion.merging import merge_models, weighted

    return merge_models(model1, model2, lambda row: weighted(ratio))


@node("ModelMergeBlocks", category="advanced/model_merging")
def model_merge_blocks(model1: Model, model2: Model, input: Ratio = 1.0, middle: Ratio = 1.0, out: Ratio = 1.0) -> Model:
    """A weighted mean with a share of the first model for the way down, the middle and the way up."""
    from engine.diffusion.merging import by_block, merge_models

    return merge_models(model1, model2, by_block({"input": input, "middle": middle, "out": out}, default=input))


@node("ModelMergeAdd", category="advanced/model_merging")
def model_merge_add(model1: Model, model2: Model) -> Model:
    """The sum: of a model and a difference of two others."""
    from engine.diffusion.merging import Mix, merge_models

    return merge_models(model1, model2, lambda row: Mix(1.0, 1.0))


@node("ModelMergeSubtract", category="advanced/model_merging")
def model_merge_subtract(model1: Model, model2: Model, multiplier: Multiplier = 1.0) -> Model:
    """The difference of two models times ``multiplier``: what a finetune learned, say."""
    from engine.diffusion.merging import Mix, merge_models

    return merge_models(model1, model2, lambda row: Mix(multiplier, -multiplier))


@node("CLIPMergeSimple", category="advanced/model_merging")
def clip_merge_simple(clip1: Clip, clip2: Clip, ratio: Ratio = 1.0) -> Clip:
    """A weighted mean of text encoders: 1 is the first, 0 the second."""
    from engine.diffusion.merging import merge_clips, weighted

    return merge_clips(clip1, clip2, lambda row: weighted(ratio))


@node("CLIPMergeAdd", category="advanced/model_merging")
def clip_merge_add(clip1: Clip, clip2: Clip) -> Clip:
    """The sum: of a text encoder and a difference of two others."""
    from engine.diffusion.merging import Mix, merge_clips

    return merge_clips(clip1, clip2, lambda row: Mix(1.0, 1.0))


@node("CLIPMergeSubtract", category="advanced/model_merging")
def clip_merge_subtract(clip1: Clip, clip2: Clip, multiplier: Multiplier = 1.0) -> Clip:
    """The difference of two text encoders times ``multiplier``."""
    from engine.diffusion.merging import Mix, merge_clips

    return merge_clips(clip1, clip2, lambda row: Mix(multiplier, -multiplier))
