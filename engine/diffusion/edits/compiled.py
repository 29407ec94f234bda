"""A network through torch's compiler for the length of a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from engine.diffusion.model import Edit


def compiled(backend: str = "inductor") -> Edit:
    """``torch.compile`` of the whole network; what was compiled is kept for the next run of the same model."""
    known: dict[int, Any] = {}

    @contextmanager
    def edit(network: nn.Module) -> Iterator[None]:
        import torch

        if id(network) not in known:
            known.clear()
            known[id(network)] = torch.compile(network._call_impl, backend=backend)
        before = network._compiled_call_impl
        network._compiled_call_impl = known[id(network)]
        try:
            yield
        finally:
            network._compiled_call_impl = before

    return edit
