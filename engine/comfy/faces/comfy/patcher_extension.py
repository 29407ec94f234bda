"""Names of wrappers and callbacks, and running them one inside the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.comfy.finder import missing

__getattr__ = missing(__name__)


class CallbacksMP:
    ON_CLONE = "on_clone"
    ON_LOAD = "on_load_after"
    ON_DETACH = "on_detach_after"
    ON_CLEANUP = "on_cleanup"
    ON_PRE_RUN = "on_pre_run"
    ON_PREPARE_STATE = "on_prepare_state"
    ON_APPLY_HOOKS = "on_apply_hooks"
    ON_REGISTER_ALL_HOOK_PATCHES = "on_register_all_hook_patches"
    ON_INJECT_MODEL = "on_inject_model"
    ON_EJECT_MODEL = "on_eject_model"


class WrappersMP:
    OUTER_SAMPLE = "outer_sample"
    PREPARE_SAMPLING = "prepare_sampling"
    SAMPLER_SAMPLE = "sampler_sample"
    PREDICT_NOISE = "predict_noise"
    CALC_COND_BATCH = "calc_cond_batch"
    APPLY_MODEL = "apply_model"
    DIFFUSION_MODEL = "diffusion_model"


class PatcherInjection:
    def __init__(self, inject: Callable[..., Any], eject: Callable[..., Any]) -> None:
        self.inject, self.eject = inject, eject


class WrapperExecutor:
    """A function with wrappers around it; each calls its first argument to go on."""

    def __init__(self, original: Callable[..., Any], class_obj: Any, wrappers: list[Any], idx: int) -> None:
        self.original, self.class_obj, self.wrappers, self.idx = original, class_obj, list(wrappers), idx

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return WrapperExecutor(self.original, self.class_obj, self.wrappers, self.idx + 1).execute(*args, **kwargs)

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        if self.idx == len(self.wrappers):
            return self.original(*args, **kwargs)
        return self.wrappers[self.idx](self, *args, **kwargs)

    @classmethod
    def new_executor(cls, original: Callable[..., Any], wrappers: list[Any], idx: int = 0) -> WrapperExecutor:
        return cls(original, None, wrappers, idx)

    @classmethod
    def new_class_executor(
        cls, original: Callable[..., Any], class_obj: Any, wrappers: list[Any], idx: int = 0
    ) -> WrapperExecutor:
        return cls(original, class_obj, wrappers, idx)


def get_all_wrappers(wrapper_type: str, transformer_options: Any, is_model_options: bool = False) -> list[Any]:
    options = transformer_options.get("transformer_options", {}) if is_model_options else transformer_options
    return [one for some in options.get("wrappers", {}).get(wrapper_type, {}).values() for one in some]


def add_wrapper(wrapper_type: str, wrapper: Any, transformer_options: Any, is_model_options: bool = False) -> None:
    add_wrapper_with_key(wrapper_type, None, wrapper, transformer_options, is_model_options)


def add_wrapper_with_key(
    wrapper_type: str, key: Any, wrapper: Any, transformer_options: Any, is_model_options: bool = False
) -> None:
    options = transformer_options.setdefault("transformer_options", {}) if is_model_options else transformer_options
    options.setdefault("wrappers", {}).setdefault(wrapper_type, {}).setdefault(key, []).append(wrapper)
