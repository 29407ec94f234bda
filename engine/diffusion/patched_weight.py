"""A weight whose patches are worked in when somebody first computes with it, and not before."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from engine.diffusion.containers.packed import SAME


class Work:
    """A computation done once, by whichever thread comes first; the others wait for it. If it fails the next one tries again."""

    def __init__(self, do: Callable[[], Tensor]) -> None:
        self._do: Callable[[], Tensor] | None = do
        self._made: Tensor | None = None
        self._lock = threading.Lock()

    @property
    def pending(self) -> bool:
        return self._made is None

    def result(self) -> Tensor:
        """What it gives; what it was made from is let go."""
        if self._made is None:
            with self._lock:
                if self._do is not None:
                    self._made = self._do()
                    self._do = None
        assert self._made is not None
        return self._made


class PatchedWeight(Tensor):
    """Passes for the tensor that ``work`` will give, of this shape and type; any operation on it does the work first.

    So a network is placed with its patches in no time, layers that never run cost nothing, and every network that shares the
    weight shares the work. Views of it that keep it whole stay pending.
    """

    work: Work

    @staticmethod
    def __new__(cls, work: Work, shape: torch.Size, dtype: torch.dtype) -> Self:
        made: Self = Tensor._make_wrapper_subclass(cls, shape, dtype=dtype, device=torch.device("cpu"))
        made.work = work
        return made

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in SAME:
            return PatchedWeight(args[0].work, args[0].shape, args[0].dtype)
        return func(*tree_map(computed, args), **tree_map(computed, dict(kwargs or {})))

    def data_ptr(self) -> int:
        return self.work.result().data_ptr()

    def untyped_storage(self) -> torch.UntypedStorage:
        return self.work.result().untyped_storage()

    def numpy(self, *, force: bool = False) -> Any:
        return self.work.result().numpy(force=force)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        """A plain copy: whoever wants one means to change it."""
        copy = self.work.result().clone()
        memo[id(self)] = nn.Parameter(copy, requires_grad=False) if isinstance(self, nn.Parameter) else copy
        return memo[id(self)]  # type: ignore[no-any-return]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.work.result().__reduce_ex__(protocol)  # type: ignore[no-untyped-call]

    def __repr__(self) -> str:  # type: ignore[override]
        return f"PatchedWeight({tuple(self.shape)}, {self.dtype}, pending={self.work.pending})"


def computed(one: Any) -> Any:
    """A plain tensor in the place of a patched weight; anything else as it is."""
    return one.work.result() if isinstance(one, PatchedWeight) else one
