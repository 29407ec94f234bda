"""Latents from files and into files."""

from __future__ import annotations

from typing import Annotated

from engine.node import Folder, Run, node
from engine.types import Latent


@node("LoadLatent", category="_for_testing", lane="io")
def load_latent(latent: Annotated[str, Folder("input", suffixes=(".latent",))], *, run: Run) -> Latent:
    """A latent from the input folder, as SaveLatent writes it."""
    from engine.diffusion.pixels.latent_files import read_latent

    return {"samples": read_latent(run.folders.find("input", latent))}


@node("SaveLatent", category="_for_testing", output=True, lane="io")
def save_latent(samples: Latent, filename_prefix: str = "latents/ComfyUI", *, run: Run) -> None:
    """Save a latent in the output folder, with the workflow inside."""
    from engine.diffusion.pixels.latent_files import encode_latent

    saved = run.save(encode_latent(samples["samples"], run.texts()), ".latent", prefix=filename_prefix)
    run.emit_ui(latents=[saved.ui()])
