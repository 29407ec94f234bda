"""Words for packs that annotate their node classes."""

from collections.abc import Callable
from typing import Any, Protocol, TypedDict

from engine.comfy.faces.comfy.comfy_types.node_typing import (
    IO,
    CheckLazyMixin,
    ComfyNodeABC,
    FileLocator,
    InputTypeDict,
    InputTypeOptions,
)
from engine.comfy.finder import missing

__all__ = [
    "IO", "CheckLazyMixin", "ComfyNodeABC", "FileLocator", "InputTypeDict", "InputTypeOptions", "UnetApplyConds",
    "UnetApplyFunction", "UnetParams", "UnetWrapperFunction",
]  # fmt: skip
__getattr__ = missing(__name__)


class UnetApplyFunction(Protocol):
    """(x, t, **conditions) -> prediction."""

    def __call__(self, x: Any, t: Any, **kwargs: Any) -> Any: ...


class UnetApplyConds(TypedDict):
    c_concat: Any
    c_crossattn: Any
    control: Any
    transformer_options: Any


class UnetParams(TypedDict):
    input: Any
    timestep: Any
    c: UnetApplyConds
    cond_or_uncond: list[int]


UnetWrapperFunction = Callable[[UnetApplyFunction, UnetParams], Any]
