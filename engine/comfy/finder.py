"""Lets packs import ComfyUI's modules by their names: each is a module in ``engine.comfy.faces`` with a behaviour of our own."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from engine.comfy.host import host

FACES = "engine.comfy.faces"
NAMES = frozenset({
    "folder_paths", "node_helpers", "execution", "server", "latent_preview", "comfy", "comfy_execution", "comfy_extras",
    "comfy_api", "comfyui_version", "protocol",
})  # fmt: skip
PAGE = "docs/packs.md"


class MissingModuleError(ModuleNotFoundError):
    """A pack imports a module of ComfyUI's that is not here."""


class MissingNameError(AttributeError):
    """A pack uses a name of ComfyUI's that is not here."""


class Faces(MetaPathFinder):
    """Finds ``comfy.utils`` in ``engine.comfy.faces.comfy.utils``: the same module object under both names."""

    def __init__(self) -> None:
        self.missing: list[str] = []

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in NAMES:
            return None
        face = f"{FACES}.{fullname}"
        found = importlib.util.find_spec(face) if _has_parent(face) else None
        if found is None:
            message = f"{asking()} imports {fullname}, which is not here. {PAGE} tells what is."
            self.missing.append(message)
            raise MissingModuleError(message, name=fullname)
        return ModuleSpec(fullname, _Alias(face), is_package=found.submodule_search_locations is not None)


class _Alias(Loader):
    def __init__(self, face: str) -> None:
        self.face = face

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self.face)
        self.own = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """It has been executed under its other name, and keeps the spec it has there."""
        module.__spec__ = self.own


def open_door() -> Faces:
    """Make the names importable from here on; they are asked for ahead of any file of the same name."""
    for finder in sys.meta_path:
        if isinstance(finder, Faces):
            return finder
    faces = Faces()
    sys.meta_path.insert(0, faces)
    return faces


def close_door() -> None:
    """Forget the names again, and the modules under them."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, Faces)]
    for name in [name for name in sys.modules if name.partition(".")[0] in NAMES]:
        del sys.modules[name]


def is_open() -> bool:
    return any(isinstance(finder, Faces) for finder in sys.meta_path)


def missing(face: str) -> Callable[[str], Any]:
    """The ``__getattr__`` of a face: its submodules by themselves; for any other name an error that says whose wish it was."""
    public = face.removeprefix(f"{FACES}.")

    def getattr_(name: str) -> Any:
        if not name.startswith("__"):
            inner = f"{face}.{name}"
            package = hasattr(sys.modules.get(face), "__path__")
            if package and importlib.util.find_spec(inner) is not None:
                return importlib.import_module(f"{public}.{name}" if is_open() else inner)
            message = f"{asking()} uses {public}.{name}, which is not here. {PAGE} tells what is."
            if is_open():
                open_door().missing.append(message)
            raise MissingNameError(message, name=name)
        raise AttributeError(name)

    return getattr_


def asking() -> str:
    """The pack whose code is at work."""
    modules = {pack.module: pack.name for pack in host().packs.values()}
    frame = sys._getframe(1)
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        for module, pack in modules.items():
            if name == module or name.startswith(f"{module}."):
                return f"Pack {pack}"
        frame = frame.f_back  # type: ignore[assignment]
    return "A pack"


def _has_parent(face: str) -> bool:
    """Whether the package a face would be in is there: ``find_spec`` raises otherwise."""
    parent = face.rpartition(".")[0]
    if parent == FACES:
        return True
    return (
        _has_parent(parent) and (spec := importlib.util.find_spec(parent)) is not None and bool(spec.submodule_search_locations)
    )
