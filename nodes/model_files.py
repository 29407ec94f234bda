"""Models into files: patches worked in, in the layout they came in."""

from __future__ import annotations

from engine.node import Run, node
from engine.types import Clip, ClipVision, Model, Vae


def about(run: Run, kind: str) -> dict[str, str]:
    """What the file says of itself: the workflow that made it, and the model specification's keys."""
    return {**run.texts(), "modelspec.sai_model_spec": "1.0.0", "modelspec.architecture": kind}


@node("CheckpointSave", category="advanced/model_merging", title="Save Checkpoint", output=True, lane="io")
def checkpoint_save(model: Model, clip: Clip, vae: Vae, filename_prefix: str = "checkpoints/ComfyUI", *, run: Run) -> None:
    """A whole checkpoint: denoiser, text encoders and VAE, with every LoRA worked in."""
    from engine.diffusion.saving import stream_checkpoint

    data = stream_checkpoint(model, clip, vae, about(run, model.family.name))
    run.save(data, ".safetensors", prefix=filename_prefix)


@node("ModelSave", category="advanced/model_merging", output=True, lane="io")
def model_save(model: Model, filename_prefix: str = "diffusion_models/ComfyUI", *, run: Run) -> None:
    """The denoiser alone, with every LoRA worked in."""
    from engine.diffusion.saving import stream_checkpoint

    run.save(stream_checkpoint(model, metadata=about(run, model.family.name)), ".safetensors", prefix=filename_prefix)


@node("ImageOnlyCheckpointSave", category="advanced/model_merging", output=True, lane="io")
def image_only_checkpoint_save(
    model: Model, clip_vision: ClipVision, vae: Vae, filename_prefix: str = "checkpoints/ComfyUI", *, run: Run
) -> None:
    """A whole checkpoint whose prompts are pictures: denoiser, image encoder and VAE."""
    from engine.diffusion.saving import Piece, pieces, stream

    eye = Piece("conditioner.embedders.0.open_clip.model.visual.", clip_vision.part)
    data = stream([*pieces(model, None, vae), eye], model.family.flags(), about(run, model.family.name))
    run.save(data, ".safetensors", prefix=filename_prefix)


@node("CLIPSave", category="advanced/model_merging", output=True, lane="io")
def clip_save(clip: Clip, filename_prefix: str = "clip/ComfyUI", *, run: Run) -> None:
    """The text encoders, a file each, with every LoRA worked in."""
    from engine.diffusion.saving import Piece, stream

    for part in clip.parts:
        data = stream([Piece("", part, clip.patches)], metadata=about(run, part.role))
        run.save(data, ".safetensors", prefix=filename_prefix if len(clip.parts) == 1 else f"{filename_prefix}_{part.role}")


@node("VAESave", category="advanced/model_merging", output=True, lane="io")
def vae_save(vae: Vae, filename_prefix: str = "vae/ComfyUI_vae", *, run: Run) -> None:
    """The VAE alone."""
    from engine.diffusion.saving import Piece, stream

    run.save(stream([Piece("", vae.part)], metadata=about(run, "vae")), ".safetensors", prefix=filename_prefix)
