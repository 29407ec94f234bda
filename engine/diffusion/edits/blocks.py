"""Blocks of a UNet changed: what joins on the way up (FreeU), and the size of the picture inside (deep shrink)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from engine.diffusion.edits.places import EditError, hooked, watched

if TYPE_CHECKING:
    from engine.diffusion.model import Edit

Strengthen = Callable[[Tensor, Tensor, float], Tensor]
"""(backbone, half of its channels, b) -> that half, stronger."""


def freeu(b1: float = 1.1, b2: float = 1.2, s1: float = 0.9, s2: float = 0.2) -> Edit:
    """Half the backbone's channels times b, the skip's low frequencies times s, on the two widest levels.

    Si et al. 2023, https://arxiv.org/abs/2309.11497.
    """
    return _freeu(b1, b2, s1, s2, lambda hidden, half, b: half * b)


def freeu_v2(b1: float = 1.3, b2: float = 1.4, s1: float = 0.9, s2: float = 0.2) -> Edit:
    """The same with b where the backbone is strong and 1 where it is weak: by its channel mean, stretched to 0..1."""

    def strengthen(hidden: Tensor, half: Tensor, b: float) -> Tensor:
        mean = hidden.mean(1, keepdim=True)
        low, high = mean.amin((2, 3), keepdim=True), mean.amax((2, 3), keepdim=True)
        return half * ((b - 1.0) * (mean - low) / (high - low).clamp(min=1e-12) + 1.0)

    return _freeu(b1, b2, s1, s2, strengthen)


def _freeu(b1: float, b2: float, s1: float, s2: float, strengthen: Strengthen) -> Edit:
    @contextmanager
    def edit(network: nn.Module) -> Iterator[None]:
        with ExitStack() as stack:
            width = unet(network).config.block_out_channels[0]
            strengths = {width * 4: (b1, s1), width * 2: (b2, s2)}
            for resnet, channels in joins(network):
                b, s = strengths.get(channels, (1.0, 1.0))
                if (b, s) == (1.0, 1.0):
                    continue

                def join(
                    module: nn.Module, args: tuple[Any, ...], channels: int = channels, b: float = b, s: float = s
                ) -> tuple[Any, ...]:
                    hidden, skip = args[0].split([channels, args[0].shape[1] - channels], dim=1)
                    half, rest = hidden.split([channels // 2, channels - channels // 2], dim=1)
                    return torch.cat([strengthen(hidden, half, b), rest, low_frequencies(skip, s)], dim=1), *args[1:]

                hooked(stack, resnet.register_forward_pre_hook(join))
            yield

    return edit


def low_frequencies(x: Tensor, scale: float, reach: int = 1, others: float = 1.0) -> Tensor:
    """(B, C, h, w) with frequencies below ``reach`` (in cycles over the picture) times ``scale``, the others times ``others``."""
    if scale == others == 1.0:
        return x
    height, width = x.shape[-2:]
    spectrum = torch.fft.fftshift(torch.fft.fftn(x.float(), dim=(-2, -1)), dim=(-2, -1))
    factor = torch.full((height, width), others, device=x.device)
    top, left = max(0, height // 2 - reach), max(0, width // 2 - reach)
    factor[top : height // 2 + reach, left : width // 2 + reach] = scale
    back: Tensor = torch.fft.ifftn(torch.fft.ifftshift(spectrum * factor, dim=(-2, -1)), dim=(-2, -1)).real
    return back.to(x.dtype)


def unet(network: nn.Module) -> Any:
    """``network`` if it is a UNet."""
    if not hasattr(network, "up_blocks") or not hasattr(network, "mid_block"):
        raise EditError("this edit is for UNets (Stable Diffusion 1, 2, XL); the model connected is none of these.")
    return network


def joins(network: nn.Module) -> Iterator[tuple[nn.Module, int]]:
    """The residual blocks of the way up, each with how many of its input channels come from below; the others are the skip's."""
    below = unet(network).mid_block.resnets[-1].out_channels
    for block in unet(network).up_blocks:
        for resnet in block.resnets:
            yield resnet, below
            below = resnet.out_channels


PARTS = {"input": "down_blocks", "middle": "mid_block", "output": "up_blocks"}


def skipped(blocks: str) -> Edit:
    """Transformer blocks left out: "middle.0, output.3" by their numbers in each part of the UNet; ``EditError`` for others.

    As in skip-layer guidance, https://github.com/Stability-AI/sd3.5.
    """

    @contextmanager
    def edit(network: nn.Module) -> Iterator[None]:
        known: dict[str, nn.Module] = {}
        for part, prefix in PARTS.items():
            modules = ((name, module) for name, module in unet(network).named_modules() if name.startswith(prefix))
            inner = (module for _, module in modules if type(module).__name__ == "BasicTransformerBlock")
            known |= {f"{part}.{i}": block for i, block in enumerate(inner)}
        chosen = [name.strip() for name in blocks.split(",") if name.strip()]
        strangers = [name for name in chosen if name not in known]
        if strangers:
            raise EditError(f"blocks {', '.join(strangers)} are not there; this model has {', '.join(known)}.")
        with ExitStack() as stack:
            for name in chosen:
                hooked(stack, known[name].register_forward_hook(_back))
            yield

    return edit


def _back(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
    """What went in."""
    return args[0]


def deep_shrink(
    block_number: int = 3,
    factor: float = 2.0,
    first_timestep: float = 1e9,
    last_timestep: float = -1.0,
    after_skip: bool = True,
    down: str = "bicubic",
    up: str = "bicubic",
) -> Edit:
    """The picture ``factor`` times smaller from input block ``block_number`` on, between two timesteps.

    So a model draws a picture larger than it learnt without drawing its content twice. kohya-ss, "Kohya Deep Shrink"
    (https://gist.github.com/kohya-ss/3f774da220df102548093a7abc8538ed).
    """
    from engine.diffusion.pixels.resize import resize

    @contextmanager
    def edit(network: nn.Module) -> Iterator[None]:
        with ExitStack() as stack:
            call = watched(stack, network)

            def active() -> bool:
                return factor != 1.0 and last_timestep <= call.timestep <= first_timestep

            def smaller(size: Sequence[int]) -> tuple[int, ...]:
                return tuple(max(1, round(length / factor)) for length in size)

            def shrink(x: Tensor) -> Tensor:
                height, width = smaller(x.shape[-2:])
                return resize(x, width, height, down) if active() else x

            def steered(module: nn.Module, args: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
                sizes = _sizes(module, block_number, after_skip, smaller, (call.height, call.width))
                return args, {**named, **_fitted(module, named, sizes)} if active() else named

            def enlarge(x: Tensor, like: Tensor) -> Tensor:
                return x if x.shape[-2:] == like.shape[-2:] else resize(x, like.shape[-1], like.shape[-2], up)

            _shrunk(stack, unet(network), block_number, after_skip, shrink)
            hooked(stack, network.register_forward_pre_hook(steered, with_kwargs=True))
            for block in unet(network).up_blocks:
                _enlarged(stack, block, enlarge)
            yield

    return edit


def _shrunk(stack: ExitStack, network: Any, number: int, after_skip: bool, shrink: Callable[[Tensor], Tensor]) -> None:
    """``shrink`` on what input block ``number`` gives: with its skip, or only what goes on to the next block."""
    inputs = list(input_blocks(network))
    if not 0 < number < len(inputs):
        raise EditError(f"block_number is {number}, but this model's input blocks are 1 to {len(inputs) - 1}.")
    if after_skip:
        follower = inputs[number + 1][0] if number + 1 < len(inputs) else network.mid_block.resnets[0]
        hooked(stack, follower.register_forward_pre_hook(lambda module, args: (shrink(args[0]), *args[1:])))
        return

    def output(module: nn.Module, args: Any, result: Any) -> Any:
        return (shrink(result[0]), *result[1:]) if isinstance(result, tuple) else shrink(result)

    hooked(stack, inputs[number][1].register_forward_hook(output))


def _sizes(
    network: Any, number: int, after_skip: bool, smaller: Callable[[Sequence[int]], tuple[int, ...]], size: tuple[int, ...]
) -> list[tuple[int, ...]]:
    """(height, width) of what each input block gives, then of the middle block."""
    downsamplers = [block.downsamplers[0] for block in network.down_blocks if block.downsamplers is not None]
    sizes: list[tuple[int, ...]] = []
    for i, (first, _) in enumerate(input_blocks(network)):
        size = smaller(size) if after_skip and i == number + 1 else size
        size = tuple(-(-length // 2) for length in size) if any(first is layer for layer in downsamplers) else size
        size = smaller(size) if not after_skip and i == number else size
        sizes.append(size)
    return [*sizes, smaller(size) if after_skip and number == len(sizes) - 1 else size]


def _fitted(network: Any, named: dict[str, Any], sizes: Sequence[tuple[int, ...]]) -> dict[str, Any]:
    """What ControlNets and T2I-Adapters add, at the sizes the blocks have: a tensor a skip, one a level, one for the middle."""
    levels, block = [], 0
    for level in network.down_blocks:
        block += len(level.resnets)
        at = block + (level.downsamplers is not None)
        levels.append(sizes[block if getattr(level, "attentions", None) else at])  # where diffusers adds it
        block = at
    places = {
        "down_block_additional_residuals": sizes[:-1], "mid_block_additional_residual": sizes[-1:],
        "down_intrablock_additional_residuals": [*levels, sizes[-1]],
    }  # fmt: skip

    def fit(x: Tensor, size: tuple[int, ...]) -> Tensor:
        same = x.ndim < 4 or x.shape[-2:] == torch.Size(size)
        return x if same else torch.nn.functional.interpolate(x, size=size, mode="bilinear", antialias=True)

    fitted: dict[str, Any] = {}
    for name, wanted in places.items():
        given = named.get(name)
        if isinstance(given, Tensor):
            fitted[name] = fit(given, wanted[0])
        elif given is not None:
            fitted[name] = type(given)(fit(x, size) for x, size in zip(given, wanted, strict=False))
    return fitted


def input_blocks(network: Any) -> Iterator[tuple[nn.Module, nn.Module]]:
    """The input blocks as the original UNet counts them, 0 being the first convolution: (first layer, last layer) of each."""
    yield network.conv_in, network.conv_in
    for block in network.down_blocks:
        attentions = getattr(block, "attentions", None) or block.resnets
        yield from zip(block.resnets, attentions, strict=True)
        if block.downsamplers is not None:
            yield block.downsamplers[0], block.downsamplers[0]


def _enlarged(stack: ExitStack, block: Any, enlarge: Callable[[Tensor, Tensor], Tensor]) -> None:
    """What comes from below is as large as the skip it meets: before the first residual block, and after each but the last."""
    skips: list[Tensor] = []
    last_layers = list(getattr(block, "attentions", None) or block.resnets)

    def enter(module: nn.Module, args: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        skips[:] = named["res_hidden_states_tuple"]
        return args, {**named, "hidden_states": enlarge(named["hidden_states"], skips.pop())}

    def leave(module: nn.Module, args: Any, result: Any) -> Any:
        if not skips:
            return result
        like = skips.pop()
        return (enlarge(result[0], like), *result[1:]) if isinstance(result, tuple) else enlarge(result, like)

    hooked(stack, block.register_forward_pre_hook(enter, with_kwargs=True))
    hooked(stack, *(layer.register_forward_hook(leave) for layer in last_layers))
