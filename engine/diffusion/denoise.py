"""What a sampler is given: the guided denoiser, the noise it may draw, and where to report a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor


class Denoise(Protocol):
    """The clean latent a model sees in ``x`` at noise level ``sigma``, guidance included.

    ``x`` is (B, C, ...) float32; ``sigma`` is a 0-d float32 tensor. ``flow`` tells rectified-flow models
    (x = (1 - sigma) x0 + sigma eps) from variance-exploding ones (x = x0 + sigma eps): a few SDE samplers differ.
    """

    flow: bool

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor: ...

    def split(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """The guided result and the unconditional one, from one evaluation: CFG++ samplers need both."""
        ...


Noise = Callable[[Tensor, Tensor], Tensor]
"""(sigma, sigma_next) -> unit normal noise shaped like x; the draw for the step between the two levels."""

OnStep = Callable[[int, Tensor, Tensor], None]
"""(i, x, denoised) after the network call of sampling step ``i``; may raise to cancel."""


def ignore(i: int, x: Tensor, denoised: Tensor) -> None:
    """Report nothing."""
