"""How a model is computed: in which numbers, compiled, with predictions reused."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Interval

from engine.node import Step, node
from engine.types import Model
from nodes.sizes import Share

Change = Annotated[float, Interval(ge=0.0, le=3.0), Step(0.01)]


@node("ModelComputeDtype", category="advanced/debug/model")
def model_compute_dtype(model: Model, dtype: Literal["default", "fp32", "fp16", "bf16"] = "default") -> Model:
    """The number format the model computes in."""
    import torch

    formats = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
    return model.with_dtype(formats.get(dtype))


@node("TorchCompileModel", category="_for_testing", experimental=True)
def torch_compile_model(model: Model, backend: Literal["inductor", "cudagraphs"] = "inductor") -> Model:
    """Compile the model: a slow first picture, faster ones after it where the device gains by it."""
    from engine.diffusion.edits.compiled import compiled

    return model.with_edit(compiled(backend))


@node("EasyCache", category="advanced/debug/model", experimental=True)
def easy_cache(
    model: Model, reuse_threshold: Change = 0.2, start_percent: Share = 0.15, end_percent: Share = 0.95, verbose: bool = False
) -> Model:
    """Skip steps at which the model's predictions hardly change: faster, and a little off."""
    from engine.diffusion.reuse import Reuse

    return model.with_reuse(Reuse(reuse_threshold, start_percent, end_percent)) if reuse_threshold else model


@node("LazyCache", category="advanced/debug/model", experimental=True)
def lazy_cache(
    model: Model, reuse_threshold: Change = 0.2, start_percent: Share = 0.15, end_percent: Share = 0.95, verbose: bool = False
) -> Model:
    """As EasyCache."""
    return easy_cache(model, reuse_threshold, start_percent, end_percent, verbose)
