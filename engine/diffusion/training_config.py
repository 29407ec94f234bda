"""What a training configuration (``.yaml``) tells of a model that no file of weights does: its prediction, its layer of text."""

from __future__ import annotations

import re
from pathlib import Path

SKIPPED = re.compile(r"^\s*layer_idx\s*:\s*(-\d+)\s*$", re.MULTILINE)
"""Which layer of the text encoder it listens to."""

VELOCITY = re.compile(r"""^\s*parameterization\s*:\s*["']?v["']?\s*$""", re.MULTILINE)
"""How it says that the network predicts velocity; EasyFluff and HLL files say it nowhere else."""

LARGEST = 1 << 20  # bytes


def predicts_velocity(text: str) -> bool:
    return VELOCITY.search(text) is not None


def last_layer(text: str) -> int | None:
    """The layer of the text encoder that counts, -1 the last; None where the configuration does not say."""
    found = SKIPPED.search(text)
    return None if found is None else int(found[1])


def beside(model: Path) -> bool:
    """Whether a configuration with the model file's name, beside it, says that it predicts velocity."""
    for path in (model.with_suffix(".yaml"), model.with_suffix(".yml")):
        if path.is_file() and path.stat().st_size < LARGEST and predicts_velocity(path.read_text(errors="replace")):
            return True
    return False
