"""ComfyUI's further nodes by their modules: each has every class that our nodes have."""

from __future__ import annotations

from typing import Any

from engine.comfy.finder import missing

__getattr__ = missing(__name__)


def classes(face: str) -> Any:
    """The ``__getattr__`` of a module of nodes."""
    otherwise = missing(face)

    def getattr_(name: str) -> Any:
        from engine.comfy.door import native_specs
        from engine.comfy.native import class_of

        if name == "NODE_CLASS_MAPPINGS":
            return {name: class_of(spec) for name, spec in native_specs().items()}

        return class_of(native_specs()[name]) if name in native_specs() else otherwise(name)

    return getattr_
