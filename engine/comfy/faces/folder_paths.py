"""Where files are, under ComfyUI's names: over ``engine.folders``."""

from __future__ import annotations

import mimetypes
import os
import time
from collections.abc import Collection, Iterator, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from engine.comfy.finder import missing
from engine.comfy.host import current_folders, host
from engine.folders import ALIASES, ANNOTATED, MODEL_SUFFIXES, OTHER_SUFFIXES, MissingFileError, PathError, inside

_missing = missing(__name__)
supported_pt_extensions: set[str] = set(MODEL_SUFFIXES)
extension_mimetypes_cache: dict[str, str] = {"webp": "image", "fbx": "model"}
filename_list_cache: dict[str, Any] = {}
_suffixes: dict[str, set[str]] = {}


def __getattr__(name: str) -> Any:
    folders = current_folders()
    match name:
        case "base_path":
            return str(folders.base)
        case "models_dir":
            return str(folders.models or folders.base / "models")
        case "output_directory" | "temp_directory" | "input_directory" | "user_directory":
            return str(folders.work(name.removesuffix("_directory")))
    return _missing(name)


class _Kinds(MutableMapping[str, tuple[list[str], set[str]]]):
    """``folder_names_and_paths``: the search roots and file endings of each kind of model; what packs put in is searched."""

    def __getitem__(self, kind: str) -> tuple[list[str], set[str]]:
        kind = ALIASES.get(kind, kind)
        if kind not in host().folders.kinds():
            raise KeyError(kind)
        return _Roots(kind), _endings(kind)

    def __setitem__(self, kind: str, value: tuple[Sequence[str], Collection[str]]) -> None:
        paths, endings = value
        kind = ALIASES.get(kind, kind)
        known = {str(path) for path in host().folders.roots(kind)} if kind in self else set()
        _suffixes[kind] = endings if isinstance(endings, set) else set(endings)
        _extra()[kind] = _extra().get(kind, ())
        for path in paths:
            if str(path) not in known:
                add_model_folder_path(kind, str(path))

    def __delitem__(self, kind: str) -> None:
        del _extra()[kind]

    def __iter__(self) -> Iterator[str]:
        return iter(host().folders.kinds())

    def __len__(self) -> int:
        return len(host().folders.kinds())


class _Roots(list[str]):
    """The roots of one kind; appending adds one."""

    def __init__(self, kind: str) -> None:
        super().__init__(str(path) for path in host().folders.roots(kind))
        self.kind = kind

    def append(self, path: str) -> None:
        super().append(path)
        add_model_folder_path(self.kind, path)


folder_names_and_paths = _Kinds()


def _extra() -> dict[str, tuple[Path, ...]]:
    extra = host().folders.extra
    assert isinstance(extra, dict)
    return extra


def _endings(kind: str) -> set[str]:
    if kind not in _suffixes:
        _suffixes[kind] = set(OTHER_SUFFIXES.get(kind, MODEL_SUFFIXES))
    return _suffixes[kind]


def map_legacy(folder_name: str) -> str:
    return ALIASES.get(folder_name, folder_name)


def add_model_folder_path(folder_name: str, full_folder_path: str, is_default: bool = False) -> None:
    """One more place to search for a kind of model; a new kind is made by its first place."""
    kind, path = ALIASES.get(folder_name, folder_name), Path(full_folder_path)
    into = host().folders.first if is_default else _extra()
    assert isinstance(into, dict)
    if path not in into.get(kind, ()):
        into[kind] = (path, *into.get(kind, ())) if is_default else (*into.get(kind, ()), path)


def get_folder_paths(folder_name: str) -> list[str]:
    kind = ALIASES.get(folder_name, folder_name)
    if kind not in host().folders.kinds():
        raise KeyError(folder_name)
    return [str(path) for path in host().folders.roots(kind)]


def get_filename_list(folder_name: str) -> list[str]:
    kind = ALIASES.get(folder_name, folder_name)
    if kind not in host().folders.kinds():
        raise KeyError(folder_name)
    endings = _endings(kind)
    return host().folders.names(kind, tuple(endings) or ("",))


def get_full_path(folder_name: str, filename: str) -> str | None:
    kind = ALIASES.get(folder_name, folder_name)
    if kind not in host().folders.kinds():
        return None
    try:
        return str(host().folders.find(kind, filename))
    except (MissingFileError, PathError):
        return None


def get_full_path_or_raise(folder_name: str, filename: str) -> str:
    found = get_full_path(folder_name, filename)
    if found is None:
        raise FileNotFoundError(f"Model in folder '{folder_name}' with filename '{filename}' not found.")
    return found


def recursive_search(directory: str, excluded_dir_names: Collection[str] | None = None) -> tuple[list[str], dict[str, float]]:
    """Every file below a directory, relative to it, and when each directory was changed."""
    if not os.path.isdir(directory):
        return [], {}
    files: list[str] = []
    times = {directory: os.path.getmtime(directory)}
    for above, below, names in os.walk(directory, followlinks=True):
        below[:] = [name for name in below if name not in (excluded_dir_names or ())]
        files += [os.path.relpath(os.path.join(above, name), directory) for name in names]
        times |= {os.path.join(above, name): os.path.getmtime(os.path.join(above, name)) for name in below}
    return files, times


def filter_files_extensions(files: Collection[str], extensions: Collection[str]) -> list[str]:
    return sorted(name for name in files if not extensions or os.path.splitext(name)[-1].lower() in extensions)


def filter_files_content_types(files: Sequence[str], content_types: Sequence[str]) -> list[str]:
    """The names whose ending belongs to one of the kinds image, video, audio, model."""
    kept = []
    for name in files:
        ending = name.rsplit(".", 1)[-1].lower()
        kind = extension_mimetypes_cache.get(ending) or (mimetypes.guess_type(name)[0] or "").split("/")[0]
        if kind in content_types:
            kept.append(name)
    return kept


def get_output_directory() -> str:
    return _made("output")


def get_temp_directory() -> str:
    return _made("temp")


def get_input_directory() -> str:
    return _made("input")


def get_user_directory() -> str:
    return _made("user")


def get_system_user_directory(name: str = "system") -> str:
    return os.path.join(get_user_directory(), f"__{name}")


def get_public_user_directory(user_id: str) -> str | None:
    return None if user_id.startswith("__") else os.path.join(get_user_directory(), user_id)


def _made(kind: str) -> str:
    path = current_folders().work(kind)
    path.mkdir(parents=True, exist_ok=True)
    return str(path)


def get_directory_by_type(type_name: str) -> str | None:
    return _made(type_name) if type_name in ("output", "temp", "input") else None


def get_input_subfolders() -> list[str]:
    root = current_folders().work("input")
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_dir())


def annotated_filepath(name: str) -> tuple[str, str | None]:
    """ "a.png [output]" -> the name and the folder it is annotated with."""
    found = ANNOTATED.match(name)
    return (found["name"], get_directory_by_type(found["kind"])) if found else (name, None)


def get_annotated_filepath(name: str, default_dir: str | None = None) -> str:
    clean, directory = annotated_filepath(name)
    return str(inside(Path(directory or default_dir or get_input_directory()), clean))


def exists_annotated_filepath(name: str) -> bool:
    try:
        return os.path.exists(get_annotated_filepath(name))
    except PathError:
        return False


def get_save_image_path(
    filename_prefix: str, output_dir: str, image_width: int = 0, image_height: int = 0
) -> tuple[str, str, int, str, str]:
    """(folder, file name, next free number, sub-folder, prefix) for a file ``name_00001_.png``."""
    filled = filename_prefix.replace("%width%", str(image_width)).replace("%height%", str(image_height))
    now = time.localtime()
    for word, value in {
        "%year%": f"{now.tm_year}", "%month%": f"{now.tm_mon:02}", "%day%": f"{now.tm_mday:02}",
        "%hour%": f"{now.tm_hour:02}", "%minute%": f"{now.tm_min:02}", "%second%": f"{now.tm_sec:02}",
    }.items():  # fmt: skip
        filled = filled.replace(word, value)
    path = inside(Path(output_dir), filled)
    subfolder = os.path.relpath(path.parent, output_dir)
    path.parent.mkdir(parents=True, exist_ok=True)
    return str(path.parent), path.name, _next_number(path), "" if subfolder == "." else subfolder, filled


def _next_number(path: Path) -> int:
    """One more than the highest of ``name_<number>_...`` in the folder."""
    start = f"{path.name}_"
    numbers = [
        int(digits)
        for name in os.listdir(path.parent)
        if name.startswith(start) and (digits := name[len(start) :].partition("_")[0].partition(".")[0]).isdigit()
    ]
    return max(numbers, default=0) + 1


def set_output_directory(output_dir: str) -> None:
    _set("output", output_dir)


def set_temp_directory(temp_dir: str) -> None:
    _set("temp", temp_dir)


def set_input_directory(input_dir: str) -> None:
    _set("input", input_dir)


def _set(kind: str, path: str) -> None:
    from dataclasses import replace

    changed: dict[str, Any] = {kind: Path(path)}
    host().folders = replace(host().folders, **changed)
