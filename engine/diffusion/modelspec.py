"""What a model file says of itself, for other programs: the model specification's metadata, and the tensors that are flags.

https://github.com/Stability-AI/ModelSpec, version 1.0.0.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from torch import Tensor

from engine.diffusion.families import unet
from engine.diffusion.families.family import Prediction
from engine.diffusion.levels import DiscreteLevels
from engine.diffusion.model import Model
from engine.diffusion.parametrization import Epsilon, Velocity

UNKNOWN = "0" * 64
"""The digits of a hash that is filled in when the file has been written."""

HASHES = ("modelspec.hash_sha256", "sshs_model_hash")
"""SHA-256 of the data without the header: by the specification, and as LoRAs have it."""

ARCHITECTURES: Mapping[str, str] = {
    "sd1": "stable-diffusion-v1",
    "sd2": "stable-diffusion-v2-512",
    "sdxl": "stable-diffusion-xl-v1-base",
    "sdxl_refiner": "stable-diffusion-xl-v1-refiner",
}
"""Families by the specification's names; others go by our own."""

TRAINED_ON = {"sd1": "sd_v1", "sd2": "sd_v2", "sdxl": "sdxl_base_v1-0", "sdxl_refiner": "sdxl_refiner_v1-0"}
"""Families by kohya's names: other programs hide a LoRA that does not say so from the models it is for."""

PREDICTIONS = {"eps": "epsilon", "v": "v"}
ENDLESS = 1000.0
"""A level no schedule without zero terminal SNR comes near to."""


def about(kind: str, title: str, model: Model | None = None) -> dict[str, str]:
    """The specification's keys for a file that holds ``model``, or only some other ``kind`` of network."""
    found = {
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": architecture(model) if model is not None else ARCHITECTURES.get(kind, kind),
        "modelspec.title": title,
        "modelspec.date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "modelspec.hash_sha256": f"0x{UNKNOWN}",
    }
    if model is not None:
        size = model.family.defaults
        found["modelspec.resolution"] = f"{size.width}x{size.height}"
        if (said := PREDICTIONS.get(prediction(model).kind)) is not None:
            found["modelspec.prediction_type"] = said
    return found


def about_lora(title: str, model: Model | None, rank: int | None) -> dict[str, str]:
    """The keys for a LoRA of ``model``: the specification's, and kohya's. ``rank`` None: whole differences."""
    found = {**about("lora", title), "sshs_model_hash": UNKNOWN, "ss_network_module": "networks.lora"}
    if rank is not None:
        found |= {"ss_network_dim": str(rank), "ss_network_alpha": str(rank)}
    if model is not None:
        found["modelspec.architecture"] = f"{architecture(model)}/lora"
        if (base := TRAINED_ON.get(model.family.name)) is not None:
            found |= {"ss_base_model_version": base, "ss_v2": str(base == "sd_v2")}
    return found


def architecture(model: Model) -> str:
    """The specification's name of what a model is."""
    name = model.family.name
    if name == "sd2" and prediction(model).kind == "v":
        return "stable-diffusion-v2-768-v"
    return ARCHITECTURES.get(name, name)


def prediction(model: Model) -> Prediction:
    """What a model is taken to predict: its family's word, or that of a node that set its sampling otherwise."""
    chosen = model.parametrization
    if chosen is None or not isinstance(chosen.levels, DiscreteLevels) or chosen.levels.stride != 1:
        return model.family.prediction
    kinds = {Epsilon: "eps", Velocity: "v"}
    kind = kinds.get(type(chosen.prediction))  # type: ignore[arg-type]
    if kind is None:
        return model.family.prediction
    return Prediction(kind, zero_terminal_snr=chosen.sigma_max > ENDLESS)  # type: ignore[arg-type]


def flags(model: Model) -> dict[str, Tensor]:
    """The tensors beside the weights by which the file is recognised as what the model is taken for."""
    now = prediction(model)
    return model.family.flags() if now == model.family.prediction else unet.velocity_flags(now)
