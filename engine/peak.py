"""How much memory something needed at its highest, above what was in use when it began."""

import os
import sys
from dataclasses import dataclass, field
from functools import cache
from typing import Any

PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
RESET_PEAK = b"5"  # proc(5): writing it to clear_refs sets the peak of the resident set to what it is now


@dataclass(slots=True)
class Peak:
    """Watches from its making. Steps that run at the same time are counted together: memory has no owner."""

    before: int = field(default_factory=lambda: _begin())

    def nbytes(self) -> int:
        """Bytes above the beginning; 0 where the system does not tell."""
        return max(0, _highest() - self.before)


def _begin() -> int:
    if cards := _cards():
        for index in range(cards.device_count()):
            cards.reset_peak_memory_stats(index)
        return sum(cards.memory_allocated(index) for index in range(cards.device_count()))
    if (files := _files()) is None:
        return sys.maxsize
    peak, statm, _ = files
    os.pwrite(peak, RESET_PEAK, 0)
    return int(os.pread(statm, 128, 0).split()[1]) * PAGE


def _highest() -> int:
    if cards := _cards():
        return sum(int(cards.max_memory_allocated(index)) for index in range(cards.device_count()))
    if (files := _files()) is None:
        return 0
    _, _, status = files
    text = os.pread(status, 4096, 0)
    at = text.find(b"VmHWM:")
    return int(text[at + 6 :].split(maxsplit=1)[0]) * 1024 if at >= 0 else 0


def _cards() -> Any:
    """``torch.cuda``, once something uses it."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    return cuda if cuda is not None and cuda.is_initialized() else None


@cache
def _files() -> tuple[int, int, int] | None:
    """What Linux tells of this process, kept open: opening takes longer than reading."""
    try:
        return (
            os.open("/proc/self/clear_refs", os.O_WRONLY), os.open("/proc/self/statm", os.O_RDONLY),
            os.open("/proc/self/status", os.O_RDONLY),
        )  # fmt: skip
    except OSError:
        return None
