"""Devices and memory, which the engine plans itself: what packs ask is answered, what they order is done where it makes sense."""

from __future__ import annotations

import gc
import sys
from enum import Enum
from typing import TYPE_CHECKING, Any

from engine.comfy.finder import missing
from engine.comfy.host import current_run, host
from engine.run import CancelledError

if TYPE_CHECKING:
    import torch

__getattr__ = missing(__name__)
InterruptProcessingException = CancelledError
XFORMERS_IS_AVAILABLE = False
OOM_EXCEPTION: type[Exception] = MemoryError
DISABLE_SMART_MEMORY = False
lowvram_available = False
current_loaded_models: list[Any] = []
directml_enabled = False


class VRAMState(Enum):
    DISABLED = 0
    NO_VRAM = 1
    LOW_VRAM = 2
    NORMAL_VRAM = 3
    HIGH_VRAM = 4
    SHARED = 5


class CPUState(Enum):
    GPU = 0
    CPU = 1
    MPS = 2


vram_state = VRAMState.NORMAL_VRAM
set_vram_to = VRAMState.NORMAL_VRAM
cpu_state = CPUState.GPU


def _place() -> Any:
    """The holder of networks of the job at work."""
    make = host().residency
    return make() if make is not None else current_run().place


def get_torch_device() -> torch.device:
    """Where networks compute."""
    device: torch.device = _place().device
    return device


def unet_offload_device() -> torch.device:
    return _cpu()


def unet_inital_load_device(parameters: int, dtype: Any) -> torch.device:
    return get_torch_device()


def text_encoder_device() -> torch.device:
    return get_torch_device()


def text_encoder_offload_device() -> torch.device:
    return _cpu()


def text_encoder_initial_device(load_device: Any, offload_device: Any, model_size: int = 0) -> Any:
    return offload_device


def vae_device() -> torch.device:
    return get_torch_device()


def vae_offload_device() -> torch.device:
    return _cpu()


def intermediate_device() -> torch.device:
    """Where values between nodes are kept."""
    return _cpu()


def _cpu() -> torch.device:
    import torch

    return torch.device("cpu")


def get_torch_device_name(device: Any) -> str:
    import torch

    return f"{device} {torch.cuda.get_device_name(device)}" if getattr(device, "type", "") == "cuda" else str(device)


def is_device_type(device: Any, type: str) -> bool:
    return bool(getattr(device, "type", None) == type)


def is_device_cpu(device: Any) -> bool:
    return is_device_type(device, "cpu")


def is_device_cuda(device: Any) -> bool:
    return is_device_type(device, "cuda")


def is_device_mps(device: Any) -> bool:
    return is_device_type(device, "mps")


def cpu_mode() -> bool:
    return get_torch_device().type == "cpu"


def mps_mode() -> bool:
    return get_torch_device().type == "mps"


def is_nvidia() -> bool:
    import torch

    return torch.cuda.is_available() and torch.version.cuda is not None


def is_amd() -> bool:
    import torch

    return torch.cuda.is_available() and torch.version.hip is not None


def is_intel_xpu() -> bool:
    return False


def is_directml_enabled() -> bool:
    return False


def xformers_enabled() -> bool:
    return False


def xformers_enabled_vae() -> bool:
    return False


def pytorch_attention_enabled() -> bool:
    return True


def sage_attention_enabled() -> bool:
    return False


def flash_attention_enabled() -> bool:
    return False


def dtype_size(dtype: torch.dtype) -> int:
    return dtype.itemsize


def _dtype(role: str, device: Any = None) -> torch.dtype:
    from engine.diffusion.precision import precision

    return precision(role, device or get_torch_device()).dtype


def unet_dtype(device: Any = None, model_params: int = 0, supported_dtypes: Any = (), weight_dtype: Any = None) -> torch.dtype:
    return _dtype("denoiser", device)


def unet_manual_cast(weight_dtype: Any, inference_device: Any, supported_dtypes: Any = ()) -> torch.dtype | None:
    """The type to compute in where that is not the type of the weights."""
    dtype = _dtype("denoiser", inference_device)
    return None if dtype == weight_dtype else dtype


def text_encoder_dtype(device: Any = None) -> torch.dtype:
    return _dtype("clip_l", device)


def vae_dtype(device: Any = None, allowed_dtypes: Any = ()) -> torch.dtype:
    return _dtype("vae", device)


def should_use_fp16(
    device: Any = None, model_params: int = 0, prioritize_performance: bool = True, manual_cast: bool = False
) -> bool:
    return str(_dtype("denoiser", device)) == "torch.float16"


def should_use_bf16(
    device: Any = None, model_params: int = 0, prioritize_performance: bool = True, manual_cast: bool = False
) -> bool:
    return str(_dtype("denoiser", device)) == "torch.bfloat16"


def supports_fp8_compute(device: Any = None) -> bool:
    return False


def supports_cast(device: Any, dtype: Any) -> bool:
    return True


def pick_weight_dtype(dtype: Any, fallback_dtype: Any, device: Any = None) -> Any:
    return dtype or fallback_dtype


def device_supports_non_blocking(device: Any) -> bool:
    return is_device_cuda(device)


def cast_to(
    weight: torch.Tensor,
    dtype: Any = None,
    device: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
    stream: Any = None,
) -> torch.Tensor:
    return weight.to(device=device, dtype=dtype, non_blocking=non_blocking, copy=copy)


def cast_to_device(tensor: torch.Tensor, device: Any, dtype: Any, copy: bool = False) -> torch.Tensor:
    return tensor.to(device=device, dtype=dtype, copy=copy)


def force_upcast_attention_dtype() -> None:
    return None


def get_total_memory(dev: Any = None, torch_total_too: bool = False) -> Any:
    import torch

    from engine.settings import physical_memory

    device = dev or get_torch_device()
    total = torch.cuda.mem_get_info(device)[1] if is_device_cuda(device) else physical_memory()
    return (total, total) if torch_total_too else total


def get_free_memory(dev: Any = None, torch_free_too: bool = False) -> Any:
    """Bytes that are free on a device."""
    import torch

    device = dev or get_torch_device()
    free = torch.cuda.mem_get_info(device)[0] if is_device_cuda(device) else _available()
    return (free, free) if torch_free_too else free


def _available() -> int:
    from engine.settings import physical_memory

    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return physical_memory() // 2


def module_size(module: Any) -> int:
    return sum(tensor.nbytes for tensor in module.state_dict().values())


def minimum_inference_memory() -> int:
    return 1 << 30


def extra_reserved_memory() -> int:
    return 0


def maximum_vram_for_weights(device: Any = None) -> float:
    return float(get_total_memory(device) * 0.88)


def load_models_gpu(models: Any, memory_required: int = 0, force_patch_weights: bool = False, **kwargs: Any) -> None:
    """Networks are placed when they compute; ask for them now."""
    for model in models:
        load_model_gpu(model)


def load_model_gpu(model: Any) -> None:
    if hasattr(model, "load_network"):
        model.load_network()


def unload_all_models() -> None:
    _place().free()


def unload_model_clones(model: Any, unload_weights_only: bool = True, force_unload: bool = True) -> None:
    """Patched networks share what is unpatched: there are no clones to unload."""


def loaded_models(only_currently_used: bool = False) -> list[Any]:
    return []


def free_memory(memory_required: float, device: Any, keep_loaded: Any = ()) -> list[Any]:
    """Let networks go if so much is not free."""
    if get_free_memory(device) < memory_required:
        _place().free()
    return []


def cleanup_models(*args: Any) -> None:
    """Nothing is left over."""


def cleanup_models_gc() -> None:
    """Nothing is left over."""


def soft_empty_cache(force: bool = False) -> None:
    """Give memory back to the system."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def processing_interrupted() -> bool:
    return current_run().cancelled


def throw_exception_if_processing_interrupted() -> None:
    current_run().check()


def interrupt_current_processing(value: bool = True) -> None:
    """Stop the job at work."""
    if value:
        current_run().job.cancel()
