"""A tensor that stays in its file's blocks of a few bits until somebody computes with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from engine.diffusion.containers.blocks import Kind

SAME = (torch.ops.aten.detach.default, torch.ops.aten.alias.default, torch.ops.aten.lift_fresh.default)
"""What gives back the very tensor, still packed."""


class Packed(Tensor):
    """Blocks of ``kind`` that pass for a float16 tensor of some shape; any operation sees the numbers, made anew each time.

    So a network of it takes the file's memory, not that of its numbers: a layer's are there while it runs. Casting to
    float32 gives all the bits there are.
    """

    blocks: Tensor
    kind: Kind

    @staticmethod
    def __new__(cls, blocks: Tensor, kind: Kind, shape: Sequence[int]) -> Self:
        made: Self = Tensor._make_wrapper_subclass(cls, tuple(shape), dtype=torch.float16, device=torch.device("cpu"))
        made.blocks, made.kind = blocks, kind
        return made

    def numbers(self) -> Tensor:
        """All its numbers, float32."""
        return self.kind.read(self.blocks.view(-1, self.kind.nbytes)).reshape(self.shape)

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        if func in SAME:
            first = args[0]
            return Packed(first.blocks, first.kind, first.shape)
        if func is torch.ops.aten._to_copy.default or func.overloadpacket is torch.ops.aten.to:  # the latter in inference mode
            into = next((one for one in (*args[1:], *given.values()) if isinstance(one, torch.dtype)), None)
            numbers = args[0].numbers()
            return func(numbers if into is not None else numbers.half(), *args[1:], **given)
        plain: Callable[[Any], Any] = lambda one: one.numbers().half() if isinstance(one, Packed) else one  # noqa: E731
        return func(*tree_map(plain, args), **tree_map(plain, given))

    @property
    def nbytes(self) -> int:  # type: ignore[override]
        """Bytes in the file."""
        return self.blocks.nbytes

    def data_ptr(self) -> int:
        return self.blocks.data_ptr()

    def untyped_storage(self) -> torch.UntypedStorage:
        return self.blocks.untyped_storage()

    def __repr__(self) -> str:  # type: ignore[override]
        return f"Packed({self.kind.name}, {tuple(self.shape)})"
