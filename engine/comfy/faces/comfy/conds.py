"""Conditions as they are batched."""

from __future__ import annotations

from typing import Any

from engine.comfy.finder import missing

__getattr__ = missing(__name__)


class CONDRegular:
    """A tensor with a row for each sample."""

    def __init__(self, cond: Any) -> None:
        self.cond = cond

    def _copy_with(self, cond: Any) -> Any:
        return type(self)(cond)

    def process_cond(self, batch_size: int, **kwargs: Any) -> Any:
        from engine.comfy.faces.comfy.utils import repeat_to_batch_size

        return self._copy_with(repeat_to_batch_size(self.cond, batch_size))

    def can_concat(self, other: Any) -> bool:
        return bool(self.cond.shape == other.cond.shape)

    def concat(self, others: Any) -> Any:
        import torch

        return torch.cat([self.cond, *(other.cond for other in others)])

    def size(self) -> list[int]:
        return list(self.cond.size())


class CONDNoiseShape(CONDRegular):
    """Shaped like the latent."""


class CONDCrossAttn(CONDRegular):
    """An embedding that is listened to."""


class CONDConstant(CONDRegular):
    """The same for all."""

    def process_cond(self, batch_size: int, **kwargs: Any) -> Any:
        return self._copy_with(self.cond)

    def can_concat(self, other: Any) -> bool:
        return bool(self.cond == other.cond)

    def concat(self, others: Any) -> Any:
        return self.cond

    def size(self) -> list[int]:
        return [1]
