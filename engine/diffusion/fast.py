"""What makes a placed network faster on a processor without changing what it says: cheaper convolutions, text projected once."""

from __future__ import annotations

import weakref
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.diffusion.patched_weight import computed
from engine.diffusion.winograd import conv3x3, kernel_transform

WINOGRAD_PIXELS = 24 * 24
"""From this size on the transformed kernels, four times as large, are worth their memory ..."""

WINOGRAD_NUMBERS = 8 << 20
"""... unless there are more numbers than this in the kernels as they are."""

BAND, BANDS_FROM = 128, 1024
"""Queries of a band, whose scores for 4096 keys stay in the second cache, and the number of keys from which bands pay."""

COMPILED = ("FeedForward", "ResnetBlock2D")
"""Classes of diffusers' blocks that are worth the compiler's time."""


def prepare(module: nn.Module) -> None:
    """Give the layers of a network on the CPU their faster forms, in place; its weights stay as they are."""
    for layer in module.modules():
        if type(layer) is nn.Conv2d and layer.weight.is_floating_point():
            plain = layer.kernel_size == (3, 3) and layer.stride == (1, 1) and layer.padding == (1, 1) and layer.groups == 1
            wide = min(layer.in_channels, layer.out_channels) >= 32 and layer.dilation == (1, 1)
            layer.__class__ = Pointwise if layer.kernel_size == (1, 1) else Winograd if plain and wide else Widened
        elif type(layer) is nn.Linear:
            layer.__class__ = WidenedLinear
        elif getattr(layer, "time_emb_proj", layer) is None and isinstance(getattr(layer, "nonlinearity", None), nn.SiLU):
            layer.nonlinearity = nn.SiLU(inplace=True)  # after a norm, whose result nobody else sees
    project_once(module)


def project_once(module: nn.Module) -> None:
    """Have every attention layer project a text once, and compute in float32 where it asks for that; diffusers' own does not."""
    processors: Any = getattr(module, "attn_processors", {})
    for name in processors:
        module.get_submodule(name.removesuffix(".processor")).processor = TextOnce()  # type: ignore[assignment]


def prepare_compiled(module: nn.Module) -> None:
    """The same, and blocks that repeat go through torch's compiler: ten seconds to minutes at the first picture of each size.

    In float32 on the CPU the time is in products the compiler cannot better (measured: no gain), so nothing is compiled there.
    """
    first = next(module.parameters())
    if first.device.type == "cpu":
        prepare(module)
    if first.device.type != "cpu" or first.dtype != torch.float32:
        for layer in module.modules():
            if type(layer).__name__ in COMPILED:
                layer.compile()


class Widened(nn.Conv2d):
    """A convolution whose weight may be stored in half the bits; it is widened for each call, which costs some 2 %."""

    def forward(self, input: Tensor) -> Tensor:
        result: Tensor = self._conv_forward(input, computed(self.weight).to(input.dtype), _like(self.bias, input))
        return result


class Pointwise(Widened):
    """A 1x1 convolution as the matrix product it is in channels_last."""

    def forward(self, input: Tensor) -> Tensor:
        if self.stride != (1, 1) or self.groups != 1 or self.padding != (0, 0):
            return super().forward(input)
        weight = computed(self.weight).to(input.dtype).flatten(1)
        return F.linear(input.movedim(1, -1), weight, _like(self.bias, input)).movedim(-1, 1)


class WidenedLinear(nn.Linear):
    """The same for a matrix."""

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, computed(self.weight).to(input.dtype), _like(self.bias, input))


class Winograd(Widened):
    """A 3x3 convolution that transforms its kernels at the first large picture, and keeps them transformed."""

    kernel: Tensor | None = None

    def forward(self, input: Tensor) -> Tensor:
        small = input.shape[-1] * input.shape[-2] < WINOGRAD_PIXELS
        if small or input.dtype != torch.float32 or self.weight.numel() > WINOGRAD_NUMBERS:
            return super().forward(input)
        if self.kernel is None:
            object.__setattr__(self, "kernel", kernel_transform(computed(self.weight)))
        assert self.kernel is not None
        return conv3x3(input, self.kernel, _like(self.bias, input))


def _like(bias: Tensor | None, input: Tensor) -> Tensor | None:
    return None if bias is None else bias.to(input.dtype)


class TextOnce:
    """An attention processor of diffusers' that projects a text to keys and values once, not at every step.

    A text is known by its tensor: a run hands the network the very same one each time.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[Tensor], Tensor, Tensor]] = {}

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None, temb: Tensor | None = None, **_: Any,
    ) -> Tensor:
        residual, shape = hidden_states, hidden_states.shape
        if hidden_states.ndim == 4:
            hidden_states = hidden_states.flatten(2).transpose(1, 2)
        if attn.group_norm is not None:
            hidden_states = attn.group_norm(hidden_states.transpose(1, 2)).transpose(1, 2)
        query = _heads(attn.to_q(hidden_states), attn.heads)
        key, value = self._text(attn, encoder_hidden_states) if encoder_hidden_states is not None else _pair(attn, hidden_states)
        if attention_mask is not None:
            attention_mask = attn.prepare_attention_mask(attention_mask, key.shape[2], key.shape[0])
            attention_mask = attention_mask.view(key.shape[0], attn.heads, -1, attention_mask.shape[-1])
        wide = torch.float32 if attn.upcast_attention else query.dtype
        mask = attention_mask.to(wide) if attention_mask is not None and attention_mask.is_floating_point() else attention_mask
        mixed = attention(query.to(wide), key.to(wide), value.to(wide), mask).to(query.dtype)
        out: Tensor = attn.to_out[0](mixed.transpose(1, 2).flatten(2))
        if len(shape) == 4:
            out = out.transpose(1, 2).reshape(shape)
        if attn.residual_connection:
            out = out + residual
        return out if attn.rescale_output_factor == 1 else out.div(attn.rescale_output_factor)

    def _text(self, attn: Any, text: Tensor) -> tuple[Tensor, Tensor]:
        known = self._known.get(id(text))
        if known is None or known[0]() is not text:
            self._known = {number: entry for number, entry in self._known.items() if entry[0]() is not None}
            normed = attn.norm_encoder_hidden_states(text) if attn.norm_cross else text
            known = self._known[id(text)] = (weakref.ref(text), *_pair(attn, normed))
        return known[1], known[2]


def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """Attention of (B, H, N, D) to (B, H, M, D). Long ones in bfloat16 on the CPU go by bands of scores through the matrix unit.

    torch's kernel computes those in float32 inside, at two thirds of the speed; the bands' rounding is 0.5 % of the result in
    place of 0.2 %. Rabe & Staats 2021, https://arxiv.org/abs/2112.05682, section 2, with whole rows.
    """
    long = query.device.type == "cpu" and query.dtype == torch.bfloat16 and mask is None and key.shape[2] >= BANDS_FROM
    if not long:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    scaled, transposed = (query * query.shape[-1] ** -0.5).contiguous(), key.transpose(2, 3)
    out, bands = torch.empty_like(scaled), -(-scaled.shape[2] // BAND)
    for image, head in product(range(out.shape[0]), range(out.shape[1])):
        of_head, into_head = (tensor[image, head].tensor_split(bands) for tensor in (scaled, out))
        for band, into in zip(of_head, into_head, strict=True):
            torch.mm(torch.softmax(torch.mm(band, transposed[image, head]), -1), value[image, head], out=into)
    return out


def _pair(attn: Any, source: Tensor) -> tuple[Tensor, Tensor]:
    return _heads(attn.to_k(source), attn.heads), _heads(attn.to_v(source), attn.heads)


def _heads(x: Tensor, heads: int) -> Tensor:
    return x.view(*x.shape[:-1], heads, -1).transpose(1, 2)
