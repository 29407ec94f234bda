"""Pictures of unfinished latents, and the callback that shows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.comfy.faces.comfy.cli_args import LatentPreviewMethod
from engine.comfy.faces.comfy.utils import ProgressBar
from engine.comfy.finder import missing

__all__ = ["LatentPreviewMethod"]
__getattr__ = missing(__name__)
MAX_PREVIEW_RESOLUTION = 512


def preview_to_image(latent_image: Any) -> Any:
    """(H, W, 3) in -1..1 as a picture."""
    from engine.comfy.progress import as_picture

    return as_picture(((latent_image + 1) / 2).clamp(0, 1))


class LatentPreviewer:
    """Turns latents into small pictures."""

    def decode_latent_to_preview(self, x0: Any) -> Any:
        raise NotImplementedError

    def decode_latent_to_preview_image(self, preview_format: str, x0: Any) -> tuple[str, Any, int]:
        return preview_format, self.decode_latent_to_preview(x0), MAX_PREVIEW_RESOLUTION


class Latent2RGBPreviewer(LatentPreviewer):
    """By the colours of the latent format."""

    def __init__(self, latent_format: Any) -> None:
        self.latent_format = latent_format

    def decode_latent_to_preview(self, x0: Any) -> Any:
        from engine.comfy.progress import as_picture

        if x0.ndim == 5:
            x0 = x0[:, :, 0]
        return as_picture(self.latent_format.preview(x0[:1].float()))


def get_previewer(device: Any, latent_format: Any) -> LatentPreviewer | None:
    """The previewer of a latent format; None if nobody looks or it has no colours."""
    inner = getattr(latent_format, "latent_format", latent_format)
    return Latent2RGBPreviewer(inner) if getattr(inner, "rgb", ()) else None


def prepare_callback(model: Any, steps: int, x0_output_dict: dict[str, Any] | None = None) -> Callable[..., None]:
    """(step, x0, x, total) -> progress and preview of the node at work."""
    previewer = get_previewer(None, model.model.latent_format)
    bar = ProgressBar(steps)

    def callback(step: int, x0: Any, x: Any, total_steps: int) -> None:
        if x0_output_dict is not None:
            x0_output_dict["x0"] = x0
        shown = previewer.decode_latent_to_preview_image("JPEG", x0) if previewer else None
        bar.update_absolute(step + 1, total_steps, shown)

    return callback
