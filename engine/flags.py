"""The command line: settings as flags, one sub-command a file in engine/commands. Loads nothing else, so that --help is quick."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args, get_origin, get_type_hints

from engine.settings import Settings

# Flags of ComfyUI that scripts pass and that decide nothing here: memory, precision and devices are planned, not flagged.
IGNORED_FLAGS = """
--gpu-only --highvram --normalvram --lowvram --novram --force-fp16 --force-fp32 --fp32-unet --fp64-unet --bf16-unet
--fp16-unet --fp8_e4m3fn-unet --fp8_e5m2-unet --fp16-vae --fp32-vae --bf16-vae --cpu-vae --fp16-text-enc --fp32-text-enc
--bf16-text-enc --force-channels-last --disable-ipex-optimize --use-split-cross-attention --use-quad-cross-attention
--use-pytorch-cross-attention --use-sage-attention --use-flash-attention --disable-xformers --force-upcast-attention
--dont-upcast-attention --disable-smart-memory --deterministic --fast --mmap-torch-files --disable-mmap
--disable-dynamic-vram --windows-standalone-build --disable-api-nodes --disable-auto-launch
--supports-fp8-compute --async-offload --enable-manager --disable-manager-ui
--force-non-blocking --default-hashing-function --cuda-malloc --disable-cuda-malloc --offline
"""
IGNORED = frozenset(IGNORED_FLAGS.split())
IGNORED_WITH_VALUE = frozenset({
    "--cuda-device", "--default-device", "--reserve-vram", "--preview-size", "--directml", "--oneapi-device-selector",
    "--front-end-version", "--comfy-api-base", "--vram-headroom",
})  # fmt: skip


class Parser(argparse.ArgumentParser):
    """Says the nearest known flag when it does not know one."""

    def __init__(self, **given: Any) -> None:
        super().__init__(allow_abbrev=False, **given)

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        found, unknown = self.parse_known_args(without_ignored(arguments))
        if unknown:
            self.unknown(next((word for word in unknown if word.startswith("-")), unknown[0]))
        return found

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\nTry {self.prog} --help.\n")

    def unknown(self, word: str) -> NoReturn:
        flag = word.partition("=")[0]
        known = [name for action in self._actions for name in action.option_strings if name.startswith("--")]
        near = difflib.get_close_matches(flag, known, 1, 0.5)
        hint = f"; did you mean {near[0]}?" if near and flag.startswith("-") else ""
        self.error(f"unknown {'flag' if flag.startswith('-') else 'argument'} {flag}{hint}")


def without_ignored(arguments: Sequence[str]) -> list[str]:
    """The arguments but for those that only ComfyUI needs."""
    kept: list[str] = []
    skip = False
    for word in arguments:
        name, has_value, _ = word.partition("=")
        if skip and not word.startswith("-"):
            skip = False
        elif name in IGNORED_WITH_VALUE:
            skip = not has_value
        elif name not in IGNORED:
            skip = False
            kept.append(word)
    return kept


def add_settings(parser: argparse.ArgumentParser) -> None:
    """A flag for every field of Settings, and --config for the file that sets them."""
    group = parser.add_argument_group("settings", "also environment variables (LOOM_PORT) and keys of loom.toml")
    group.add_argument("--config", type=Path, metavar="FILE", help="read settings from this file instead of loom.toml")
    hints = get_type_hints(Settings)
    for field in dataclasses.fields(Settings):
        flag, hint = f"--{field.name.replace('_', '-')}", hints[field.name]
        about, metavar, alone = field.metadata["help"], field.metadata["metavar"], field.metadata["alone"]
        hint = (
            next((part for part in get_args(hint) if part is not type(None)), hint) if isinstance(hint, types.UnionType) else hint
        )
        options: dict[str, Any] = {"default": None, "help": _with_default(about, field.default), "dest": field.name}
        if hint is bool:
            options["action"] = argparse.BooleanOptionalAction if field.default is None else "store_true"
        elif get_origin(hint) is Literal:
            options["choices"] = get_args(hint)
        elif field.metadata["many"]:
            options |= {"nargs": "*", "action": "extend", "metavar": metavar}
        else:
            options["metavar"] = metavar
        if alone is not None:
            options |= {"nargs": "?", "const": alone}
        group.add_argument(flag, **options)


def setting_flags(arguments: argparse.Namespace) -> Mapping[str, Any]:
    """What the command line set, by the name of the setting."""
    return {field.name: getattr(arguments, field.name, None) for field in dataclasses.fields(Settings)}


def _with_default(about: str, default: Any) -> str:
    shown = isinstance(default, str | int | float) and not isinstance(default, bool)
    return f"{about} ({default})" if shown and default != "" else about
