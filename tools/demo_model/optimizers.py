"""Muon for matrices and convolutions, AdamW for the rest, and the averaged weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn


def newton_schulz(g: Tensor, steps: int = 5) -> Tensor:
    """Each matrix of the batch with its singular values moved to about one.

    Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/. In float32: without hardware for it bfloat16 is far slower.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g / (g.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    for _ in range(steps):
        s = x @ x.mT
        x = a * x + (b * s + c * s @ s) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised; parameters of one shape are stacked and updated together."""

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update from the gradients."""
        for group in self.param_groups:
            shapes: dict[tuple[int, int], list[Tensor]] = {}
            for p in group["params"]:
                if p.grad is not None:
                    shapes.setdefault((p.shape[0], p.numel() // p.shape[0]), []).append(p)
            for shape, params in shapes.items():
                self._update(params, shape, group)

    def _update(self, params: list[Tensor], shape: tuple[int, int], group: dict[str, Any]) -> None:
        g = torch.stack([p.grad.reshape(shape) for p in params if p.grad is not None])
        state = self.state[params[0]]
        if "m" not in state:
            state["m"] = torch.zeros_like(g)
        m = state["m"].lerp_(g, 1 - group["momentum"])
        updates = newton_schulz(g.lerp(m, group["momentum"])) * (0.2 * max(shape) ** 0.5)
        for p, update in zip(params, updates, strict=True):
            p.add_(update.view(p.shape), alpha=-group["lr"])


def is_matrix(name: str, p: Tensor) -> bool:
    """Whether Muon is for it: inner matrices and convolutions, not tables and not the ends of the networks."""
    return p.ndim >= 2 and not any(part in name for part in ("embedding", "conv_in", "conv_out", "quant_conv"))


class Optimizers:
    """The optimizers of a run under one learning rate schedule."""

    def __init__(self, named: Iterable[tuple[str, nn.Parameter]], lr: float, *, muon: bool = True) -> None:
        trained = [(n, p) for n, p in named if p.requires_grad]
        matrices = [p for n, p in trained if muon and is_matrix(n, p)]
        rest = [p for n, p in trained if not (muon and is_matrix(n, p))]
        self.params = [p for _, p in trained]
        self.lr = lr
        adam = torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
        self.parts: list[torch.optim.Optimizer] = [adam]
        if matrices:
            self.parts.append(Muon(matrices, lr))

    def step(self, loss: Tensor, factor: float) -> None:
        """Backward, clip, update at ``factor`` times the base learning rate."""
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.params, 1.0)
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = self.lr * factor
            part.step()
        for p in self.params:
            p.grad = None


class Average:
    """An exponential moving average of the parameters, warmed up over the first steps."""

    def __init__(self, modules: Iterable[nn.Module], decay: float) -> None:
        self.params = [p for module in modules for p in module.parameters()]
        self.mean = [p.detach().clone() for p in self.params]
        self.decay, self.count = decay, 0

    @torch.no_grad()
    def update(self) -> None:
        """Takes the parameters into the mean."""
        self.count += 1
        torch._foreach_lerp_(self.mean, self.params, 1 - min(self.decay, (1 + self.count) / (10 + self.count)))

    @torch.no_grad()
    def swap(self) -> None:
        """Exchanges the parameters and their mean; twice is nothing."""
        for p, mean in zip(self.params, self.mean, strict=True):
            held = p.detach().clone()
            p.copy_(mean)
            mean.copy_(held)
