"""Which weights are on which device; the only code that casts or moves them.

A patched network is a module of its own that shares every unpatched weight with its siblings: patches are computed from
the file's weights, and nothing resident is ever written to. When the budget is short the module used longest ago goes.
"""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from engine.diffusion import fast
from engine.diffusion.containers.packed import Packed
from engine.diffusion.parts import Part
from engine.diffusion.patched_weight import PatchedWeight, Work
from engine.diffusion.patches import Patch, patched, rounded, touching
from engine.diffusion.precision import Copied, Precision, best_device, precision, return_memory

Prepare = Callable[[nn.Module], None]
"""What makes a placed module faster without changing what it says; by default ``fast.prepare`` on the CPU."""

NARROW_NUMBERS = 1 << 18
"""Weights smaller than this are cast once, whatever the precision says."""

COPIED_BYTES = 256 << 20
"""From so much of a file on that has been cast, its pages are let go: it need not be in memory twice."""


@dataclass(frozen=True)
class Plan:
    """What placing a network will do: bytes it needs, names of what has to go, and whether that is enough."""

    nbytes: int
    evicts: tuple[str, ...]
    fits: bool


@dataclass(frozen=True)
class Loaded:
    """One line of what is resident."""

    role: str
    nbytes: int
    dtype: torch.dtype
    patches: int


_Key = tuple[Part, tuple[Patch, ...], Precision]


@dataclass(eq=False)
class _Resident:
    part: Part
    patches: tuple[Patch, ...]
    precision: Precision
    module: nn.Module
    weights: dict[str, Tensor] = field(repr=False)

    @property
    def key(self) -> _Key:
        return self.part, self.patches, self.precision

    def owned(self) -> dict[int, int]:
        """Bytes by address of the storages that are ours, not the file's; of a weight still to be patched, those it will take."""
        file = {weight.untyped_storage().data_ptr() for weight in self.part.stored.values()}
        layers = [layer for layer in self.module.modules() if isinstance(layer, fast.Winograd)]
        kernels = [layer.kernel for layer in layers if layer.kernel is not None]
        later = {id(weight.work): weight.nbytes for weight in self.weights.values() if isinstance(weight, PatchedWeight)}
        now = (weight for weight in self.weights.values() if not isinstance(weight, PatchedWeight))
        storages = [weight.untyped_storage() for weight in (*now, *kernels)]
        return later | {s.data_ptr(): s.nbytes() for s in storages if s.data_ptr() not in file}


class Residency:
    """A ``Place`` with a memory: modules stay on the device, in order of last use, as long as they fit in ``budget`` bytes."""

    def __init__(
        self,
        device: torch.device | str | None = None,
        budget: int | None = None,
        dtype: torch.dtype | None = None,
        prepare: Prepare | None = None,
    ) -> None:
        self._device = torch.device(device) if device is not None else None
        self._budget = budget
        self._dtype = dtype
        self._prepare = prepare
        self._residents: list[_Resident] = []
        self._lock = threading.RLock()

    @property
    def device(self) -> torch.device:
        """Where networks compute; asked of torch at the first use, not before."""
        if self._device is None:
            self._device = best_device()
        return self._device

    def __call__(self, part: Part, patches: Sequence[object] = (), *, dtype: torch.dtype | None = None) -> nn.Module:
        """The network of ``part`` with ``patches``, ready to compute; the same module as last time if it is still here."""
        with self._lock:
            key = (part, _active(part, patches), self._precision(part, dtype))
            for resident in self._residents:
                if resident.key == key:
                    self._residents.remove(resident)
                    self._residents.append(resident)
                    return resident.module
            plan = self._plan(*key)
            self._evict([resident.key for resident in plan.evicts])
            resident = self._make(*key, packed=not plan.fits)
            self._residents.append(resident)
            return resident.module

    def once(self, part: Part, patches: Sequence[object] = (), *, dtype: torch.dtype | None = None) -> nn.Module:
        """The same network, not kept: for strengths that change from step to step. It shares what no patch touches."""
        with self._lock:
            key = (part, _active(part, patches), self._precision(part, dtype))
            known = next((resident for resident in self._residents if resident.key == key), None)
            return (known or self._make(*key)).module

    def plan(self, part: Part, patches: Sequence[object] = (), *, dtype: torch.dtype | None = None) -> Plan:
        """What ``__call__`` would do, without doing it."""
        with self._lock:
            plan = self._plan(part, _active(part, patches), self._precision(part, dtype))
            return Plan(plan.nbytes, tuple(resident.part.role for resident in plan.evicts), plan.fits)

    def free(self, role: str | None = None) -> None:
        """Let go of everything, or of the networks of one role."""
        with self._lock:
            self._evict([resident.key for resident in self._residents if role in (None, resident.part.role)])

    def resident(self) -> list[Loaded]:
        """What is here, used longest ago first."""
        with self._lock:
            return [Loaded(r.part.role, sum(r.owned().values()), r.precision.dtype, len(r.patches)) for r in self._residents]

    @property
    def nbytes(self) -> int:
        """Bytes of all resident weights, shared ones once, mapped files not counted."""
        with self._lock:
            return sum(self._bytes(self._residents).values())

    def _precision(self, part: Part, dtype: torch.dtype | None) -> Precision:
        return precision(part.role, self.device, part.nbytes, dtype or self._dtype)

    def _plan(self, part: Part, patches: tuple[Patch, ...], how: Precision) -> _Evictions:
        shared = self._shareable(part, patches, how)
        needed = 0
        for target, weight in part.weights().items():
            touched, packed = bool(touching(patches, target)), isinstance(weight, Packed)
            large = weight.ndim > 1 and weight.numel() >= NARROW_NUMBERS
            narrow = how.narrow and large and not touched
            as_stored = self.device.type == "cpu" and not packed and (narrow or weight.dtype == how.dtype) and not touched
            if target not in shared and not as_stored:
                later = large and touched and self._patches_later(how)
                kept = _narrow(weight, how) if later else _half(how) if packed and narrow else how.dtype
                needed += weight.numel() * kept.itemsize
        if self._budget is None and self.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.device)
            budget = sum(self._bytes(self._residents).values()) + int(free * 0.9)
        else:
            budget = self._budget if self._budget is not None else _half_of_memory()
        evicts: list[_Resident] = []
        staying = list(self._residents)
        while staying and sum(self._bytes(staying).values()) + needed > budget:
            evicts.append(staying.pop(0))
        return _Evictions(needed, tuple(evicts), sum(self._bytes(staying).values()) + needed <= budget)

    def _make(self, part: Part, patches: tuple[Patch, ...], how: Precision, *, packed: bool = False) -> _Resident:
        shared = self._shareable(part, patches, how)
        module = part.build().requires_grad_(False)  # at once: weights of inference mode may not ask for any elsewhere
        packed = packed and self.device.type == "cpu" and how.channels_last
        later = self._patches_later(how)
        narrow = _may_stay_narrow(module) if how.narrow or packed or later else frozenset()
        weights: dict[str, Tensor] = {}
        copied = Copied(COPIED_BYTES)
        for target, stored in part.weights().items():
            touched = touching(patches, target)
            if target in shared:
                weights[target] = shared[target]
            elif target in narrow and later and touched:
                weights[target] = self._later(stored, touched, target, how, copied)
            elif target in narrow and not touched and isinstance(stored, Packed) and (how.narrow or packed):
                weights[target] = stored if packed else stored.to(self.device, torch.float32).to(_half(how))
            elif target in narrow and not touched and how.narrow:
                weights[target] = stored.to(self.device)
            else:
                made = weights[target] = self._weight(stored, touched, target, how)
                if self.device.type == "cpu" and not isinstance(stored, Packed) and made.data_ptr() != stored.data_ptr():
                    copied.add(stored)
        module.load_state_dict(weights, strict=True, assign=True)
        if part.finish is not None:
            part.finish(module)
        module.to(self.device).eval()
        module.compute_dtype = how.dtype  # type: ignore[assignment]
        if self._prepare is not None:
            self._prepare(module)
        elif self.device.type == "cpu" and (how.channels_last or how.narrow):
            fast.prepare(module)
        return _Resident(part, patches, how, module, weights)

    def _patches_later(self, how: Precision) -> bool:
        """Whether large weights are patched at their first use: where our layers are used as they are, not compiled."""
        ours = self.device.type == "cpu" and (how.channels_last or how.narrow)
        return ours and (how.narrow or (how.dtype != torch.float32 and self._prepare is None))

    def _later(self, stored: Tensor, patches: tuple[Patch, ...], target: str, how: Precision, copied: Copied) -> PatchedWeight:
        """The same weight as ``_weight`` gives, rounded to no more bits than its file has, computed at its first use."""

        dtype = _narrow(stored, how)

        def do() -> Tensor:
            with torch.no_grad():
                whole = stored.to(torch.float32) if isinstance(stored, Packed) else stored
                weight = rounded(whole, patches, target, how.dtype, dtype)
                if whole is stored:
                    copied.add(stored)
                if how.channels_last and weight.ndim == 4 and not how.narrow:  # narrow ones lie as in the file
                    weight = weight.contiguous(memory_format=torch.channels_last)
            return weight

        return PatchedWeight(Work(do), stored.shape, dtype)

    def _weight(self, stored: Tensor, patches: tuple[Patch, ...], target: str, how: Precision) -> Tensor:
        weight = stored.to(self.device, torch.float32) if isinstance(stored, Packed) else stored.to(self.device)
        if patches:
            weight = patched(weight, patches, target, how.dtype)
        if weight.is_floating_point():
            weight = weight.to(how.dtype)
        if how.channels_last and weight.ndim == 4:
            weight = weight.contiguous(memory_format=torch.channels_last)
        return weight

    def _shareable(self, part: Part, patches: tuple[Patch, ...], how: Precision) -> dict[str, Tensor]:
        """Weights already here that are the same under ``patches``."""
        shared: dict[str, Tensor] = {}
        for resident in self._residents:
            if resident.part is part and resident.precision == how:
                for target, weight in resident.weights.items():
                    if target not in shared and touching(resident.patches, target) == touching(patches, target):
                        shared[target] = weight
        return shared

    def _evict(self, keys: Sequence[_Key]) -> None:
        """Let go of these; named by key, so that nobody's list keeps them alive while their memory is given back."""
        self._residents = [resident for resident in self._residents if resident.key not in keys]
        if keys and self.device.type == "cuda":
            torch.cuda.empty_cache()
        elif keys:
            gc.collect()
            unused = {part for part, _, _ in keys} - {resident.part for resident in self._residents}
            return_memory(weight for part in unused for weight in part.stored.values())

    @staticmethod
    def _bytes(residents: Sequence[_Resident]) -> dict[int, int]:
        merged: dict[int, int] = {}
        for resident in residents:
            merged.update(resident.owned())
        return merged


def _may_stay_narrow(module: nn.Module) -> frozenset[str]:
    """Names of the weights whose layer, once made fast, widens them itself."""
    layers = [(name, layer) for name, layer in module.named_modules() if type(layer) in (nn.Linear, nn.Conv2d)]
    large = [name for name, layer in layers if layer.get_parameter("weight").numel() >= NARROW_NUMBERS]
    return frozenset(f"{name}.weight" for name in large)


def _half(how: Precision) -> torch.dtype:
    """What packed weights are unpacked to: as narrow as may be without losing what they say."""
    return torch.float16 if how.dtype == torch.float32 else how.dtype


def _narrow(stored: Tensor, how: Precision) -> torch.dtype:
    """What a large patched weight is kept in: as many bits as in the file, but no fewer than 16."""
    if not how.narrow or stored.dtype.itemsize > 2:
        return how.dtype
    return stored.dtype if stored.dtype.itemsize == 2 else torch.float16


def _half_of_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


@dataclass(frozen=True)
class _Evictions:
    nbytes: int
    evicts: tuple[_Resident, ...]
    fits: bool


def _active(part: Part, patches: Sequence[object]) -> tuple[Patch, ...]:
    """The patches that change anything in this part."""
    ours = [patch for patch in patches if isinstance(patch, Patch) and patch.adapter.role == part.role]
    return tuple(patch for patch in ours if patch.strength != 0.0)
