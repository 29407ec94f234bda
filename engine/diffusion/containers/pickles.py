"""Torch checkpoints (``.ckpt .pt .pth .bin``): pickles read with a list of what may be built, so that no code in them runs."""

from __future__ import annotations

import collections
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import IO, Any

import torch
from torch import Tensor

from engine.diffusion.containers.errors import CheckpointError
from engine.diffusion.containers.file import TensorFile

STUBBED = ("pytorch_lightning", "lightning", "lightning_fabric", "lightning_utilities", "omegaconf", "ldm", "torchmetrics")
"""Packages whose objects old training checkpoints carry beside the weights; they come out as empty stand-ins."""

INNER = ("state_dict", "model_state_dict", "params_ema", "params", "model", "module")
"""Where training scripts put the weights inside a checkpoint."""


READING = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
    zipfile.BadZipFile,
)
"""What reading a damaged pickle raises."""


class Refused(pickle.UnpicklingError):
    """A pickle asked for something that is not data."""


class Standin:
    """An object of a package in ``STUBBED``: takes whatever its pickle gives it and keeps nothing."""

    def __init__(self, *args: object, **options: object) -> None: ...
    def __setstate__(self, state: object) -> None: ...
    def __setitem__(self, key: object, value: object) -> None: ...
    def __call__(self, *args: object, **options: object) -> Standin:
        return self

    def append(self, item: object) -> None: ...
    def extend(self, items: object) -> None: ...


def _torch_globals() -> dict[tuple[str, str], Any]:
    """What a pickle may name: how tensors are rebuilt, their types, and plain containers."""
    utils = ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter", "_rebuild_parameter_with_state")
    allowed: dict[tuple[str, str], Any] = {("torch._utils", name): getattr(torch._utils, name) for name in utils}
    allowed |= {("torch", name): value for name, value in vars(torch).items() if isinstance(value, torch.dtype)}
    allowed |= {("torch", name): getattr(torch, name) for name in dir(torch) if name.endswith("Storage")}
    allowed |= {("torch.storage", name): getattr(torch.storage, name) for name in ("UntypedStorage", "TypedStorage")}
    allowed |= {
        ("torch", "Size"): torch.Size,
        ("torch", "device"): torch.device,
        ("torch", "Tensor"): torch.Tensor,
        ("torch.nn.parameter", "Parameter"): torch.nn.Parameter,
        ("torch.serialization", "_get_layout"): torch.serialization._get_layout,
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("collections", "defaultdict"): collections.defaultdict,
        ("collections", "Counter"): collections.Counter,
        ("_codecs", "encode"): _latin1,
    }
    for module in ("builtins", "__builtin__"):
        allowed |= {(module, kind.__name__): kind for kind in (set, frozenset, list, dict, tuple, int, float, bool, str, complex)}
    for module in ("numpy", "numpy.core.multiarray", "numpy._core.multiarray"):
        allowed |= {(module, name): Standin for name in ("dtype", "scalar", "ndarray", "_reconstruct")}
    return allowed


def _latin1(text: str, encoding: str = "latin1") -> bytes:
    """How protocol 2 writes bytes; other encodings would import modules."""
    if encoding != "latin1":
        raise Refused(f"_codecs.encode to {encoding!r}")
    return text.encode("latin1")


def _unpickler() -> ModuleType:
    """A stand-in for the ``pickle`` module that ``torch.load`` reads through.

    It is the unpickler written in Python: the one in C can be told to allocate a memo of any size.
    """
    allowed = _torch_globals()

    class Unpickler(pickle._Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if (module, name) in allowed:
                return allowed[module, name]
            if module.split(".")[0] in STUBBED:
                return Standin
            raise Refused(f"{module}.{name}")

    def load(file: IO[bytes], **options: Any) -> Any:
        return Unpickler(file, **options).load()

    reader = ModuleType("reader")
    vars(reader).update(Unpickler=Unpickler, load=load, UnpicklingError=pickle.UnpicklingError)
    return reader


def read_pickle(path: Path) -> TensorFile:
    """The tensors of a torch checkpoint, mapped where its format allows."""
    try:
        zipped = zipfile.is_zipfile(path)
        (_check_archive if zipped else _check_not_zip)(path)
        content = _load(path, mapped=zipped and path.suffix != ".safetensors")
    except CheckpointError:
        raise
    except Refused as error:
        raise CheckpointError(
            path, f"its pickle asks for {error}: code, not weights. It was not run; do not use this file"
        ) from error
    except READING as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            path, f"not a readable torch checkpoint, perhaps truncated ({reason}): download it again"
        ) from error
    tensors = _weights(content)
    if not tensors:
        raise CheckpointError(path, "a torch checkpoint without tensors")
    return TensorFile(path, tensors, _numbers(content))


def _load(path: Path, mapped: bool) -> object:
    """``torch.load`` through our unpickler. It takes a path's suffix for its format, so a misnamed file goes in opened."""
    options: dict[str, Any] = {"map_location": "cpu", "weights_only": False, "pickle_module": _unpickler()}
    if mapped:
        return torch.load(path, mmap=True, **options)
    with path.open("rb") as file:
        return torch.load(file, **options)


def _check_archive(path: Path) -> None:
    """A zip archive must be a torch one, and not a program."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.endswith("constants.pkl") for name in names):
        raise CheckpointError(path, "a TorchScript program, not weights; it was not run. Use the safetensors version")
    if not any(name.endswith("data.pkl") for name in names):
        raise CheckpointError(path, f"a zip archive that is no torch checkpoint (it holds {', '.join(names[:3])} ...): unpack it")


def _check_not_zip(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(2) == b"PK":
            raise CheckpointError(path, "truncated: the end of its archive is missing; download it again")


def _weights(content: object) -> dict[str, Tensor]:
    """The tensors by name, wherever the training script put them."""
    for _ in range(3):
        if not isinstance(content, Mapping):
            return {}
        inner = next((content[name] for name in INNER if isinstance(content.get(name), Mapping)), None)
        if inner is None:
            break
        content = inner
    flat = _flatten(content) if isinstance(content, Mapping) else {}
    return {name: value.detach() for name, value in flat.items()}


def _flatten(content: Mapping[Any, Any], prefix: str = "", depth: int = 3) -> dict[str, Tensor]:
    """Tensors of nested dicts by dotted names, and of short tuples of tensors and numbers by their places."""
    found: dict[str, Tensor] = {}
    for key, value in content.items():
        if isinstance(value, Tensor):
            found[f"{prefix}{key}"] = value
        elif isinstance(value, tuple | list) and 1 < len(value) <= 4 and isinstance(value[0], Tensor):
            whole = {i: torch.tensor(item) if isinstance(item, int | float) else item for i, item in enumerate(value)}
            found |= {f"{prefix}{key}.{i}": item for i, item in whole.items() if isinstance(item, Tensor)}
        elif isinstance(value, Mapping) and depth:
            found |= _flatten(value, f"{prefix}{key}.", depth - 1)
        elif isinstance(value, list | tuple) and depth and any(isinstance(item, Mapping) for item in value):
            found |= _flatten(dict(enumerate(value)), f"{prefix}{key}.", depth - 1)  # a hypernetwork's two sides
    return found


def _numbers(content: object) -> dict[str, str]:
    """Plain facts beside the weights (``global_step``, a LoRA's ``ss_...``) as metadata."""
    if not isinstance(content, Mapping):
        return {}
    plain: Callable[[object], bool] = lambda value: isinstance(value, int | float | str)  # noqa: E731
    return {str(key): str(value) for key, value in content.items() if plain(value)}
