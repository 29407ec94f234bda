"""Layers whose weights are made without being filled, and layers that cast them for each call."""

from __future__ import annotations

from typing import Any

from torch import nn

from engine.comfy.finder import missing

__getattr__ = missing(__name__)


class CastWeightBiasOp:
    """Marks layers that cast their weights."""

    comfy_cast_weights = False
    weight_function: Any = ()
    bias_function: Any = ()


def cast_bias_weight(s: Any, input: Any = None, dtype: Any = None, device: Any = None, bias_dtype: Any = None) -> tuple[Any, Any]:
    """(weight, bias) as ``input`` needs them."""
    dtype = input.dtype if input is not None else dtype
    device = input.device if input is not None else device
    bias = s.bias.to(device, bias_dtype or dtype) if s.bias is not None else None
    return s.weight.to(device, dtype), bias


def cast_to_input(weight: Any, input: Any, non_blocking: bool = False, copy: bool = True) -> Any:
    return weight.to(input)


def _layers(name: str, casts: bool) -> type[Any]:
    """A namespace of torch's layers: none fills its weights, and with ``casts`` each works in its input's type."""

    def make(base: Any) -> Any:
        def reset_parameters(self: Any) -> None:
            return None

        def forward(self: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
            weight = getattr(self, "weight", None)
            if weight is None or (weight.dtype == x.dtype and weight.device == x.device):
                return base.forward(self, x, *args, **kwargs)
            cast, bias = cast_bias_weight(self, x)
            return _call(self, base, x, cast, bias)

        own: dict[str, Any] = {"reset_parameters": reset_parameters, "comfy_cast_weights": casts}
        if casts:
            own["forward"] = forward
        return type(base.__name__, (base, CastWeightBiasOp), own)

    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.GroupNorm, nn.LayerNorm, nn.ConvTranspose1d, nn.ConvTranspose2d)
    found = {kind.__name__: make(kind) for kind in kinds}
    found["Embedding"] = type("Embedding", (nn.Embedding,), {"reset_parameters": lambda self: None})

    def conv_nd(cls: Any, dims: int, *args: Any, **kwargs: Any) -> Any:
        return {1: found["Conv1d"], 2: found["Conv2d"], 3: found["Conv3d"]}[dims](*args, **kwargs)

    return type(name, (), {**found, "conv_nd": classmethod(conv_nd)})


def _call(layer: Any, base: Any, x: Any, weight: Any, bias: Any) -> Any:
    import torch.nn.functional as F

    if base is nn.Linear:
        return F.linear(x, weight, bias)
    if base is nn.GroupNorm:
        return F.group_norm(x, layer.num_groups, weight, bias, layer.eps)
    if base is nn.LayerNorm:
        return F.layer_norm(x, layer.normalized_shape, weight, bias, layer.eps)
    if base in (nn.Conv1d, nn.Conv2d, nn.Conv3d):
        return layer._conv_forward(x, weight, bias)
    return base.forward(layer.to(x), x)


disable_weight_init = _layers("disable_weight_init", casts=False)
manual_cast = _layers("manual_cast", casts=True)


def pick_operations(weight_dtype: Any, compute_dtype: Any, *args: Any, **kwargs: Any) -> Any:
    return disable_weight_init if compute_dtype is None or weight_dtype == compute_dtype else manual_cast
