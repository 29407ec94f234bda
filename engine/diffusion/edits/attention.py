"""Attention layers changed: scaled, replaced by the identity, blurred, or given a second, negative text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.diffusion.conditioning import Conditioning, entries
from engine.diffusion.edits.places import Call, attentions, heads, hooked, processed, projected_out, watched
from engine.diffusion.fast import TextOnce

if TYPE_CHECKING:
    from engine.diffusion.guidance import Guider
    from engine.diffusion.model import Edit


def multiply(
    kind: str, q: float = 1.0, k: float = 1.0, v: float = 1.0, out: float = 1.0, *, temporal: bool | None = None
) -> Edit:
    """Queries, keys, values and result of every ``attn1`` or ``attn2`` layer times a number; all 1 is nothing.

    ``temporal``: only layers that look along a film's time, or (False) only those that do not.
    """

    @contextmanager
    def edit(network: nn.Module) -> Iterator[None]:
        with ExitStack() as stack:
            for name, layer in attentions(network, kind):
                if temporal is not None and (".temporal_transformer_blocks." in name) is not temporal:
                    continue
                if kind == "attn2" and (k, v) != (1.0, 1.0):
                    stack.enter_context(processed(layer, afresh))
                for part, factor in ((layer.to_q, q), (layer.to_k, k), (layer.to_v, v), (layer, out)):
                    if factor != 1.0:
                        hooked(stack, part.register_forward_hook(_times(factor)))
            yield

    return edit


def _times(factor: float) -> Callable[..., Tensor]:
    return lambda module, args, output: output * factor


def afresh(processor: Any) -> Any:
    """The processor without what it has kept of texts, so that keys changed by an edit are kept nowhere."""
    return TextOnce() if isinstance(processor, TextOnce) else processor


def identity(under: str = "mid_block") -> Edit:
    """Self-attention that sees nothing but the place itself. Ahn et al. 2024, https://arxiv.org/abs/2403.17377, equation 8."""

    def values(layer: Any, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        return projected_out(layer, layer.to_v(hidden_states))

    @contextmanager
    def edit(network: nn.Module) -> Iterator[None]:
        with ExitStack() as stack:
            for _, layer in attentions(network, "attn1", under):
                stack.enter_context(processed(layer, lambda _: values))
            yield

    return edit


def blurred_queries(sigma: float, under: str = "mid_block") -> Edit:
    """Queries of self-attention blurred over the picture; from ``sigma`` 9999 on they are all their mean.

    Hong 2024, https://arxiv.org/abs/2408.00760, Algorithm 1.
    """

    @contextmanager
    def edit(network: nn.Module) -> Iterator[None]:
        with ExitStack() as stack:
            call = watched(stack, network)

            def blur(module: nn.Module, args: tuple[Any, ...], query: Tensor) -> Tensor:
                if sigma >= 9999:
                    return query.mean(dim=1, keepdim=True).expand_as(query)
                grid = call.grid(query.shape[1])
                if sigma <= 0 or grid is None:
                    return query
                picture = query.transpose(1, 2).reshape(query.shape[0], -1, *grid[1:])
                return gaussian_blur(picture, sigma).flatten(2).transpose(1, 2)

            for _, layer in attentions(network, "attn1", under):
                hooked(stack, layer.to_q.register_forward_hook(blur))
            yield

    return edit


def gaussian_blur(picture: Tensor, sigma: float, size: int | None = None) -> Tensor:
    """(B, C, h, w) blurred with an odd kernel of ``size`` (by default 6 sigma), at most the picture, its edges mirrored."""
    size = size or math.ceil(6 * sigma) | 1
    for dim in (2, 3):
        reach = min(size // 2, picture.shape[dim] // 2)
        if reach == 0:
            continue
        x = torch.arange(-reach, reach + 1, device=picture.device, dtype=torch.float32)
        kernel = torch.exp(-0.5 * (x / sigma) ** 2)
        kernel = (kernel / kernel.sum()).to(picture.dtype)
        shape = [1, 1, 1, 1]
        shape[dim] = len(kernel)
        padding = (0, 0, reach, reach) if dim == 2 else (reach, reach, 0, 0)
        channels = picture.shape[1]
        padded = F.pad(picture, padding, mode="reflect")
        picture = F.conv2d(padded, kernel.reshape(shape).expand(channels, 1, *shape[2:]), groups=channels)
    return picture


@dataclass(eq=False)
class Watched:
    """An edit that keeps the attention map of the middle block's first self-attention: (rows, heads, T, T)."""

    weights: list[Tensor] = field(default_factory=list)
    call: Call = field(default_factory=Call)

    @contextmanager
    def __call__(self, network: nn.Module) -> Iterator[None]:
        with ExitStack() as stack:
            self.call = watched(stack, network)
            _, layer = next(attentions(network, "attn1", "mid_block"))

            def look(module: Any, args: tuple[Any, ...]) -> None:
                query, key = (heads(project(args[0]), module.heads) for project in (module.to_q, module.to_k))
                scores = query.float() @ key.float().transpose(-1, -2) * module.scale
                self.weights[:] = [scores.softmax(-1)]

            hooked(stack, layer.register_forward_pre_hook(look))
            yield


@dataclass(frozen=True, eq=False)
class Nag:
    """Normalized attention guidance: an edit with a negative text for each attention to the text.

    z = phi z+ - (phi - 1) z-, no longer (L1 over a place's channels) than tau times z+, then alpha z + (1 - alpha) z+.
    Chen et al. 2025, https://arxiv.org/abs/2505.21179, Algorithm 1. Rows of the negative itself stay as they are: z+ is z-.
    """

    scale: float = 5.0
    alpha: float = 0.5
    tau: float = 1.5
    negative: Conditioning | None = None

    def bound(self, guider: Guider) -> Nag:
        """With the negative of the run, if it was given none."""
        if self.negative is not None:
            return self
        return Nag(self.scale, self.alpha, self.tau, guider.conditionings.get("negative"))

    @contextmanager
    def __call__(self, network: nn.Module) -> Iterator[None]:
        with ExitStack() as stack:
            if self.negative is not None and self.scale != 1.0 and self.alpha != 0.0:
                text = entries(self.negative)[0][0]
                for _, layer in attentions(network, "attn2"):
                    stack.enter_context(processed(layer, lambda before: _NagProcessor(before, self, text)))
            yield


class _NagProcessor:
    """The layer's own attention twice, to the prompt and to the negative, before the projection out."""

    def __init__(self, before: Any, nag: Nag, text: Tensor) -> None:
        self.before, self.nag, self.text = before, nag, text
        self.projected: Tensor | None = None

    def __call__(
        self, layer: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None, **more: Any,
    ) -> Tensor:  # fmt: skip
        if encoder_hidden_states is None:
            result: Tensor = self.before(layer, hidden_states, attention_mask=attention_mask, **more)
            return result
        if self.projected is None:
            self.projected = self.text.to(hidden_states)
        negative = self.projected.expand(hidden_states.shape[0], -1, -1)
        query = heads(layer.to_q(hidden_states), layer.heads)
        mask = None if attention_mask is None else attention_mask[:, None]
        z = normalized(_attend(layer, query, encoder_hidden_states, mask), _attend(layer, query, negative), self.nag)
        return projected_out(layer, z)


def _attend(layer: Any, query: Tensor, text: Tensor, mask: Tensor | None = None) -> Tensor:
    """(B, T, C): what the queries find in a text, before the projection out."""
    key, value = heads(layer.to_k(text), layer.heads), heads(layer.to_v(text), layer.heads)
    seen: Tensor = F.scaled_dot_product_attention(query, key, value, mask).transpose(1, 2).flatten(2)
    return seen


def normalized(positive: Tensor, negative: Tensor, nag: Nag) -> Tensor:
    """NAG's formula on two attention outputs (B, T, C)."""
    z = positive * nag.scale - negative * (nag.scale - 1.0)
    length, most = (torch.linalg.vector_norm(t, ord=1, dim=-1, keepdim=True) for t in (z, positive))
    ratio = length / most.clamp(min=1e-12)
    z = z * (ratio.clamp(max=nag.tau) / ratio.clamp(min=1e-12))
    mixed: Tensor = nag.alpha * z + (1.0 - nag.alpha) * positive
    return mixed
