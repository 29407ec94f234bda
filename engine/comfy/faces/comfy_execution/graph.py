"""What nodes that rewrite graphs import."""

from __future__ import annotations

from engine.comfy.faces.comfy_execution.graph_utils import ExecutionBlocker, is_link
from engine.comfy.finder import missing
from engine.comfy.prompts import DynamicPrompt, NodeNotFoundError

__all__ = ["DynamicPrompt", "ExecutionBlocker", "NodeNotFoundError", "is_link"]
__getattr__ = missing(__name__)


class NodeInputError(Exception):
    """An input that cannot be."""


class DependencyCycleError(Exception):
    """A graph that waits for itself."""
