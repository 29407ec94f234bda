"""What packs find in ``import nodes``: ComfyUI's node classes over our functions, and the lists that go with them."""

from __future__ import annotations

import os
from collections.abc import Iterator, MutableMapping
from typing import Any

from engine.comfy.faces.comfy_execution.graph_utils import ExecutionBlocker
from engine.comfy.finder import missing
from engine.comfy.host import current_run, host
from engine.comfy.native import class_of, output_classes

MAX_RESOLUTION = 16384


class Classes(MutableMapping[str, Any]):
    """``NODE_CLASS_MAPPINGS``: classes of packs and of native nodes. What a pack puts in here can be called, but is no node."""

    def __getitem__(self, name: str) -> Any:
        known = host()
        if name in known.classes:
            return known.classes[name]
        if name in known.specs:
            return class_of(known.specs[name])
        native = native_specs()
        if name in native:
            return class_of(native[name])
        raise KeyError(name)

    def __setitem__(self, name: str, value: Any) -> None:
        host().classes[name] = value

    def __delitem__(self, name: str) -> None:
        host().classes.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter({**native_specs(), **host().specs, **host().classes})

    def __len__(self) -> int:
        return len({**native_specs(), **host().specs, **host().classes})


class Titles(MutableMapping[str, str]):
    """``NODE_DISPLAY_NAME_MAPPINGS``."""

    def __getitem__(self, name: str) -> str:
        return host().titles[name] if name in host().titles else (host().specs.get(name) or native_specs()[name]).title

    def __setitem__(self, name: str, value: str) -> None:
        host().titles[name] = value

    def __delitem__(self, name: str) -> None:
        host().titles.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter({**native_specs(), **host().specs, **host().titles})

    def __len__(self) -> int:
        return len({**native_specs(), **host().specs, **host().titles})


NODE_CLASS_MAPPINGS = Classes()
NODE_DISPLAY_NAME_MAPPINGS = Titles()


def native_specs() -> Any:
    """The native node types, which are all read before the first pack is."""
    return host().natives()


def find(name: str) -> Any:
    """What ``nodes.name`` is."""
    match name:
        case "NODE_CLASS_MAPPINGS":
            return NODE_CLASS_MAPPINGS
        case "NODE_DISPLAY_NAME_MAPPINGS":
            return NODE_DISPLAY_NAME_MAPPINGS
        case "EXTENSION_WEB_DIRS":
            return host().web_folders
        case "LOADED_MODULE_DIRS":
            return {pack.name: str(pack.path) for pack in host().packs.values()}
        case "MAX_RESOLUTION":
            return MAX_RESOLUTION
        case "ExecutionBlocker":
            return ExecutionBlocker
        case "common_ksampler":
            return common_ksampler
        case "interrupt_processing":
            return interrupt_processing
        case "before_node_execution":
            return before_node_execution
        case "init_extra_nodes" | "init_external_custom_nodes":
            return lambda *args, **kwargs: None
        case "load_custom_node":
            return load_custom_node
        case "get_module_name":
            return lambda path: os.path.splitext(os.path.basename(path))[0]
        case "SaveImage" | "PreviewImage":
            return output_classes()[name]
        case "comfy" | "folder_paths" | "node_helpers" | "latent_preview" | "torch" | "numpy":
            import importlib

            return importlib.import_module(name)
    native = native_specs()
    return class_of(native[name]) if name in native else missing("engine.comfy.faces.nodes")(name)


def common_ksampler(model: Any, seed: int, steps: int, cfg: float, sampler_name: str, scheduler: str, positive: Any,
                    negative: Any, latent: Any, denoise: float = 1.0, disable_noise: bool = False, start_step: int | None = None,
                    last_step: int | None = None, force_full_denoise: bool = False) -> tuple[Any, ...]:  # fmt: skip
    """A latent from another, by names."""
    from engine.comfy.faces.comfy import sample

    samples = sample.fix_empty_latent_channels(model, latent["samples"])
    if disable_noise:
        noise = samples.new_zeros(samples.shape)
    else:
        noise = sample.prepare_noise(samples, seed, latent.get("batch_index"))
    result = sample.sample(
        model, noise, steps, cfg, sampler_name, scheduler, positive, negative, samples, denoise, disable_noise, start_step,
        last_step, force_full_denoise, latent.get("noise_mask"), seed=seed,
    )  # fmt: skip
    return ({**latent, "samples": result},)


def interrupt_processing(value: bool = True) -> None:
    if value:
        current_run().job.cancel()


def before_node_execution() -> None:
    current_run().check()


async def load_custom_node(module_path: str, ignore: Any = (), module_parent: str = "custom_nodes") -> bool:
    """Packs do not load packs: that is for the user to say."""
    return False
