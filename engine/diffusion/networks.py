"""The only door to diffusers: network classes by name, imported on first use and by the shortest path.

``from diffusers import UNet2DConditionModel`` runs three packages that import every model diffusers has, all of
transformers' loss functions (through them scipy), and torch's compiler: about 5 s beside torch's own 1.5 s. What a UNet
and a VAE need of that is under a second.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import device, nn
from torch.overrides import TorchFunctionMode

CLASSES: Mapping[str, str] = {
    "UNet2DConditionModel": "diffusers.models.unets.unet_2d_condition",
    "AutoencoderKL": "diffusers.models.autoencoders.autoencoder_kl",
    "AutoencoderTiny": "diffusers.models.autoencoders.autoencoder_tiny",
    "AutoencoderKLTemporalDecoder": "diffusers.models.autoencoders.autoencoder_kl_temporal_decoder",
    "UNetSpatioTemporalConditionModel": "diffusers.models.unets.unet_spatio_temporal_condition",
    "ControlNetModel": "diffusers.models.controlnets.controlnet",
    "ControlNetUnionModel": "diffusers.models.controlnets.controlnet_union",
    "T2IAdapter": "diffusers.models.adapter",
    "ImageProjection": "diffusers.models.embeddings",
    "IPAdapterPlusImageProjection": "diffusers.models.embeddings",
    "IPAdapterFullImageProjection": "diffusers.models.embeddings",
    "GLIGENTextBoundingboxProjection": "diffusers.models.embeddings",
    "GatedSelfAttentionDense": "diffusers.models.attention",
}

EAGER = ("unets", "transformers", "autoencoders", "controlnets")
"""Packages of diffusers' models whose ``__init__`` imports all their files."""

HIDDEN = ("transformers", "scipy", "peft", "accelerate")
"""Packages diffusers imports if it finds them, for what no network computes with."""

PARTIAL = ("diffusers.loaders", "diffusers.quantizers", "diffusers.schedulers")
"""Packages that come out incomplete when those are hidden, and are forgotten again."""

_lock = threading.RLock()
_whole: dict[str, Any] = {}
"""Classes whose modules have been run to their end: one in ``sys.modules`` may still be at work in another thread."""


def network_class(name: str) -> Any:
    """The class of that name: an entry of ``CLASSES``."""
    if name not in _whole:
        path = CLASSES[name]
        with _lock:
            if path not in sys.modules:
                with short_imports():
                    importlib.import_module(path)
            _whole[name] = getattr(sys.modules[path], name)
    return _whole[name]


def build(name: str, config: Mapping[str, Any]) -> nn.Module:
    """A network on the meta device: no memory, no initialisation."""
    cls = network_class(name)
    with on_meta():
        module: nn.Module = cls(**config)
    return module


@contextmanager
def on_meta() -> Iterator[None]:
    """Modules built inside are on the meta device. Their initialisation is left out: some of it would import torch's compiler."""
    with device("meta"), _Unfilled():
        yield


class _Unfilled(TorchFunctionMode):
    """Makes ``torch.nn.init`` do nothing, in this thread only."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


@contextmanager
def short_imports() -> Iterator[None]:
    """Inside, modules of diffusers are imported without the rest of diffusers, transformers and torch's compiler.

    Afterwards all is as it was: whoever imports those packages later gets them whole. Nothing is patched in what
    stays, but that nothing is marked for the compiler unless ``torch._dynamo`` was imported before.
    """
    before = set(sys.modules)
    kept = {name: set(vars(module)) for name, module in sys.modules.items() if name.startswith(PARTIAL)}
    with _standing_in({"torch._dynamo": _no_compiler()}):
        flags = vars(importlib.import_module("diffusers.utils.import_utils"))
        models = Path(str(importlib.import_module("diffusers.models").__file__)).parent
        bare: dict[str, ModuleType | None] = {f"diffusers.models.{name}": _bare_package(models / name) for name in EAGER}
        known = {f"_{name}_available": flags[f"_{name}_available"] for name in HIDDEN}
        flags.update(dict.fromkeys(known, False))
        try:
            with _standing_in({"transformers": None, **bare}):
                yield
        finally:
            flags.update(known)
            _forget([name for name in sys.modules if name.startswith(PARTIAL) and name not in before])
            for package, known_names in kept.items():  # what a lazy package imported before us has handed out meanwhile
                for added in vars(sys.modules[package]).keys() - known_names:
                    delattr(sys.modules[package], added)


@contextmanager
def _standing_in(modules: Mapping[str, ModuleType | None]) -> Iterator[None]:
    """Put ``modules`` in the place of those not yet imported (None: as if not installed) and take them out again."""
    standins = {name: module for name, module in modules.items() if name not in sys.modules}
    sys.modules.update(standins)  # type: ignore[arg-type]
    try:
        yield
    finally:
        _forget(list(standins))


def _bare_package(folder: Path) -> ModuleType:
    """A package of diffusers' models whose files can be imported, without running its ``__init__``."""
    package = ModuleType(f"diffusers.models.{folder.name}")
    package.__path__ = [str(folder)]
    return package


def _no_compiler() -> ModuleType:
    """The two decorators that diffusers takes from ``torch._dynamo`` on import, doing nothing."""
    module = ModuleType("torch._dynamo")
    module.allow_in_graph = lambda function: function  # type: ignore[attr-defined]
    module.disable = lambda function=None, *_, **__: function or (lambda f: f)  # type: ignore[attr-defined]
    return module


def _forget(names: list[str]) -> None:
    """Take modules out of ``sys.modules`` and out of their parents, so that the next import runs them."""
    for name in names:
        module = sys.modules.pop(name, None)
        parent, _, child = name.rpartition(".")
        if module is not None and vars(sys.modules.get(parent, ModuleType(""))).get(child) is module:
            delattr(sys.modules[parent], child)
