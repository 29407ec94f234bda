"""Models into files: patches worked in, in the layout their authors publish them in."""

from __future__ import annotations

from engine.node import Run, node
from engine.types import Clip, ClipVision, Model, Vae


def about(run: Run, kind: str, prefix: str, model: Model | None = None) -> dict[str, str]:
    """What the file says of itself: the workflow that made it, and the model specification's keys."""
    from engine.diffusion import modelspec

    return {**run.texts(), **modelspec.about(kind, prefix.rpartition("/")[2], model)}


@node("CheckpointSave", category="advanced/model_merging", title="Save Checkpoint", output=True, lane="io")
def checkpoint_save(model: Model, clip: Clip, vae: Vae, filename_prefix: str = "checkpoints/ComfyUI", *, run: Run) -> None:
    """A whole checkpoint: denoiser, text encoders and VAE, with every LoRA worked in."""
    from engine.diffusion.saving import stream_checkpoint

    data = stream_checkpoint(model, clip, vae, about(run, model.family.name, filename_prefix, model))
    run.save(data, ".safetensors", prefix=filename_prefix)


@node("ModelSave", category="advanced/model_merging", output=True, lane="io")
def model_save(model: Model, filename_prefix: str = "diffusion_models/ComfyUI", *, run: Run) -> None:
    """The denoiser alone, with every LoRA worked in."""
    from engine.diffusion.saving import stream_checkpoint

    data = stream_checkpoint(model, metadata=about(run, model.family.name, filename_prefix, model))
    run.save(data, ".safetensors", prefix=filename_prefix)


@node("ImageOnlyCheckpointSave", category="advanced/model_merging", output=True, lane="io")
def image_only_checkpoint_save(
    model: Model, clip_vision: ClipVision, vae: Vae, filename_prefix: str = "checkpoints/ComfyUI", *, run: Run
) -> None:
    """A whole checkpoint whose prompts are pictures: denoiser, image encoder and VAE."""
    from engine.diffusion.modelspec import flags
    from engine.diffusion.saving import Piece, pieces, stream

    eye = Piece("conditioner.embedders.0.open_clip.model.visual.", clip_vision.part)
    data = stream([*pieces(model, None, vae), eye], flags(model), about(run, model.family.name, filename_prefix, model))
    run.save(data, ".safetensors", prefix=filename_prefix)


@node("CLIPSave", category="advanced/model_merging", output=True, lane="io")
def clip_save(clip: Clip, filename_prefix: str = "clip/ComfyUI", *, run: Run) -> None:
    """The text encoders, a file each, with every LoRA worked in."""
    from engine.diffusion.published import alone
    from engine.diffusion.saving import Piece, stream

    for part in clip.parts:
        data = stream([Piece("", alone(part), clip.patches)], metadata=about(run, part.role, filename_prefix))
        run.save(data, ".safetensors", prefix=filename_prefix if len(clip.parts) == 1 else f"{filename_prefix}_{part.role}")


@node("VAESave", category="advanced/model_merging", output=True, lane="io")
def vae_save(vae: Vae, filename_prefix: str = "vae/ComfyUI_vae", *, run: Run) -> None:
    """The VAE alone."""
    from engine.diffusion.published import in_checkpoint
    from engine.diffusion.saving import Piece, stream

    data = stream([Piece("", in_checkpoint(vae.part))], metadata=about(run, "vae", filename_prefix))
    run.save(data, ".safetensors", prefix=filename_prefix)
