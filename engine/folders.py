"""Where files are: model folders by kind, and input, output, temp and user. A name never leaves its root."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath

PROJECT = Path(__file__).resolve().parents[1]
MODEL_SUFFIXES = (".safetensors", ".sft", ".gguf", ".ckpt", ".pt", ".pt2", ".pth", ".bin", ".pkl")
MODEL_FOLDERS: Mapping[str, tuple[str, ...]] = {
    "checkpoints": ("checkpoints",),
    "configs": ("configs",),
    "loras": ("loras",),
    "vae": ("vae",),
    "text_encoders": ("text_encoders", "clip"),
    "diffusion_models": ("diffusion_models", "unet"),
    "clip_vision": ("clip_vision",),
    "style_models": ("style_models",),
    "embeddings": ("embeddings",),
    "diffusers": ("diffusers",),
    "vae_approx": ("vae_approx",),
    "controlnet": ("controlnet", "t2i_adapter"),
    "gligen": ("gligen",),
    "upscale_models": ("upscale_models",),
    "hypernetworks": ("hypernetworks",),
    "photomaker": ("photomaker",),
    "ipadapter": ("ipadapter",),
    "depth": ("depth",),
    "classifiers": ("classifiers",),
    "model_patches": ("model_patches",),
    "audio_encoders": ("audio_encoders",),
}
ALIASES = {"unet": "diffusion_models", "clip": "text_encoders", "t2i_adapter": "controlnet"}
OTHER_SUFFIXES = {"configs": (".yaml", ".yml")}
WORK_FOLDERS = ("input", "output", "temp", "user")
ANNOTATED = re.compile(r"^(?P<name>.*?)\s*\[(?P<kind>input|output|temp)\]$", re.DOTALL)


class PathError(ValueError):
    """A name that would leave its folder, or names nothing that can be a file."""


class MissingFileError(FileNotFoundError):
    """No such file; ``nearest`` are the names it may have meant, ``elsewhere`` files so called of other kinds, as kind/name."""

    def __init__(self, kind: str, name: str, nearest: Sequence[str], elsewhere: Sequence[str] = ()) -> None:
        self.kind, self.name, self.nearest, self.elsewhere = kind, name, tuple(nearest), tuple(elsewhere)
        super().__init__(str(self))

    def __str__(self) -> str:
        if self.elsewhere:
            return f"no {self.kind} file {self.name!r}; it is in {', '.join(self.elsewhere)}"
        if self.nearest:
            return f"no {self.kind} file {self.name!r}; the nearest: {', '.join(self.nearest)}"
        return f"no {self.kind} file {self.name!r}"


def inside(root: Path, name: str, *, links: bool = False) -> Path:
    """``root / name``, or PathError if that is not below ``root``. With ``links``, symbolic links may lead out."""
    clean = name.replace("\\", "/")
    parts = [part for part in clean.split("/") if part not in ("", ".")]
    if not parts or "\0" in clean or ".." in parts or clean.startswith("/") or PureWindowsPath(name).drive:
        raise PathError(f"{name!r} is not a name inside {root.name}/")
    path = root.joinpath(*parts)
    if not links and not path.resolve().is_relative_to(root.resolve()):
        raise PathError(f"{name!r} leads out of {root.name}/")
    return path


@dataclass(frozen=True, slots=True)
class Folders:
    """Roots on disk. ``extra`` adds search roots by kind ahead of or behind ``base``/models; any new kind becomes a folder."""

    base: Path = PROJECT
    models: Path | None = None
    input: Path | None = None
    output: Path | None = None
    temp: Path | None = None
    user: Path | None = None
    extra: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    first: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    _listed: dict[Path, tuple[dict[str, int], list[str]]] = field(default_factory=dict, repr=False, compare=False)

    def work(self, kind: str) -> Path:
        """The input, output, temp or user folder."""
        if kind not in WORK_FOLDERS:
            raise PathError(f"{kind!r} is not one of {', '.join(WORK_FOLDERS)}")
        given: Path | None = getattr(self, kind)
        return given if given is not None else self.base / kind

    def kinds(self) -> list[str]:
        """The model folders, as ``/models`` lists them."""
        return list(dict.fromkeys([*MODEL_FOLDERS, *self.first, *self.extra]))

    def roots(self, kind: str) -> tuple[Path, ...]:
        """The directories searched for ``kind``, first match first."""
        kind = ALIASES.get(kind, kind)
        if kind in WORK_FOLDERS:
            return (self.work(kind),)
        models = self.models if self.models is not None else self.base / "models"
        own = tuple(models / name for name in MODEL_FOLDERS.get(kind, () if kind in {**self.first, **self.extra} else (kind,)))
        return (*self.first.get(kind, ()), *own, *self.extra.get(kind, ()))

    def names(self, kind: str, suffixes: Sequence[str] = ()) -> list[str]:
        """Every file of ``kind``, relative to its root with ``/``, sorted without regard to case."""
        kind = ALIASES.get(kind, kind)
        wanted = tuple(suffixes) or OTHER_SUFFIXES.get(kind, () if kind in WORK_FOLDERS else MODEL_SUFFIXES)
        found = {name for root in self.roots(kind) for name in self._files(root)}
        return sorted((n for n in found if not wanted or n.lower().endswith(wanted)), key=lambda n: (n.lower(), n))

    def find(self, kind: str, name: str) -> Path:
        """The file called ``name``: with either separator, in a sub-folder, or annotated as "a.png [output]"."""
        if annotated := ANNOTATED.match(name):
            kind, name = annotated["kind"], annotated["name"]
        kind = ALIASES.get(kind, kind)
        for root in self.roots(kind):
            path = inside(root, name, links=kind not in WORK_FOLDERS)
            if path.is_file():
                return path
        known = self.names(kind)
        wanted = name.replace("\\", "/").rsplit("/", 1)[-1]
        same = [n for n in known if n.rsplit("/", 1)[-1].lower() == wanted.lower()]
        elsewhere = [] if same else self._elsewhere(kind, wanted.lower())
        raise MissingFileError(kind, name, same or nearest(name, known), elsewhere)

    def _elsewhere(self, kind: str, wanted: str) -> list[str]:
        """Where other kinds have a file of this name, as kind/name."""
        others = ((other, name) for other in self.kinds() if other != kind for name in self.names(other))
        return [f"{other}/{name}" for other, name in others if name.rsplit("/", 1)[-1].lower() == wanted]

    def _files(self, root: Path) -> list[str]:
        seen = self._listed.get(root)
        if seen and all(_mtime(directory) == at for directory, at in seen[0].items()):
            return seen[1]
        times: dict[str, int] = {str(root): _mtime(str(root))}
        files: list[str] = []
        visited = {os.path.realpath(root)}
        for directory, below, names in os.walk(root, followlinks=True):
            kept = [d for d in below if not d.startswith(".") and os.path.realpath(os.path.join(directory, d)) not in visited]
            visited.update(os.path.realpath(os.path.join(directory, d)) for d in kept)
            below[:] = kept
            times[directory] = _mtime(directory)
            above = os.path.relpath(directory, root).replace(os.sep, "/")
            files += [n if above == "." else f"{above}/{n}" for n in names if not n.startswith(".")]
        self._listed[root] = times, files
        return files


def nearest(name: str, known: Sequence[str], count: int = 3) -> list[str]:
    """The known names most like ``name``, without regard to case."""
    by_lower = {k.lower(): k for k in reversed(known)}
    return [by_lower[k] for k in difflib.get_close_matches(name.lower(), by_lower, count, 0.5)]


def _mtime(directory: str) -> int:
    try:
        return os.stat(directory).st_mtime_ns
    except OSError:
        return 0
