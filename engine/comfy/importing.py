"""Import a ComfyUI pack as ComfyUI does, and find its node classes."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import logging
import sys
import traceback
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from types import ModuleType
from typing import Any

from engine.comfy.classes import spec_of_class
from engine.comfy.finder import open_door
from engine.comfy.host import Pack, host
from engine.registry import Failure
from engine.spec import NodeSpec

log = logging.getLogger(__name__)


class PackError(ImportError):
    """A pack that cannot be imported: why, and who wanted what."""


def specs_of_pack(path: Path) -> list[NodeSpec | Failure]:
    """The node types of a pack, and a failure for each class of its that is none."""
    pack = Pack(path.stem if path.is_file() else path.name, path, module_name(path))
    host().packs[pack.name] = pack
    try:
        module = import_pack(pack)
    except BaseException:
        del host().packs[pack.name]
        raise
    find_web_folder(pack, module)
    version = version_of(path)
    classes = getattr(module, "NODE_CLASS_MAPPINGS", None)
    if isinstance(classes, Mapping):
        titles = getattr(module, "NODE_DISPLAY_NAME_MAPPINGS", None) or {}
        return [one(str(name), cls, str(titles.get(name) or name), pack, version) for name, cls in classes.items()]
    entry = getattr(module, "comfy_entrypoint", None)
    if callable(entry):
        from engine.comfy.schemas import node_classes

        found = waited(node_classes(entry))
        return [one(cls.GET_SCHEMA().node_id, cls, cls.GET_SCHEMA().display_name or "", pack, version) for cls in found]
    if getattr(module, "WEB_DIRECTORY", None) is not None:
        return []
    raise PackError(f"{pack.name} has neither NODE_CLASS_MAPPINGS nor comfy_entrypoint")


def one(name: str, cls: Any, title: str, pack: Pack, version: str) -> NodeSpec | Failure:
    """The spec of one class, or why there is none; the others are not affected."""
    public = f"custom_nodes.{pack.name}"
    try:
        cls.RELATIVE_PYTHON_MODULE = public
        if hasattr(cls, "GET_SCHEMA"):
            from engine.comfy.schemas import spec_of_schema

            spec = spec_of_schema(cls, module=public, version=version)
        else:
            spec = spec_of_class(name, cls, title=title, module=public, version=version)
    except Exception as error:
        return Failure(f"{public}.{name}", f"{type(error).__name__}: {error}", traceback.format_exc())
    host().classes[name] = cls
    host().titles[name] = title or name
    return spec


def import_pack(pack: Pack) -> ModuleType:
    """Run ``prestartup_script.py``, then the pack itself, with ComfyUI's modules in reach."""
    faces = open_door()
    faces.missing.clear()
    directory = pack.path if pack.path.is_dir() else None
    file = pack.path / "__init__.py" if directory else pack.path
    try:
        if directory and (script := directory / "prestartup_script.py").is_file():
            execute(f"{pack.module}.prestartup_script", script, None)
        return execute(pack.module, file, directory)
    except BaseException as error:
        for name in [name for name in sys.modules if name == pack.module or name.startswith(f"{pack.module}.")]:
            del sys.modules[name]
        told = faces.missing[-1] if faces.missing else ""
        if isinstance(error, ImportError | AttributeError) and told and told not in str(error):
            raise PackError(f"{error}. {told}") from error
        if isinstance(error, SystemExit):
            raise PackError(f"it wants to end the program ({error})") from error
        raise


def execute(name: str, file: Path, directory: Path | None) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=[str(directory)] if directory else None)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def module_name(path: Path) -> str:
    """``custom_nodes.<pack>``; a second pack of that name in another folder gets its folder's hash as well."""
    name = f"custom_nodes.{(path.stem if path.is_file() else path.name).replace('.', '_x_')}"
    known = sys.modules.get(name)
    if known is not None and Path(getattr(known, "__file__", None) or path).parent not in (path, path.parent):
        return f"{name}_{blake2b(str(path).encode(), digest_size=4).hexdigest()}"
    return name


def find_web_folder(pack: Pack, module: ModuleType) -> None:
    """Scripts for the editor: WEB_DIRECTORY, or ``[tool.comfy] web`` in pyproject.toml under the project's name."""
    named = getattr(module, "WEB_DIRECTORY", None)
    root = pack.path if pack.path.is_dir() else pack.path.parent
    if isinstance(named, str) and (folder := root / named).is_dir():
        host().web_folders[pack.name] = folder.resolve()
    project = root / "pyproject.toml"
    if pack.path.is_dir() and project.is_file():
        import tomllib

        try:
            told = tomllib.loads(project.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            log.warning("%s/pyproject.toml cannot be read: %s", pack.name, error)
            return
        web = told.get("tool", {}).get("comfy", {}).get("web")
        if isinstance(web, str) and (folder := root / web).is_dir():
            host().web_folders[str(told.get("project", {}).get("name") or pack.name)] = folder.resolve()


def version_of(path: Path) -> str:
    """A hash of the pack's code: results of other code are other results."""
    digest = blake2b(digest_size=8)
    for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
        digest.update(str(file.relative_to(path.parent)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def waited(awaitable: Any) -> Any:
    """The result of a coroutine, on a thread of its own: packs are imported on any."""
    if not inspect.isawaitable(awaitable):
        return awaitable

    async def wait() -> Any:
        return await awaitable

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, wait()).result()
