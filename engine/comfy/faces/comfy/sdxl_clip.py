"""Text encoders of SDXL, for packs that ask whether they have them."""

from __future__ import annotations

from typing import Any

from engine.comfy.finder import missing

__getattr__ = missing(__name__)


class _Towers(type):
    """Instances are text encoders with these towers."""

    roles: frozenset[str]

    def __instancecheck__(cls, instance: Any) -> bool:
        engine = getattr(getattr(instance, "owner", None), "engine", None) or instance
        return cls.roles == {tower.part.role for tower in getattr(engine, "towers", ())}


class SDXLClipModel(metaclass=_Towers):
    """Both of SDXL's."""

    roles = frozenset({"clip_l", "clip_g"})


class SDXLRefinerClipModel(metaclass=_Towers):
    """The one of its refiner."""

    roles = frozenset({"clip_g"})


class SDXLTokenizer(metaclass=_Towers):
    """Of both towers."""

    roles = frozenset({"clip_l", "clip_g"})
