"""The newest version of the interface."""

from __future__ import annotations

from typing import Any

from engine.comfy.faces.comfy_api.latest import io, ui
from engine.comfy.faces.comfy_api.latest._caching import Caching
from engine.comfy.finder import missing
from engine.comfy.host import host
from engine.comfy.progress import report

__all__ = ["IO", "UI", "Caching", "ComfyAPI", "ComfyAPISync", "ComfyExtension", "io", "ui"]
__getattr__ = missing(__name__)
IO, UI = io, ui


class ComfyExtension:
    """A pack: ``get_node_list`` names its classes."""

    async def on_load(self) -> None:
        """Called once, before the classes are asked for."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        raise NotImplementedError


class Execution:
    """What a node may tell while it runs."""

    async def set_progress(
        self,
        value: float,
        max_value: float,
        node_id: str | None = None,
        preview_image: Any = None,
        ignore_size_limit: bool = False,
    ) -> None:
        report(value, max_value, preview_image, node_id)


class ExecutionSync:
    """The same for functions that are not ``async``."""

    def set_progress(
        self,
        value: float,
        max_value: float,
        node_id: str | None = None,
        preview_image: Any = None,
        ignore_size_limit: bool = False,
    ) -> None:
        report(value, max_value, preview_image, node_id)


class NodeReplacement:
    async def register(self, node_replace: io.NodeReplace) -> None:
        """The editor offers the new type for the old."""
        host().replacements.setdefault(node_replace.old_node_id, []).append(node_replace.as_dict())


class ComfyAPI:
    """The interface, for ``async`` functions."""

    VERSION = "latest"

    def __init__(self) -> None:
        self.execution = Execution()
        self.caching = Caching()
        self.node_replacement = NodeReplacement()


class ComfyAPISync:
    """The interface, for others."""

    VERSION = "latest"

    def __init__(self) -> None:
        self.execution = ExecutionSync()
