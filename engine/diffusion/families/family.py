"""What a model family tells the rest of the engine; each file beside this one answers for one family.

Nothing outside this folder names a family. A family is a frozen value already bound to the configuration of one file,
so a loaded model can be asked without handing configurations around.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, Self

import torch
from torch import Tensor, nn

from engine.diffusion.latent_format import LatentFormat
from engine.diffusion.parts import KeyMap, Tensors

Inputs = dict[str, Tensor]
"""Extra arguments of a network call, each (B, ...), so that calls can share a batch."""


@dataclass(frozen=True)
class Prediction:
    """What the network was trained to say, in plain numbers; the samplers' parametrization is made from it.

    ``eps`` and ``v`` models have 1000 discrete noise levels: ``linear`` betas are evenly spaced in their square root
    between ``beta_start`` and ``beta_end`` (Stable Diffusion's schedule). ``flow`` models see (1 - s) x0 + s eps with
    s shifted by ``shift``. ``edm`` models are preconditioned with ``sigma_data`` between ``sigma_min`` and ``sigma_max``.
    """

    kind: Literal["eps", "v", "flow", "edm", "edm_v", "x0"]
    beta_start: float = 0.00085
    beta_end: float = 0.012
    zero_terminal_snr: bool = False
    shift: float = 1.0
    multiplier: float = 1.0  # flow: the timestep handed to ``forward`` is s times this
    sigma_data: float = 1.0
    sigma_min: float = 0.002
    sigma_max: float = 120.0


@dataclass(frozen=True)
class Defaults:
    """Settings that give a decent picture at once; the loader hands them to the editor."""

    steps: int = 20
    cfg: float = 7.0
    sampler: str = "euler"
    scheduler: str = "normal"
    width: int = 512
    height: int = 512
    few_steps: bool = False  # distilled: with more steps, guidance or another sampler its pictures spoil


@dataclass(frozen=True)
class Residuals:
    """What a ControlNet adds inside the network: ``down`` a tensor a skip connection, in the network's own order, and ``mid``;
    what a T2I-Adapter adds: ``within`` a tensor a level of the way down, where it goes on to the next."""

    down: tuple[Tensor, ...] = ()
    mid: Tensor | None = None
    within: tuple[Tensor, ...] = ()

    def each(self, change: Callable[[Tensor], Tensor]) -> Residuals:
        """``change`` of every tensor."""
        down, within = (tuple(change(tensor) for tensor in tensors) for tensors in (self.down, self.within))
        return Residuals(down, None if self.mid is None else change(self.mid), within)


class Family(Protocol):
    """One model family bound to one file's configuration.

    ``recognise`` gets the denoiser's tensors by their inner names (container prefix off; only names and shapes are looked
    at, meta tensors do) and ``loose``, the file's tensors outside any part, where flags such as ``v_pred`` live.
    It returns None for a file of another family.
    """

    name: ClassVar[str]  # "sd1": stable, shown in ports and errors
    title: ClassVar[str]  # "Stable Diffusion 1"
    spatial: ClassVar[frozenset[str]]  # inputs that have the latent's height and width last, to be cropped with an area

    @classmethod
    def recognise(cls, tensors: Tensors, loose: Tensors, metadata: Mapping[str, str]) -> Self | None: ...

    def build(self) -> nn.Module:
        """The denoiser on the meta device."""
        ...

    def keymap(self, names: Iterable[str]) -> KeyMap:
        """Network name <- file name for those of ``names`` that are weights of the denoiser; others get no row."""
        ...

    @property
    def prediction(self) -> Prediction: ...

    @property
    def latent(self) -> LatentFormat: ...

    @property
    def defaults(self) -> Defaults: ...

    @property
    def text(self) -> str:
        """Which joined text encoder it listens to: a name of ``engine.diffusion.text.stacks``."""
        ...

    def flags(self) -> dict[str, Tensor]:
        """Tensors to put beside the weights so that a file of them is recognised as this again."""
        ...

    def condition(self, tensor: Tensor, options: Mapping[str, Any], x: Tensor, *, negative: bool = False) -> Inputs:
        """The inputs one conditioning entry ``[tensor, options]`` means for a latent like ``x`` (B, C, ...), on its device."""
        ...

    def forward(
        self, network: nn.Module, x: Tensor, timestep: Tensor, inputs: Inputs, residuals: Residuals | None = None
    ) -> Tensor:
        """The network's raw output for scaled ``x`` (B, C, ...) and ``timestep`` (B,); sign and packing put right."""
        ...

    def batch(self, calls: Sequence[Inputs]) -> Inputs | None:
        """The inputs of several calls as those of one, in order; None when they cannot share a batch."""
        ...


def batch_equal(calls: Sequence[Inputs]) -> Inputs | None:
    """Concatenate calls that have the same inputs of the same shapes, but for the batch; else None."""
    first = calls[0]
    for call in calls[1:]:
        if call.keys() != first.keys() or any(call[name].shape[1:] != first[name].shape[1:] for name in first):
            return None
    return {name: torch.cat([call[name] for call in calls]) for name in first}


def batch_contexts(calls: Sequence[Inputs], name: str = "context", limit: int = 4) -> Inputs | None:
    """Like ``batch_equal``, with contexts (B, tokens, D) repeated to a common length, which attention does not notice.

    Softmax over keys that are all repeated equally often gives the same average, so no mask is needed. A length over
    ``limit`` times the shortest is not worth it and gives None.
    """
    lengths = [call[name].shape[1] for call in calls]
    common = math.lcm(*lengths)
    if common > limit * min(lengths):
        return None
    return batch_equal([{**call, name: call[name].repeat(1, common // n, 1)} for call, n in zip(calls, lengths, strict=True)])


def repeat_to(tensor: Tensor, batch: int) -> Tensor:
    """``tensor`` (b, ...) repeated and cut to ``batch`` along dimension 0."""
    if tensor.shape[0] == batch:
        return tensor
    return tensor.repeat(-(-batch // tensor.shape[0]), *[1] * (tensor.ndim - 1))[:batch]
