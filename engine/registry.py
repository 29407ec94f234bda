"""Which node types there are: the functions of nodes/, of packs in custom_nodes/, and through engine.comfy of foreign packs."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import pkgutil
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from engine.signature import spec_of
from engine.spec import NodeSpec

log = logging.getLogger(__name__)

FOREIGN = ("NODE_CLASS_MAPPINGS", "comfy_entrypoint")


@dataclass(frozen=True, slots=True)
class Failure:
    """A module that could not be loaded; the rest were."""

    module: str
    message: str
    traceback: str


@dataclass(slots=True)
class Registry:
    """Node types by name; ``seconds`` is what each pack took to import. The first of two with one name stays.

    ``absent`` are packs that are there and do not run, and why. ``web_folders`` are the editor's scripts of packs that run
    elsewhere, by the name they are served under.
    """

    specs: dict[str, NodeSpec] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    absent: dict[Path, str] = field(default_factory=dict)
    web_folders: dict[str, Path] = field(default_factory=dict)

    def add(self, specs: Iterable[NodeSpec | Failure]) -> None:
        for spec in specs:
            if isinstance(spec, Failure):
                self.failures.append(spec)
            elif spec.type in self.specs:
                first, second = self.specs[spec.type].module, spec.module
                self.failures.append(Failure(second, f"node type {spec.type!r} is taken by {first}", ""))
            else:
                self.specs[spec.type] = spec

    def whose(self, type: str) -> str | None:
        """The absent pack that speaks of a node type, and why it is absent."""
        words = (f'"{type}"', f"'{type}'")
        for path, why in self.absent.items():
            files = [path] if path.is_file() else sorted(path.rglob("*.py"))
            if any(word in file.read_text("utf-8", "replace") for file in files for word in words):
                return f"The pack {path.name} has it: {why}"
        return None

    def attempt(self, name: str, load: Callable[[], Iterable[NodeSpec | Failure]]) -> str | None:
        """Add what ``load`` finds; if it cannot, report why, and say so."""
        began = time.monotonic()
        try:
            self.add(load())
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            self.failures.append(Failure(name, why, traceback.format_exc()))
            log.warning("%s could not be loaded: %s", name, why)
            return f"it could not be loaded: {why}"
        finally:
            self.seconds[name] = time.monotonic() - began
        return None


def load(
    package: str = "nodes",
    packs: Sequence[Path] = (),
    *,
    only: Sequence[str] | None = None,
    foreign: Callable[..., Any] | None = None,
    refuse: Callable[[Path], str | None] | None = None,
    read: Callable[[Path], Iterable[NodeSpec | Failure]] | None = None,
) -> Registry:
    """Every node type of ``package`` and of the packs in the ``packs`` directories (``only``: of these packs).

    ``foreign`` turns a module with NODE_CLASS_MAPPINGS into NodeSpecs; it is looked up in engine.comfy when first needed.
    ``refuse`` says why a pack is not to run, if it is not; ``read`` gives its node types in place of ``load_pack``.
    """
    registry = Registry()
    read = read or (lambda path: load_pack(path, foreign))
    for module in _submodules(package):
        registry.attempt(module, lambda module=module: specs_in(importlib.import_module(module)))  # type: ignore[misc]
    for directory in packs:
        for path in pack_paths(directory):
            if only is not None and path.name not in only and path.stem not in only:
                continue
            name = f"{directory.name}.{path.stem}"
            reason = refuse(path) if refuse is not None else None
            if reason is not None:
                registry.failures.append(Failure(name, reason, ""))
                log.warning("%s: %s", name, reason)
            else:
                reason = registry.attempt(name, lambda path=path: read(path))  # type: ignore[misc]
            if reason is not None:
                registry.absent[path] = reason
    return registry


def specs_in(module: ModuleType) -> list[NodeSpec]:
    """The decorated functions that are defined in a module."""
    functions = (value for value in vars(module).values() if hasattr(value, "__node__") and value.__module__ == module.__name__)
    return [spec_of(function) for function in functions]


def pack_paths(directory: Path) -> list[Path]:
    """Packs are packages and single files; names that begin with . or _ or end in .disabled or .example are none."""
    if not directory.is_dir():
        return []
    found = [path for path in directory.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()]
    return sorted(path for path in found if path.name[0] not in "._" and not path.name.endswith((".disabled", ".example")))


def load_pack(path: Path, foreign: Callable[..., Any] | None = None) -> list[NodeSpec | Failure]:
    """Import a pack and find its nodes, ours or ComfyUI's."""
    if is_foreign(path):
        if foreign is None:
            foreign = importlib.import_module("engine.comfy").specs_of_pack
        found: Iterable[NodeSpec | Failure] = foreign(path)
        return list(found)
    name = f"custom_nodes.{path.stem.replace('.', '_x_')}"
    file = path if path.is_file() else path / "__init__.py"
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=None if path.is_file() else [str(path)])
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        inside = [importlib.import_module(f"{name}.{info.name}") for info in _walk(path)] if path.is_dir() else []
        return [found for part in (module, *inside) for found in specs_in(part)]
    except BaseException:
        for part in [part for part in sys.modules if part == name or part.startswith(f"{name}.")]:
            del sys.modules[part]
        raise


def is_foreign(path: Path) -> bool:
    """Whether the pack speaks ComfyUI's language: its first file names the mappings, and none of ours decorates."""
    file = path if path.is_file() else path / "__init__.py"
    text = file.read_text(encoding="utf-8", errors="replace")
    return any(word in text for word in FOREIGN) or ("engine.node" not in text and not _mentions_engine(path))


def failures_text(failures: Sequence[Failure]) -> str:
    """One line for each module that is missing."""
    return "\n".join(f"{failure.module}: {failure.message}" for failure in failures)


def _mentions_engine(path: Path) -> bool:
    return path.is_dir() and any("engine.node" in part.read_text("utf-8", "replace") for part in sorted(path.glob("*.py")))


def _submodules(package: str) -> list[str]:
    module = importlib.import_module(package)
    return sorted(f"{package}.{info.name}" for info in pkgutil.iter_modules(module.__path__) if not info.name.startswith("_"))


def _walk(path: Path) -> Iterable[pkgutil.ModuleInfo]:
    """The modules of a pack; its tests are none."""
    return (info for info in pkgutil.iter_modules([str(path)]) if not info.name.startswith(("_", "test_", "conftest")))
