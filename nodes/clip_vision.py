"""Image encoders: pictures in place of words."""

from __future__ import annotations

from typing import Annotated, Literal

from engine.node import Folder, Run, node
from engine.types import ClipVision, ClipVisionOutput, Image


@node("CLIPVisionLoader", category="loaders", title="Load CLIP Vision", lane="io")
def clip_vision_loader(clip_name: Annotated[str, Folder("clip_vision")], *, run: Run) -> ClipVision:
    """An image encoder from a file."""
    from engine.diffusion.checkpoints import load_clip_vision

    return load_clip_vision(run.folders.find("clip_vision", clip_name), run.place)


@node("CLIPVisionEncode", category="conditioning", title="CLIP Vision Encode")
def clip_vision_encode(clip_vision: ClipVision, image: Image, crop: Literal["center", "none"] = "center") -> ClipVisionOutput:
    """What an image encoder sees in a picture; without the crop the picture is squeezed to a square."""
    return clip_vision.encode(image, crop)
