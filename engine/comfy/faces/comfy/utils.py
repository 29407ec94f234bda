"""Helpers packs lean on: reading tensors, resizing, tiling, progress."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.comfy.finder import missing
from engine.comfy.progress import report
from engine.comfy.tensor_files import FileTensors

if TYPE_CHECKING:
    from torch import Tensor

__getattr__ = missing(__name__)
PROGRESS_BAR_ENABLED = True
PROGRESS_BAR_HOOK: Callable[..., Any] | None = None
MMAP_TORCH_FILES = False
DISABLE_MMAP = False


def set_progress_bar_enabled(enabled: bool) -> None:
    """Whether samplers print bars of their own: ours never do."""
    global PROGRESS_BAR_ENABLED
    PROGRESS_BAR_ENABLED = enabled


def set_progress_bar_global_hook(function: Callable[..., Any] | None) -> None:
    """``function(value, total, preview, node_id=...)`` is called at each update, beside telling clients."""
    global PROGRESS_BAR_HOOK
    PROGRESS_BAR_HOOK = function


class ProgressBar:
    """Progress of the node at work, or of the node that is named."""

    def __init__(self, total: float, node_id: str | None = None) -> None:
        self.total, self.current, self.node_id = total, 0.0, node_id
        self.hook = PROGRESS_BAR_HOOK

    def update_absolute(self, value: float, total: float | None = None, preview: Any = None) -> None:
        if total is not None:
            self.total = total
        self.current = min(value, self.total)
        report(self.current, self.total, preview, self.node_id)
        if self.hook is not None:
            self.hook(self.current, self.total, preview, node_id=self.node_id)

    def update(self, value: float) -> None:
        self.update_absolute(self.current + value)


def load_torch_file(ckpt: str, safe_load: bool = False, device: Any = None, return_metadata: bool = False) -> Any:
    """The tensors of a model file by name; pickles are read by torch's weights-only loader or not at all."""
    from engine.diffusion.containers import read_tensors

    found = read_tensors(Path(ckpt))
    given = found.tensors
    if device is not None and str(device) != "cpu":
        given = {name: tensor.to(device) for name, tensor in given.items()}
    tensors = FileTensors.read(Path(ckpt), given)
    return (tensors, dict(found.metadata)) if return_metadata else tensors


def safetensors_header(safetensors_path: str, max_size: int = 100 << 20) -> bytes | None:
    """The JSON at the beginning of a file; None if it is longer than ``max_size`` or not there."""
    with open(safetensors_path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(length) if length <= max_size else b""
    return header if len(header) == length else None


def save_torch_file(sd: Mapping[str, Any], ckpt: str, metadata: Mapping[str, str] | None = None) -> None:
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in sd.items()}, ckpt, metadata=dict(metadata) if metadata else None)


def calculate_parameters(sd: Mapping[str, Tensor], prefix: str = "") -> int:
    return sum(tensor.nelement() for name, tensor in sd.items() if name.startswith(prefix))


def weight_dtype(sd: Mapping[str, Tensor], prefix: str = "") -> Any:
    """The type most of the numbers are in."""
    counts: dict[Any, int] = {}
    for name, tensor in sd.items():
        if name.startswith(prefix):
            counts[tensor.dtype] = counts.get(tensor.dtype, 0) + tensor.numel()
    return max(counts, key=lambda dtype: counts[dtype]) if counts else None


def state_dict_key_replace(state_dict: MutableMapping[str, Any], keys_to_replace: Mapping[str, str]) -> MutableMapping[str, Any]:
    """Rename the keys that are there, in place."""
    for old, new in keys_to_replace.items():
        if old in state_dict:
            state_dict[new] = state_dict.pop(old)
    return state_dict


def state_dict_prefix_replace(
    state_dict: MutableMapping[str, Any], replace_prefix: Mapping[str, str], filter_keys: bool = False
) -> MutableMapping[str, Any]:
    """Rename prefixes, in place, or into a new dict of those alone."""
    into: MutableMapping[str, Any] = {} if filter_keys else state_dict
    for old, new in replace_prefix.items():
        for name in [name for name in state_dict if name.startswith(old)]:
            into[new + name[len(old) :]] = state_dict.pop(name)
    return into


def _owner(obj: Any, attr: str) -> tuple[Any, str]:
    *above, last = attr.split(".")
    for name in above:
        obj = getattr(obj, name)
    return obj, last


def get_attr(obj: Any, attr: str) -> Any:
    """An attribute at the end of a dotted path."""
    owner, name = _owner(obj, attr)
    return getattr(owner, name)


def set_attr(obj: Any, attr: str, value: Any) -> Any:
    """Set it; what was there before."""
    owner, name = _owner(obj, attr)
    before = getattr(owner, name)
    setattr(owner, name, value)
    return before


def set_attr_param(obj: Any, attr: str, value: Any) -> Any:
    import torch

    return set_attr(obj, attr, torch.nn.Parameter(value, requires_grad=False))


def copy_to_param(obj: Any, attr: str, value: Tensor) -> None:
    get_attr(obj, attr).data.copy_(value)


def repeat_to_batch_size(tensor: Tensor, batch_size: int, dim: int = 0) -> Tensor:
    """Cut or repeated to ``batch_size`` along ``dim``."""
    have = tensor.shape[dim]
    if have < batch_size:
        times = [1] * tensor.ndim
        times[dim] = math.ceil(batch_size / have)
        tensor = tensor.repeat(times)
    return tensor.narrow(dim, 0, batch_size)


def resize_to_batch_size(tensor: Tensor, batch_size: int) -> Tensor:
    """As many rows, spread evenly over those there are, ends kept."""
    import torch

    have = tensor.shape[0]
    if have == batch_size:
        return tensor
    if batch_size <= 1:
        return tensor[:batch_size]
    rows = torch.arange(batch_size, device=tensor.device)
    if batch_size < have:
        scaled = rows * ((have - 1) / (batch_size - 1))
    else:
        scaled = (rows + 0.5) * (have / batch_size) - 0.5
    return tensor[scaled.round().long().clamp(0, have - 1)]


def common_upscale(samples: Tensor, width: int, height: int, upscale_method: str, crop: str) -> Tensor:
    """(B, C, ..., H, W) at another size; ``crop`` "center" keeps the proportions and cuts the rest away."""
    from engine.diffusion.pixels.resize import resize

    return resize(samples, width, height, upscale_method, crop)


def lanczos(samples: Tensor, width: int, height: int) -> Tensor:
    """By PIL's filter."""
    return common_upscale(samples, width, height, "lanczos", "disabled")


def bislerp(samples: Tensor, width: int, height: int) -> Tensor:
    """Resized with directions turned and lengths blended, which latents bear better than plain interpolation."""
    return common_upscale(samples, width, height, "bislerp", "disabled")


def get_tiled_scale_steps(width: int, height: int, tile_x: int, tile_y: int, overlap: int) -> int:
    across = 1 if width <= tile_x else math.ceil((width - overlap) / (tile_x - overlap))
    down = 1 if height <= tile_y else math.ceil((height - overlap) / (tile_y - overlap))
    return across * down


def _starts(size: int, tile: int, overlap: int) -> list[int]:
    if size <= tile:
        return [0]
    return [min(start, size - tile) for start in range(0, size - overlap, tile - overlap)]


def _tiles(shape: tuple[int, ...], tile: tuple[int, ...], overlap: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    return product(*(_starts(size, t, o) for size, t, o in zip(shape, tile, overlap, strict=True)))


def tiled_scale_multidim(
    samples: Tensor,
    function: Callable[[Tensor], Tensor],
    tile: tuple[int, ...] = (64, 64),
    overlap: Any = 8,
    upscale_amount: Any = 4,
    out_channels: int = 3,
    output_device: Any = "cpu",
    downscale: bool = False,
    index_formulas: Any = None,
    pbar: ProgressBar | None = None,
) -> Tensor:
    """``function`` of overlapping tiles, faded into each other; each dimension grows by its ``upscale_amount``."""
    import torch

    dims = len(tile)
    overlaps = tuple(overlap) if isinstance(overlap, list | tuple) else (overlap,) * dims
    amounts = tuple(upscale_amount) if isinstance(upscale_amount, list | tuple) else (upscale_amount,) * dims
    factors = [1 / a if downscale else a for a in amounts]
    size = [round(n * f) for n, f in zip(samples.shape[2:], factors, strict=True)]
    output = torch.empty((samples.shape[0], out_channels, *size), device=output_device)
    for b in range(samples.shape[0]):
        out = torch.zeros((1, out_channels, *size), device=output_device)
        weight = torch.zeros((1, 1, *size), device=output_device)
        for start in _tiles(tuple(samples.shape[2:]), tile, overlaps):
            part = samples[b : b + 1]
            for d, at in enumerate(start):
                part = part.narrow(d + 2, at, min(tile[d], samples.shape[d + 2]))
            piece = function(part).to(output_device)
            mask = torch.ones((1, 1, *piece.shape[2:]), device=output_device)
            for d, factor in enumerate(factors):
                feather = round(overlaps[d] * factor)
                for t in range(min(feather, mask.shape[d + 2])):
                    share = (t + 1) / feather
                    if start[d] > 0:
                        mask.narrow(d + 2, t, 1).mul_(share)
                    if start[d] + tile[d] < samples.shape[d + 2]:
                        mask.narrow(d + 2, mask.shape[d + 2] - 1 - t, 1).mul_(share)
            place, weights = out, weight
            for d, at in enumerate(start):
                place = place.narrow(d + 2, round(at * factors[d]), piece.shape[d + 2])
                weights = weights.narrow(d + 2, round(at * factors[d]), piece.shape[d + 2])
            place.add_(piece * mask)
            weights.add_(mask)
            if pbar is not None:
                pbar.update(1)
        output[b : b + 1] = out / weight
    return output


def tiled_scale(
    samples: Tensor,
    function: Callable[[Tensor], Tensor],
    tile_x: int = 64,
    tile_y: int = 64,
    overlap: int = 8,
    upscale_amount: float = 4,
    out_channels: int = 3,
    output_device: Any = "cpu",
    pbar: ProgressBar | None = None,
) -> Tensor:
    return tiled_scale_multidim(
        samples, function, (tile_y, tile_x), overlap, upscale_amount, out_channels, output_device, pbar=pbar
    )


def reshape_mask(input_mask: Tensor, output_shape: tuple[int, ...]) -> Tensor:
    """A mask at the size of a latent, repeated over its channels and batch."""
    import torch.nn.functional as F

    dims = len(output_shape) - 2
    if dims == 1:
        mode, mask = "linear", input_mask
    elif dims == 2:
        mode, mask = "bilinear", input_mask.reshape(-1, 1, *input_mask.shape[-2:])
    else:
        mode = "trilinear"
        mask = input_mask if input_mask.ndim == 5 else input_mask.reshape(1, 1, -1, *input_mask.shape[-2:])
    mask = F.interpolate(mask, size=output_shape[2:], mode=mode)
    if mask.shape[1] < output_shape[1]:
        mask = mask.repeat(1, output_shape[1], *[1] * dims)[:, : output_shape[1]]
    return repeat_to_batch_size(mask, output_shape[0])
