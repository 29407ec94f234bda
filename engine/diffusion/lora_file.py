"""A LoRA file read, with the scales that peft and diffusers write beside the weights and not among them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from engine.diffusion.containers import read_tensors
from engine.diffusion.lora_names import modules
from engine.diffusion.parts import Tensors

Config = Mapping[str, Any]
"""What peft calls an adapter's config: r, lora_alpha ..."""


def read_lora(path: Path) -> Tensors:
    """The tensors of a LoRA file, each module's alpha among them also where the file says it in its metadata (diffusers) or its
    folder in ``adapter_config.json`` (peft)."""
    file = read_tensors(path)
    configs = list(_in_metadata(file.metadata))
    beside = path.with_name("adapter_config.json")
    if path.stem == "adapter_model" and beside.is_file():
        configs.append(("", _json(beside.read_text("utf-8"))))
    return scaled(file.tensors, configs)


def _in_metadata(metadata: Mapping[str, str]) -> Iterable[tuple[str, Config]]:
    """(how the names of its modules begin, config) for each network that diffusers' metadata tells of."""
    by_prefix: dict[str, dict[str, Any]] = {}
    for name, value in _json(metadata.get("lora_adapter_metadata", "{}")).items():
        prefix, _, key = name.partition(".")
        by_prefix.setdefault(prefix + ".", {})[key] = value
    return by_prefix.items()


def _json(text: str) -> dict[str, Any]:
    """The object a text holds; empty if it holds none."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def scaled(tensors: Tensors, configs: Iterable[tuple[str, Config]]) -> Tensors:
    """The tensors with an alpha for each module a config is for and that has none of its own."""
    more: dict[str, Any] = {}
    for prefix, config in configs:
        for module, pieces in modules(tensors)[0].items():
            rank = _rank(pieces)
            alpha = _alpha(config, module) if module.startswith(prefix) and "alpha" not in pieces else None
            if alpha is None or rank is None:
                continue
            if config.get("use_rslora"):
                alpha *= math.sqrt(rank)
            if "kr1" in pieces and "kr2" in pieces:  # peft scales these too, LyCORIS does not
                name = next(name for name in tensors if tensors[name] is pieces["kr1"])
                more[name] = pieces["kr1"].float() * (alpha / (config.get("r") or alpha))
            more[f"{module}.alpha"] = torch.tensor(alpha)
    return {**tensors, **more} if more else tensors


def _rank(pieces: Tensors) -> int | None:
    found = next((pieces[name] for name in ("down", "w1_b", "kr1", "kr1_b", "kr2_b") if name in pieces), None)
    return None if found is None else found.shape[0]


def _alpha(config: Config, module: str) -> float | None:
    """The module's alpha: of the first pattern its name ends in, or the one of all."""
    patterns = config.get("alpha_pattern") or {}
    default = config.get("lora_alpha", config.get("alpha"))
    found = next((alpha for pattern, alpha in patterns.items() if re.match(rf"(.*\.)?({pattern})$", module)), default)
    return float(found) if isinstance(found, int | float) else None
