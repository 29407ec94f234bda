"""Upscalers this engine has no network for, by the spandrel library where the user has installed it.

It is not required: it wants a torchvision that fits the user's torch. https://github.com/chaiNNer-org/spandrel
"""

from __future__ import annotations

import copy
import importlib
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from engine.diffusion.containers import CheckpointError
from engine.diffusion.parts import Part, Tensors, straight


class Other(NamedTuple):
    """A network, how often it enlarges, the channels it takes, and what its input's size must be a multiple of and at least."""

    part: Part
    scale: int
    channels: int
    multiple: int
    minimum: int


def by_spandrel(path: Path, tensors: Tensors) -> Other | None:
    """The network spandrel makes of these weights; None where it is not installed or knows none either.

    CheckpointError where it knows the network but that one does not enlarge or restore plain pictures.
    """
    try:
        spandrel: Any = importlib.import_module("spandrel")
    except ImportError:
        return None
    try:
        found = spandrel.ModelLoader("cpu").load_from_state_dict(dict(tensors))
    except spandrel.UnsupportedModelError:
        return None
    name, size = found.architecture.name, found.size_requirements
    if not isinstance(found, spandrel.ImageModelDescriptor) or found.input_channels != found.output_channels or size.square:
        raise CheckpointError(path, f"this is {name}, which does not take plain pictures of any size. Use an upscaler.")
    network = found.model.float().eval()
    state = network.state_dict()
    # A copy of the whole module each time: what is no weight, such as masks of windows, is in no file.
    part = Part("upscaler", partial(copy.deepcopy, network), straight(state), state)
    return Other(part, found.scale, found.input_channels, size.multiple_of, size.minimum)
