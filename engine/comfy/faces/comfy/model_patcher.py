"""ModelPatcher: a model and what is hung on it. ``clone()`` costs nothing; weights are never copied."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Self

from engine.comfy.faces.comfy import model_management
from engine.comfy.faces.comfy.model_base import BaseModel
from engine.comfy.finder import missing
from engine.comfy.model_options import applied, stripped, takes_one
from engine.diffusion.model import Model

__getattr__ = missing(__name__)


def create_model_options_clone(orig: dict[str, Any]) -> dict[str, Any]:
    """Dicts and lists anew, what is in them the same."""

    def clone(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: clone(item) for name, item in value.items()}
        return list(value) if isinstance(value, list) else value

    cloned: dict[str, Any] = clone(orig)
    return cloned


def set_model_options_patch_replace(
    model_options: dict[str, Any], patch: Any, name: str, block_name: str, number: int, transformer_index: int | None = None
) -> dict[str, Any]:
    options = model_options["transformer_options"] = dict(model_options.get("transformer_options", {}))
    replace = options["patches_replace"] = dict(options.get("patches_replace", {}))
    block = (block_name, number) if transformer_index is None else (block_name, number, transformer_index)
    replace[name] = {**replace.get(name, {}), block: patch}
    return model_options


def set_model_options_post_cfg_function(
    model_options: dict[str, Any], post_cfg_function: Any, disable_cfg1_optimization: bool = False
) -> dict[str, Any]:
    model_options["sampler_post_cfg_function"] = [*model_options.get("sampler_post_cfg_function", []), post_cfg_function]
    if disable_cfg1_optimization:
        model_options["disable_cfg1_optimization"] = True
    return model_options


def set_model_options_pre_cfg_function(
    model_options: dict[str, Any], pre_cfg_function: Any, disable_cfg1_optimization: bool = False
) -> dict[str, Any]:
    model_options["sampler_pre_cfg_function"] = [*model_options.get("sampler_pre_cfg_function", []), pre_cfg_function]
    if disable_cfg1_optimization:
        model_options["disable_cfg1_optimization"] = True
    return model_options


class ModelPatcher:
    """Around a MODEL of the engine, or around any network a pack made itself."""

    def __init__(self, model: Any, load_device: Any = None, offload_device: Any = None, size: int = 0, **_: Any) -> None:
        self.engine: Model | None = None
        self.model: Any = model
        self.model_options: dict[str, Any] = {"transformer_options": {}}
        self.load_device = load_device
        self.offload_device = offload_device
        self.attachments: dict[str, Any] = {}
        self.additional_models: dict[str, list[Any]] = {}
        self.injections: dict[str, list[Any]] = {}
        self.wrappers: dict[str, dict[Any, list[Any]]] = {}
        self.callbacks: dict[str, dict[Any, list[Any]]] = {}
        self.object_patches: dict[str, Any] = {}
        self.patches: dict[str, list[Any]] = {}
        self.parent: Any = None
        self.patches_uuid = uuid.uuid4()

    @classmethod
    def of_engine(cls, model: Model) -> Self:
        """The face of an engine's model, with what packs hung on it before."""
        bare, owner = stripped(model)
        made = cls(None, model_management.get_torch_device(), model_management.unet_offload_device())
        if owner is not None:
            made._take_after(owner)
        made.engine = bare
        made.model = BaseModel.of_engine(made)
        return made

    def to_engine(self) -> Any:
        """The engine's model with everything applied; a network of the pack's own stays in this face."""
        if self.engine is None:
            return self
        hung = {name: value for name, value in self.model_options.items() if value}
        bare = not hung and not self.attachments and not self.wrappers and not self.callbacks
        return self.engine if bare else applied(self.engine, self._copy())

    def clone(self) -> Self:
        new = self._copy()
        for callback in self.get_all_callbacks("on_clone"):
            callback(self, new)
        return new

    def _copy(self) -> Self:
        new = type(self)(self.model, self.load_device, self.offload_device)
        new._take_after(self)
        new.engine = self.engine
        if self.engine is not None:
            new.model = BaseModel.of_engine(new)
        new.parent = self
        return new

    def _take_after(self, other: Any) -> None:
        self.model_options = create_model_options_clone(other.model_options)
        for name in ("attachments", "additional_models", "injections", "wrappers", "callbacks", "object_patches", "patches"):
            setattr(self, name, create_model_options_clone(getattr(other, name)))

    def is_clone(self, other: Any) -> bool:
        ours, theirs = self.engine, getattr(other, "engine", None)
        return (
            ours.part is theirs.part if ours is not None and theirs is not None else self.model is getattr(other, "model", None)
        )

    def clone_has_same_weights(self, clone: Any) -> bool:
        return self.is_clone(clone) and self.engine is not None and self.engine.patches == clone.engine.patches

    # Weights

    def load_network(self) -> Any:
        """The network, placed."""
        return self.engine.network() if self.engine is not None else self.model

    def model_size(self) -> int:
        return self.engine.part.nbytes if self.engine is not None else model_management.module_size(self.model)

    def loaded_size(self) -> int:
        return self.model_size()

    def model_dtype(self) -> Any:
        return self.model.get_dtype() if hasattr(self.model, "get_dtype") else next(self.model.parameters()).dtype

    def current_loaded_device(self) -> Any:
        return self.load_device

    def memory_required(self, input_shape: Any) -> float:
        required: float = self.model.memory_required(input_shape)
        return required

    def add_patches(self, patches: dict[str, Any], strength_patch: float = 1.0, strength_model: float = 1.0) -> list[str]:
        """Changes of weights by ComfyUI's names; what fits is taken, and its names are returned."""
        if self.engine is None:
            return []
        from engine.comfy.weights import adapter_of

        adapter, taken = adapter_of(patches, self.engine.part, strength_model)
        if adapter is not None:
            self.engine = self.engine.with_patches(adapter, strength_patch)
            self.model = BaseModel.of_engine(self)
            self.patches_uuid = uuid.uuid4()
        for name in taken:
            self.patches.setdefault(name, []).append((strength_patch, patches[name], strength_model, None, None))
        return taken

    def get_key_patches(self, filter_prefix: str | None = None) -> dict[str, Any]:
        """The weights as stored by ComfyUI's names, each as the start of a list of patches."""
        if self.engine is None:
            return {}
        names = {f"diffusion_model.{name}": weight for name, weight in self.engine.part.stored.items()}
        return {name: [(weight, lambda w: w)] for name, weight in names.items() if name.startswith(filter_prefix or "")}

    def model_state_dict(self, filter_prefix: str | None = None) -> dict[str, Any]:
        return {name: patches[0][0] for name, patches in self.get_key_patches(filter_prefix).items()}

    def patch_model(self, device_to: Any = None, *args: Any, **kwargs: Any) -> Any:
        return self.model

    def unpatch_model(self, device_to: Any = None, unpatch_weights: bool = True) -> None:
        """Patched networks are networks of their own: there is nothing to undo."""

    def partially_load(self, *args: Any, **kwargs: Any) -> int:
        self.load_network()
        return 0

    def detach(self, unpatch_all: bool = True) -> Any:
        return self.model

    def cleanup(self) -> None:
        """Nothing is left over."""

    # Guidance

    def set_model_sampler_cfg_function(
        self, sampler_cfg_function: Callable[..., Any], disable_cfg1_optimization: bool = False
    ) -> None:
        function = sampler_cfg_function
        if not takes_one(function):
            self.model_options["sampler_cfg_function"] = lambda args: function(args["cond"], args["uncond"], args["cond_scale"])
        else:
            self.model_options["sampler_cfg_function"] = function
        if disable_cfg1_optimization:
            self.model_options["disable_cfg1_optimization"] = True

    def set_model_sampler_post_cfg_function(self, post_cfg_function: Any, disable_cfg1_optimization: bool = False) -> None:
        set_model_options_post_cfg_function(self.model_options, post_cfg_function, disable_cfg1_optimization)

    def set_model_sampler_pre_cfg_function(self, pre_cfg_function: Any, disable_cfg1_optimization: bool = False) -> None:
        set_model_options_pre_cfg_function(self.model_options, pre_cfg_function, disable_cfg1_optimization)

    def set_model_unet_function_wrapper(self, unet_wrapper_function: Any) -> None:
        self.model_options["model_function_wrapper"] = unet_wrapper_function

    def set_model_denoise_mask_function(self, denoise_mask_function: Any) -> None:
        self.model_options["denoise_mask_function"] = denoise_mask_function

    # Patches of the network

    def set_model_patch(self, patch: Any, name: str) -> None:
        self.model_options["transformer_options"].setdefault("patches", {}).setdefault(name, []).append(patch)

    def set_model_patch_replace(
        self, patch: Any, name: str, block_name: str, number: int, transformer_index: int | None = None
    ) -> None:
        set_model_options_patch_replace(self.model_options, patch, name, block_name, number, transformer_index)

    def set_model_attn1_patch(self, patch: Any) -> None:
        self.set_model_patch(patch, "attn1_patch")

    def set_model_attn2_patch(self, patch: Any) -> None:
        self.set_model_patch(patch, "attn2_patch")

    def set_model_attn1_output_patch(self, patch: Any) -> None:
        self.set_model_patch(patch, "attn1_output_patch")

    def set_model_attn2_output_patch(self, patch: Any) -> None:
        self.set_model_patch(patch, "attn2_output_patch")

    def set_model_attn1_replace(self, patch: Any, block_name: str, number: int, transformer_index: int | None = None) -> None:
        self.set_model_patch_replace(patch, "attn1", block_name, number, transformer_index)

    def set_model_attn2_replace(self, patch: Any, block_name: str, number: int, transformer_index: int | None = None) -> None:
        self.set_model_patch_replace(patch, "attn2", block_name, number, transformer_index)

    def set_model_input_block_patch(self, patch: Any) -> None:
        self.set_model_patch(patch, "input_block_patch")

    def set_model_input_block_patch_after_skip(self, patch: Any) -> None:
        self.set_model_patch(patch, "input_block_patch_after_skip")

    def set_model_output_block_patch(self, patch: Any) -> None:
        self.set_model_patch(patch, "output_block_patch")

    # Objects of the model

    def add_object_patch(self, name: str, obj: Any) -> None:
        """Replace a part of the model; ``model_sampling`` takes effect, others can be read back."""
        self.object_patches[name] = obj
        if name == "model_sampling" and self.engine is not None and hasattr(obj, "parametrization"):
            self.engine = self.engine.with_sampling(obj.parametrization())
            self.model = BaseModel.of_engine(self)

    def get_model_object(self, name: str) -> Any:
        if name in self.object_patches:
            return self.object_patches[name]
        found = self.model
        for part in name.split("."):
            found = getattr(found, part)
        return found

    # Attachments, wrappers, callbacks: kept and handed on

    def set_attachments(self, key: str, attachment: Any) -> None:
        self.attachments[key] = attachment

    def get_attachment(self, key: str) -> Any:
        return self.attachments.get(key)

    def remove_attachments(self, key: str) -> None:
        self.attachments.pop(key, None)

    def set_additional_models(self, key: str, models: list[Any]) -> None:
        self.additional_models[key] = models

    def get_additional_models_with_key(self, key: str) -> list[Any]:
        return self.additional_models.get(key, [])

    def set_injections(self, key: str, injections: list[Any]) -> None:
        self.injections[key] = injections

    def add_wrapper(self, wrapper_type: str, wrapper: Any) -> None:
        self.add_wrapper_with_key(wrapper_type, None, wrapper)

    def add_wrapper_with_key(self, wrapper_type: str, key: Any, wrapper: Any) -> None:
        self.wrappers.setdefault(wrapper_type, {}).setdefault(key, []).append(wrapper)

    def remove_wrappers_with_key(self, wrapper_type: str, key: Any) -> None:
        self.wrappers.get(wrapper_type, {}).pop(key, None)

    def get_wrappers(self, wrapper_type: str, key: Any = None) -> list[Any]:
        return list(self.wrappers.get(wrapper_type, {}).get(key, []))

    def get_all_wrappers(self, wrapper_type: str) -> list[Any]:
        return [one for some in self.wrappers.get(wrapper_type, {}).values() for one in some]

    def add_callback(self, call_type: str, callback: Any) -> None:
        self.add_callback_with_key(call_type, None, callback)

    def add_callback_with_key(self, call_type: str, key: Any, callback: Any) -> None:
        self.callbacks.setdefault(call_type, {}).setdefault(key, []).append(callback)

    def remove_callbacks_with_key(self, call_type: str, key: Any) -> None:
        self.callbacks.get(call_type, {}).pop(key, None)

    def get_all_callbacks(self, call_type: str) -> list[Any]:
        return [one for some in self.callbacks.get(call_type, {}).values() for one in some]

    def __deepcopy__(self, memo: Any) -> Self:
        return self.clone()
