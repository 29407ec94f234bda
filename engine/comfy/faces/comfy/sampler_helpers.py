"""Small steps before sampling."""

from __future__ import annotations

import uuid
from typing import Any

from engine.comfy.finder import missing

__getattr__ = missing(__name__)


def convert_cond(cond: Any) -> list[dict[str, Any]]:
    """Entries as dicts, the embedding under ``cross_attn``."""
    return [{**options, "cross_attn": embedding, "model_conds": {}, "uuid": uuid.uuid4()} for embedding, options in cond]


def prepare_mask(noise_mask: Any, shape: Any, device: Any) -> Any:
    from engine.comfy.faces.comfy.utils import reshape_mask

    return reshape_mask(noise_mask, tuple(shape)).to(device)


def get_additional_models(conds: Any, dtype: Any) -> tuple[list[Any], int]:
    return [], 0


def cleanup_additional_models(models: Any) -> None:
    """Nothing is left over."""


def cleanup_models(conds: Any, models: Any) -> None:
    """Nothing is left over."""
