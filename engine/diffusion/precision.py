"""Which device computes, in which number format and memory layout."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache

import torch


@dataclass(frozen=True)
class Precision:
    """How one network computes: its weights are cast to ``dtype`` once, convolutions in channels_last if set."""

    dtype: torch.dtype
    channels_last: bool = False


def best_device() -> torch.device:
    """The first accelerator torch sees, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def precision(role: str, device: torch.device, dtype: torch.dtype | None = None) -> Precision:
    """The fastest safe choice for a network of that role ("denoiser", "vae", "clip_l" ...); ``dtype`` overrides the format.

    Text encoders stay in float32 on the CPU: they run once a prompt, and their rounding would be in every step.
    """
    if device.type == "cpu":
        fast = role in ("denoiser", "control", "vae") and cpu_prefers_bfloat16()
        return Precision(dtype or (torch.bfloat16 if fast else torch.float32), channels_last=fast)
    if device.type == "cuda":
        small = torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
        return Precision(dtype or (small if role == "vae" else torch.float16), channels_last=role == "vae")
    return Precision(dtype or torch.float16)


def cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 in hardware (AVX-512 BF16 or AMX)."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


@lru_cache(maxsize=1)
def cpu_prefers_bfloat16() -> bool:
    """Whether bfloat16 products are at least a quarter faster here; measured once, in some 20 ms, where the hardware has them."""
    return cpu_has_bfloat16() and _seconds(torch.bfloat16) * 1.25 < _seconds(torch.float32)


def _seconds(dtype: torch.dtype, size: int = 768) -> float:
    a, b = torch.ones(size, size, dtype=dtype), torch.ones(size, size, dtype=dtype)
    best = float("inf")
    for _ in range(4):
        start = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - start)
    return best
