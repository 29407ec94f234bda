"""ControlNets by ComfyUI's methods."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from engine.comfy.faces.comfy import model_management
from engine.comfy.finder import missing
from engine.diffusion.control import Control
from engine.diffusion.control_files import load_control

__getattr__ = missing(__name__)


class ControlBase:
    """A network and, once it has a hint, what it steers by. It is used by the engine as its own ``Control``."""

    def __init__(self, **_: Any) -> None:
        self.engine: Any = None
        self.cond_hint_original: Any = None
        self.strength = 1.0
        self.timestep_percent_range = (0.0, 1.0)
        self.previous_controlnet: Any = None
        self.extra_concat_orig: list[Any] = []
        self.global_average_pooling = False


class ControlNet(ControlBase):
    """``copy().set_cond_hint(picture, strength, range)``, then into a conditioning under "control"."""

    @classmethod
    def of_engine(cls, engine: Any) -> Self:
        made = cls()
        made.engine = engine
        return made

    def to_engine(self) -> Any:
        return self.engine

    def copy(self) -> Self:
        made = type(self)()
        made.__dict__.update(self.__dict__)
        return made

    def set_cond_hint(self, cond_hint: Any, strength: float = 1.0, timestep_percent_range: Any = (0.0, 1.0), vae: Any = None,
                      extra_concat: Any = ()) -> Self:  # fmt: skip
        """``cond_hint`` is (B, C, H, W) in 0..1."""
        self.cond_hint_original, self.strength = cond_hint, strength
        self.timestep_percent_range = tuple(timestep_percent_range)
        return self

    def set_previous_controlnet(self, controlnet: Any) -> Self:
        self.previous_controlnet = controlnet
        return self

    def cleanup(self) -> None:
        """Nothing is left over."""

    def get_models(self) -> list[Any]:
        return []

    def control(self) -> Control:
        """The engine's value of this."""
        before = self.previous_controlnet
        previous = before.control() if isinstance(before, ControlNet) else before
        image = self.cond_hint_original.movedim(1, -1)
        return Control(self.engine, image, self.strength, *self.timestep_percent_range, previous=previous)

    def after(self, previous: Any) -> Control:
        return replace(self.control(), previous=previous)

    def residuals(self, *args: Any) -> Any:
        return self.control().residuals(*args)


class ControlLora(ControlNet):
    """There to be asked for."""


class T2IAdapter(ControlNet):
    """There to be asked for."""


def load_controlnet(ckpt_path: str, model: Any = None, model_options: Any = None) -> ControlNet:
    return ControlNet.of_engine(load_control(Path(ckpt_path), model_management._place()))


def load_controlnet_state_dict(state_dict: Any, model: Any = None, model_options: Any = None) -> ControlNet:
    from engine.comfy.tensor_files import as_file

    return load_controlnet(str(as_file(state_dict)))
