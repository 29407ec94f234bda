"""Block patches of packs on a diffusers UNet, at the places the original layout counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from torch import nn

from engine.diffusion.edits.blocks import input_blocks, joins
from engine.diffusion.edits.places import hooked

KINDS = ("input_block_patch", "input_block_patch_after_skip", "output_block_patch")


def patch_blocks(stack: ExitStack, network: Any, options: Mapping[str, Any], told: Callable[[Any], dict[str, Any]]) -> None:
    """``input_block_patch(h, options)`` and ``output_block_patch(h, skip, options)`` until ``stack`` closes.

    ``told(rows)`` are the options of a call. Networks that are no UNets have no such places.
    """
    patches = options.get("patches", {})
    if not any(patches.get(kind) for kind in KINDS) or not hasattr(network, "up_blocks") or not hasattr(network, "conv_in"):
        return
    blocks = list(input_blocks(network))
    for number, (_, last) in enumerate(blocks):
        if before := patches.get("input_block_patch"):
            hooked(stack, last.register_forward_hook(_output(_chain(before, ("input", number), told))))
        if after := patches.get("input_block_patch_after_skip"):
            follower = blocks[number + 1][0] if number + 1 < len(blocks) else network.mid_block.resnets[0]
            hooked(stack, follower.register_forward_pre_hook(_entry(_chain(after, ("input", number), told))))
    if out := patches.get("output_block_patch"):
        for number, (resnet, channels) in enumerate(joins(network)):
            hooked(stack, resnet.register_forward_pre_hook(_join(out, channels, ("output", number), told)))


def _chain(patches: list[Any], block: tuple[str, int], told: Callable[[Any], dict[str, Any]]) -> Callable[[Any], Any]:
    def change(h: Any) -> Any:
        options = {**told(h), "block": block}
        for patch in patches:
            h = patch(h, options)
        return h

    return change


def _output(change: Callable[[Any], Any]) -> Callable[..., Any]:
    def hook(module: nn.Module, args: Any, result: Any) -> Any:
        return (change(result[0]), *result[1:]) if isinstance(result, tuple) else change(result)

    return hook


def _entry(change: Callable[[Any], Any]) -> Callable[..., Any]:
    def hook(module: nn.Module, args: Any) -> Any:
        return (change(args[0]), *args[1:])

    return hook


def _join(patches: list[Any], channels: int, block: tuple[str, int], told: Callable[[Any], dict[str, Any]]) -> Callable[..., Any]:
    """Where what comes from below meets its skip, joined in one tensor."""

    def hook(module: nn.Module, args: Any) -> Any:
        import torch

        h, skip = args[0].split([channels, args[0].shape[1] - channels], dim=1)
        options = {**told(h), "block": block}
        for patch in patches:
            h, skip = patch(h, skip, options)
        return (torch.cat([h, skip], dim=1), *args[1:])

    return hook
