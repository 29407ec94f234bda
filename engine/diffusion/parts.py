"""A network of a model file: how to build it, and where its weights lie in the file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

Tensors = Mapping[str, Tensor]
"""Tensors by name. From a file they are views of its mapping: nothing is read until something computes with them."""

Transform = Literal["same", "matrix", "transpose"]


@dataclass(frozen=True)
class Row:
    """One line of a key map: the network's ``target`` is the file's ``source``, or ``rows`` of it, seen through ``transform``.

    ``rows`` is (first, end) along dimension 0, for fused projections. ``matrix`` drops the 1x1 of a convolution,
    (O, I, 1, 1) -> (O, I); ``transpose`` turns (I, O) into a Linear's (O, I). All are views: no weight is copied.
    """

    target: str
    source: str
    rows: tuple[int, int] | None = None
    transform: Transform = "same"

    def view(self, source: Tensor) -> Tensor:
        """The target's value as a view of the source tensor."""
        value = source if self.rows is None else source[self.rows[0] : self.rows[1]]
        if self.transform == "matrix":
            return value.flatten(1)
        return value.t() if self.transform == "transpose" else value


KeyMap = tuple[Row, ...]


@dataclass(frozen=True, eq=False)
class Part:
    """One network of a file and its weights as stored; never changed, so it is what every patch is undone to.

    ``build`` makes the module on the meta device; ``stored`` are the file's tensors by the names the key map calls
    ``source`` (prefix already taken off); ``finish`` fills what no file holds (position ids, rope tables).
    """

    role: str  # "denoiser", "vae", "clip_l", "clip_g" ...
    build: Callable[[], nn.Module]
    keymap: KeyMap = field(repr=False)
    stored: Tensors = field(repr=False)
    finish: Callable[[nn.Module], None] | None = None

    def weights(self) -> dict[str, Tensor]:
        """Every weight by its name in the network, in the stored dtype, as views of the file."""
        return {row.target: row.view(self.stored[row.source]) for row in self.keymap}

    def module(self, dtype: torch.dtype | None = None, device: torch.device | str = "cpu") -> nn.Module:
        """A fresh module in eval mode with these weights; ``dtype=None`` keeps the stored one, sharing the file's memory."""
        module = self.build().requires_grad_(False)  # at once: weights of inference mode may not ask for any elsewhere
        weights = {name: weight.to(device=device, dtype=dtype) for name, weight in self.weights().items()}
        module.load_state_dict(weights, strict=True, assign=True)
        if self.finish is not None:
            self.finish(module)
        return module.eval()

    def originals(self, weight: Callable[[str], Tensor]) -> Iterator[tuple[str, Tensor]]:
        """The file's tensors by name, in its shapes, made from the network's: ``weights`` backwards, one at a time.

        ``weight`` gives a weight by its name in the network.
        """
        by_source: dict[str, list[Row]] = {}
        for row in self.keymap:
            by_source.setdefault(row.source, []).append(row)
        for source, rows in by_source.items():
            stored = self.stored[source]
            rows.sort(key=lambda row: row.rows or (0, 0))
            values = [weight(row.target) for row in rows]
            values = [value.t() if row.transform == "transpose" else value for row, value in zip(rows, values, strict=True)]
            yield source, (values[0] if len(values) == 1 else torch.cat(values)).reshape(stored.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the weights as stored."""
        return sum(weight.nbytes for weight in self.weights().values())

    @property
    def parameters(self) -> int:
        """How many numbers the network has."""
        return sum(weight.numel() for weight in self.weights().values())


class Place(Protocol):
    """Where modules come from: given a part (and patches), the module ready to compute, kept for the next call."""

    def __call__(self, part: Part, patches: tuple[object, ...] = (), *, dtype: torch.dtype | None = None) -> nn.Module: ...


class PlaceOnCpu:
    """The plainest ``Place``: every part on the CPU in one dtype, kept as long as this object lives; no patches."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        self.dtype = dtype
        self._modules: dict[tuple[Part, torch.dtype], nn.Module] = {}

    def __call__(self, part: Part, patches: tuple[object, ...] = (), *, dtype: torch.dtype | None = None) -> nn.Module:
        if patches:
            raise NotImplementedError("PlaceOnCpu does not know patches; use residency")
        key = (part, dtype or self.dtype)
        if key not in self._modules:
            self._modules[key] = part.module(key[1])
        return self._modules[key]


def working_dtype(module: nn.Module) -> torch.dtype:
    """The type a module computes in: that of its weights, unless it says otherwise in ``compute_dtype`` (weights kept narrow)."""
    chosen: torch.dtype | None = getattr(module, "compute_dtype", None)
    return chosen or next(module.parameters()).dtype


def under(tensors: Tensors, prefix: str) -> dict[str, Tensor]:
    """The tensors whose name starts with ``prefix``, by the rest of their name."""
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def straight(names: Iterable[str], source_prefix: str = "") -> KeyMap:
    """Rows that keep every name, the source under a prefix."""
    return tuple(Row(name, source_prefix + name) for name in names)
