"""Which device computes, in which number format and memory layout."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import torch

LARGE_FROM = 128 << 20
"""Bytes of a network from which its memory matters more than 2 % of its time, and bfloat16's speed more than its rounding."""


@dataclass(frozen=True)
class Precision:
    """How one network computes: its weights are cast to ``dtype`` once, pictures pass through it in channels_last if set.

    With ``narrow`` large matrices and kernels stay as they are stored and are cast for each call: half the memory of a
    float32 network from a 16-bit file, for some 2 % of the time.
    """

    dtype: torch.dtype
    channels_last: bool = False
    narrow: bool = False


def best_device() -> torch.device:
    """The first accelerator torch sees, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def precision(role: str, device: torch.device, nbytes: int = 0, dtype: torch.dtype | None = None) -> Precision:
    """The fastest safe choice for a network of that role ("denoiser", "vae", "clip_l" ...) of ``nbytes`` as stored.

    ``dtype`` overrides the format.

    Text encoders stay in float32 on the CPU: they run once a prompt, and their rounding would be in every step. So do small
    networks. Nothing is measured to decide: a job that goes on after a crash must go on in the format it began in.
    """
    if device.type == "cpu":
        pictures = role in ("denoiser", "control", "vae")
        large = nbytes > LARGE_FROM
        dtype = dtype or (torch.bfloat16 if pictures and large and cpu_has_bfloat16() else torch.float32)
        narrow = dtype == torch.float32 and role != "vae" and large
        return Precision(dtype, channels_last=pictures, narrow=narrow)
    if device.type == "cuda":
        small = torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
        return Precision(dtype or (small if role == "vae" else torch.float16), channels_last=role == "vae")
    return Precision(dtype or torch.float16)


def cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 in hardware (AVX-512 BF16 or AMX)."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def steady_allocator() -> bool:
    """Have glibc keep freed memory instead of returning it after every layer; whether it could be set.

    A network allocates and frees the same tens of megabytes at each layer. Mapping them anew costs a tenth of the time
    in page faults on one core, more on several. What is kept grows for a few calls, then stays (SD 1.5: 0.86, 1.03, 1.14 GB from
    the third on). Process-wide, so it is for whoever owns the process to call, early.
    """
    m_trim_threshold, m_mmap_max, m_arena_max = -1, -4, -8
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return all(mallopt(name, value) == 1 for name, value in ((m_mmap_max, 0), (m_trim_threshold, 2**31 - 1), (m_arena_max, 1)))


def return_memory(unused: Iterable[torch.Tensor]) -> None:
    """Give freed memory back to the system after all, and the pages of mapped files behind ``unused``."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    return_pages(unused)


def return_pages(unused: Iterable[torch.Tensor]) -> None:
    """Take the pages of mapped files behind these tensors out of this process; a look at them maps them again.

    They stay in the system's file cache while there is room. What lies in no file is left alone. A change that was made to the
    mapped pages would be lost: weights as a file stores them are never changed.
    """
    dont_need, page = 4, os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, AttributeError):
        library, files = ctypes.CDLL(None), _mapped_files()
        for tensor in unused:
            start, end = -(-tensor.data_ptr() // page) * page, tensor.data_ptr() + tensor.nbytes
            if start < end and any(first <= start and end <= last for first, last in files):
                library.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), dont_need)


class Copied:
    """Tensors of mapped files that have been copied: from ``limit`` bytes of them on their pages are let go. For any thread."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._tensors: list[torch.Tensor] = []
        self._lock = threading.Lock()

    def add(self, tensor: torch.Tensor) -> None:
        with self._lock:
            self._tensors.append(tensor)
            if sum(one.nbytes for one in self._tensors) > self._limit:
                return_pages(self._tensors)
                self._tensors.clear()


def _mapped_files() -> list[tuple[int, int]]:
    """Where in memory files are mapped, first and last address: proc_pid_maps(5)."""
    found = []
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            span, _, _, _, inode, *_ = line.split(maxsplit=5)
            if inode != "0":
                first, last = span.split("-")
                found.append((int(first, 16), int(last, 16)))
    return found
