"""Telling a model's family from its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from engine.comfy.finder import missing

__getattr__ = missing(__name__)


def shaped(value: Any) -> Any:
    """A tensor, or whatever has the shape of one: a family is told from shapes alone."""
    if hasattr(value, "ndim") or not hasattr(value, "shape"):
        return value if hasattr(value, "ndim") else None
    return SimpleNamespace(shape=tuple(value.shape), ndim=len(value.shape))


def count_blocks(state_dict_keys: Any, prefix_string: str) -> int:
    """How many numbers from 0 on make a prefix of some key, as in ``"blocks.{}."``."""
    keys, count = list(state_dict_keys), 0
    while any(key.startswith(prefix_string.format(count)) for key in keys):
        count += 1
    return count


def unet_prefix_from_state_dict(state_dict: Mapping[str, Any]) -> str:
    """Where the denoiser lies in a checkpoint: the prefix of most of its names, else none."""
    known = ("model.diffusion_model.", "model.model.", "net.", "model.", "denoiser.")
    counts = {prefix: sum(name.startswith(prefix) for name in state_dict) for prefix in known}
    return next((prefix for prefix in known if counts[prefix] > 5), "")


def model_config_from_unet(
    state_dict: Mapping[str, Any], unet_key_prefix: str, use_base_if_no_match: bool = False, metadata: Any = None
) -> Any:
    """The configuration of the family the tensors are recognised as; None for none that is known here."""
    from engine.comfy.faces.comfy.supported_models_base import BASE
    from engine.diffusion.families import FAMILIES, in_known_names
    from engine.diffusion.model import Model
    from engine.diffusion.parts import Part, under

    state_dict = {name: known for name, value in state_dict.items() if (known := shaped(value)) is not None}
    inner = in_known_names(under(state_dict, unet_key_prefix))
    for family in FAMILIES:
        bound = family.recognise(inner, state_dict, metadata if isinstance(metadata, Mapping) else {})
        if bound is not None:
            return BASE.of_engine(Model(Part("denoiser", bound.build, bound.keymap(inner), inner), bound))
    return None


def detect_unet_config(state_dict: Mapping[str, Any], key_prefix: str, metadata: Any = None) -> dict[str, Any] | None:
    """Its ``unet_config``."""
    found = model_config_from_unet(state_dict, key_prefix, metadata=metadata)
    return found.unet_config if found is not None else None
