"""A model as diffusers keeps it: a folder with a sub-folder for each part."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.diffusion.checkpoints import Checkpoint, bind, check_part, vae_of
from engine.diffusion.clip import Clip
from engine.diffusion.containers import CheckpointError, TensorFile, read_tensors
from engine.diffusion.parts import Part, Place, PlaceOnCpu
from engine.diffusion.quantization import plain
from engine.diffusion.text import stacks, towers
from engine.diffusion.text.embeddings import FindEmbedding
from engine.diffusion.vae import Vae

STEMS = ("diffusion_pytorch_model", "model", "pytorch_model")
VARIANTS = ("", ".fp16", ".bf16", ".fp32", ".non_ema")
FORMATS = (".safetensors", ".bin")
"""What weights are called, the preferred first; of a whole set in several variants the plain one is read."""

TOWERS = ("text_encoder", "text_encoder_2")


def load_folder(path: Path, place: Place | None = None, embeddings: FindEmbedding | None = None) -> Checkpoint:
    """The parts of a diffusers folder, recognised as those of a single file are, and checked as they are.

    Of its configurations only what no weights tell is read: what is predicted, and on which noise levels.
    """
    place = place or PlaceOnCpu()
    denoiser = _read(path / "unet") or _read(path / "transformer")
    if denoiser is None:
        raise CheckpointError(path, "no diffusers model: it has neither unet/ nor transformer/ with weights in it")
    flags = _flags(path)
    metadata = denoiser.metadata | _prediction(path)
    found = bind(replace(denoiser, tensors={**denoiser.tensors, **flags}, metadata=metadata), ("",))
    part = replace(found.part, stored={name: tensor for name, tensor in found.part.stored.items() if name not in flags})
    check_part(path, part)
    parts = [tower for name in TOWERS if (tower := _tower(path, name)) is not None]
    wanted = {f"clip_{slot.name}" for slot in stacks.STACKS.get(found.family.text, ())}
    whole = bool(wanted) and wanted == {tower.role for tower in parts}
    clip = Clip(stacks.assemble(found.family.text, parts), place, embeddings) if whole else None
    vae = _vae(path, place)
    vae = vae and replace(vae, whose=found.family.latent.vae)
    return Checkpoint(path, found.family, part, place, clip, vae, metadata=metadata)


def _read(folder: Path) -> TensorFile | None:
    """The weights in a folder, in one file or in several with an index."""
    for ending in FORMATS:
        for variant in VARIANTS:
            for stem in STEMS:
                if (file := folder / f"{stem}{variant}{ending}").is_file():
                    return _plain(read_tensors(file))
                if (index := folder / f"{stem}{ending}.index{variant}.json").is_file():
                    return _plain(_together(index))
    return None


def _together(index: Path) -> TensorFile:
    """The tensors of every file an index names, which must be there."""
    table = _json(index).get("weight_map")
    if not isinstance(table, dict) or not table:
        raise CheckpointError(index, "an index without weight_map: download it again")
    names = sorted({str(name) for name in table.values()})
    missing = [name for name in names if Path(name).name != name or not (index.parent / name).is_file()]
    if missing:
        raise CheckpointError(index, f"{', '.join(missing)} should lie beside it: download the folder again")
    files = [read_tensors(index.parent / name) for name in names]
    tensors = {name: tensor for file in files for name, tensor in file.tensors.items()}
    return TensorFile(index, tensors, files[0].metadata)


def _plain(file: TensorFile) -> TensorFile:
    return replace(file, tensors=plain(file.path, file.tensors))


def _tower(path: Path, name: str) -> Part | None:
    file = _read(path / name)
    part = None if file is None else towers.part(file.tensors)
    if part is not None:
        check_part(path, part)
    return part


def _vae(path: Path, place: Place) -> Vae | None:
    file = _read(path / "vae")
    if file is None:
        return None
    vae = vae_of(file.tensors, place)
    if vae is None:
        raise CheckpointError(path, "vae/ holds no autoencoder that is known here: take it away and use Load VAE for another")
    check_part(path, vae.part)
    return vae


def _prediction(path: Path) -> dict[str, str]:
    """What the scheduler's configuration says of the prediction, as metadata a family understands."""
    kind = _json(path / "scheduler" / "scheduler_config.json").get("prediction_type")
    return {"modelspec.prediction_type": {"v_prediction": "v"}.get(kind, "epsilon")} if isinstance(kind, str) else {}


def _flags(path: Path) -> dict[str, Tensor]:
    """What configurations say of the noise levels, by the names single files say it with."""
    scheduler, vae = _json(path / "scheduler" / "scheduler_config.json"), _json(path / "vae" / "config.json")
    flags = {"ztsnr": torch.zeros(0)} if scheduler.get("rescale_betas_zero_snr") is True else {}
    if (normal := _read(path / "image_normalizer")) is not None:
        flags |= {f"noise_augmentor.data_{name}": normal.tensors[name] for name in ("mean", "std") if name in normal.tensors}
    if not str(scheduler.get("_class_name", "")).startswith("EDM"):
        return flags
    if vae.get("latents_mean") and vae.get("latents_std"):
        return flags | {"edm_mean": torch.tensor(vae["latents_mean"]), "edm_std": torch.tensor(vae["latents_std"])}
    if scheduler.get("prediction_type") == "v_prediction":
        ends = {end: float(scheduler.get(end, usual)) for end, usual in (("sigma_min", 0.002), ("sigma_max", 80.0))}
        return flags | {f"edm_vpred.{end}": torch.tensor(value) for end, value in ends.items()}
    return flags


def _json(path: Path) -> dict[str, Any]:
    """A configuration; empty where there is none to read."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}
