"""What packs import from ComfyUI's executor; running is the engine's business."""

from __future__ import annotations

from engine.comfy.faces.comfy_execution.graph_utils import ExecutionBlocker, is_link
from engine.comfy.finder import missing
from engine.comfy.prompts import DynamicPrompt

__all__ = ["DynamicPrompt", "ExecutionBlocker", "PromptExecutor", "PromptQueue", "is_link"]
__getattr__ = missing(__name__)


class PromptExecutor:
    """There to be imported: nothing calls its methods, so replacing them changes nothing."""


class PromptQueue:
    """There to be imported; the queue that exists is ``PromptServer.instance.prompt_queue``."""
