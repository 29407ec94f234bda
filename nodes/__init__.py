"""The nodes that ship: typed functions of about ten lines that call engine.diffusion.

ComfyUI has a module of this name, and its packs import it. What they ask for that is none of ours is looked up in
``engine.comfy``; the door is shut as long as no such pack is loaded.
"""

import sys
from typing import Any


def __getattr__(name: str) -> Any:
    if name.startswith("__") or "engine.comfy.finder" not in sys.modules:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from engine.comfy import door

    return door.find(name)
