"""A model as diffusers keeps it: a folder with a sub-folder for each part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.diffusion import autoencoder_kl
from engine.diffusion.checkpoints import Checkpoint, bind, check_complete
from engine.diffusion.clip import Clip
from engine.diffusion.containers import CheckpointError, TensorFile, read_tensors
from engine.diffusion.parts import Part, Place, PlaceOnCpu
from engine.diffusion.text import stacks, towers
from engine.diffusion.text.embeddings import FindEmbedding
from engine.diffusion.vae import Vae

FILES = ("diffusion_pytorch_model", "model", "pytorch_model")
SUFFIXES = (".safetensors", ".fp16.safetensors", ".bin", ".fp16.bin")


def load_folder(path: Path, place: Place | None = None, embeddings: FindEmbedding | None = None) -> Checkpoint:
    """The parts of a diffusers folder, recognised as those of a single file are; its configurations are hardly looked at."""
    place = place or PlaceOnCpu()
    denoiser = _read(path / "unet") or _read(path / "transformer")
    if denoiser is None:
        raise CheckpointError(path, "no diffusers model: it has neither unet/ nor transformer/ with weights in it")
    denoiser.metadata.update(_prediction(path / "scheduler" / "scheduler_config.json"))
    found = bind(denoiser, ("",))
    check_complete(path, found.part)
    parts = [part for name in ("text_encoder", "text_encoder_2") if (part := _tower(path / name)) is not None]
    wanted = {f"clip_{slot.name}" for slot in stacks.STACKS.get(found.family.text, ())}
    whole = bool(wanted) and wanted == {part.role for part in parts}
    clip = Clip(stacks.assemble(found.family.text, parts), place, embeddings) if whole else None
    return Checkpoint(path, found.family, found.part, place, clip, _vae(path, place), metadata=denoiser.metadata)


def _read(folder: Path) -> TensorFile | None:
    """The weights in a folder, the safest format first."""
    for suffix in SUFFIXES:
        for name in FILES:
            if (folder / f"{name}{suffix}").is_file():
                return read_tensors(folder / f"{name}{suffix}")
    return None


def _tower(folder: Path) -> Part | None:
    file = _read(folder)
    part = None if file is None else towers.part(file.tensors)
    if part is not None:
        check_complete(folder, part)
    return part


def _vae(path: Path, place: Place) -> Vae | None:
    file = _read(path / "vae")
    found = None if file is None else autoencoder_kl.part(file.tensors)
    if found is None:
        return None
    config, part = found
    check_complete(path / "vae", part)
    return Vae(part, config.latent_channels, config.spatial, place)


def _prediction(path: Path) -> dict[str, str]:
    """What the scheduler's configuration says of the prediction, as metadata a family understands."""
    try:
        config: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    kind = config.get("prediction_type") if isinstance(config, dict) else None
    return {"modelspec.prediction_type": {"v_prediction": "v"}.get(kind, "epsilon")} if isinstance(kind, str) else {}
