"""What a sampling node tells the user while it works."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.folders import Folders
from engine.node import Run
from engine.types import Latent, Model

if TYPE_CHECKING:
    from torch import Tensor

    from engine.diffusion.latent_format import LatentFormat
    from engine.diffusion.preview import Decode, Draw


def reporting(run: Run) -> Callable[[int, int, Draw], None]:
    """A sampler's ``report``: progress at every step, and a preview as often as somebody can see one."""
    decode = sharp(run) if run.job.sharp_previews else None

    def report(done: int, total: int, draw: Draw) -> None:
        run.progress(done, total)
        if run.wants_preview() and (picture := draw(decode)):
            run.preview(picture)

    return report


def remark(run: Run, model: Model, positive: Sequence[Any], latent: Latent, steps: int) -> None:
    """Say at the node what a model with more input channels was not given; it draws all the same."""
    from engine.diffusion.families import unet

    config = getattr(model.family, "config", None)
    if isinstance(config, unet.UNetConfig) and positive:
        words = unet.overlooked(config, positive[0][1], "noise_mask" in latent)
        if words is not None:
            run.progress(0, steps, words)


def sharp(run: Run) -> Decode:
    """Previews by the TAESD in models/vae_approx that belongs to the latent, where there is one."""
    from engine.diffusion import autoencoder_tiny

    def decode(latent_format: LatentFormat, x: Tensor) -> Tensor | None:
        path = tiny_files(run.folders, latent_format.tiny).get("decoder") if latent_format.tiny else None
        return None if path is None else autoencoder_tiny.preview(path, x, run.place)

    return decode


def tiny_files(folders: Folders, name: str) -> dict[str, Path]:
    """The files of a TAESD in models/vae_approx by side ("encoder", "decoder"): ``taesd_decoder.pth``, say."""
    found: dict[str, Path] = {}
    for file in folders.names("vae_approx"):
        for side in ("encoder", "decoder"):
            if Path(file).stem == f"{name}_{side}" and side not in found:
                found[side] = folders.find("vae_approx", file)
    return found
