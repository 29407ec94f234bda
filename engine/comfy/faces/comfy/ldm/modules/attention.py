"""Attention functions."""

from __future__ import annotations

from typing import Any

from engine.comfy.attention import attend
from engine.comfy.finder import missing

__getattr__ = missing(__name__)


def attention_pytorch(
    q: Any, k: Any, v: Any, heads: int, mask: Any = None, attn_precision: Any = None, skip_reshape: bool = False,
    skip_output_reshape: bool = False, **kwargs: Any,
) -> Any:  # fmt: skip
    """(B, T, heads x D), or (B, heads, T, D) with ``skip_reshape``."""
    if skip_reshape:
        q, k, v = (t.transpose(1, 2).flatten(2) for t in (q, k, v))
    out = attend(q, k, v, heads, mask)
    return out.reshape(*out.shape[:2], heads, -1).transpose(1, 2) if skip_output_reshape else out


optimized_attention = attention_pytorch
optimized_attention_masked = attention_pytorch
attention_basic = attention_pytorch
attention_sub_quad = attention_pytorch
attention_split = attention_pytorch


def optimized_attention_for_device(device: Any, mask: bool = False, small_input: bool = False) -> Any:
    return attention_pytorch


def default(value: Any, other: Any) -> Any:
    return value if value is not None else other() if callable(other) else other


def exists(value: Any) -> bool:
    return value is not None
