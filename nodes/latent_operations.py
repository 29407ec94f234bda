"""Operations on latents as values: to apply once, or to guidance at every step."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Interval

from engine.node import Step, node
from engine.types import Latent, LatentOperation, Model


@node("LatentApplyOperation", category="latent/advanced/operations", experimental=True)
def latent_apply_operation(samples: Latent, operation: LatentOperation) -> Latent:
    """The latent after the operation."""
    return {**samples, "samples": operation(samples["samples"])}


@node("LatentApplyOperationCFG", category="latent/advanced/operations", experimental=True)
def latent_apply_operation_cfg(model: Model, operation: LatentOperation) -> Model:
    """Apply the operation to the difference that guidance makes, at every step."""
    from engine.diffusion.formulas import on_guidance

    return model.with_before(on_guidance(operation))


@node("LatentOperationTonemapReinhard", category="latent/advanced/operations", experimental=True)
def latent_operation_tonemap_reinhard(
    multiplier: Annotated[float, Interval(ge=0.0, le=100.0), Step(0.01)] = 1.0,
) -> LatentOperation:
    """Compress strong values softly."""
    from engine.diffusion.pixels.operations import tonemap_reinhard

    return tonemap_reinhard(multiplier)


@node("LatentOperationSharpen", category="latent/advanced/operations", experimental=True)
def latent_operation_sharpen(
    sharpen_radius: Annotated[int, Interval(ge=1, le=31), Step(1)] = 9,
    sigma: Annotated[float, Interval(ge=0.1, le=10.0), Step(0.1)] = 1.0,
    alpha: Annotated[float, Interval(ge=0.0, le=5.0), Step(0.01)] = 0.1,
) -> LatentOperation:
    """Sharpen in latent space."""
    from engine.diffusion.pixels.operations import sharpen_latent

    return sharpen_latent(sharpen_radius, sigma, alpha)
