"""Progress and previews of foreign nodes, for the node at work or one that they name."""

from __future__ import annotations

import io
from typing import Any

from engine.comfy.host import current_run
from engine.events import Progress


def report(value: float, total: float, preview: Any = None, node: str | None = None) -> None:
    """Tell clients; raises CancelledError when the job was stopped."""
    run = current_run()
    if node is None or node == run.node:
        run.progress(value, total)
        if preview is not None:
            show(preview)
    else:
        run.check()
        step = run.job.steps.get(node)
        display, parent = (step.display, step.parent) if step else (node, None)
        run.job.emit(Progress(job=run.job.id, node=node, display=display, parent=parent, value=value, total=total))


def show(preview: Any) -> None:
    """A preview as ComfyUI passes it, ``("JPEG", picture, longest side)``, or a picture or tensor."""
    run = current_run()
    if not run.wants_preview():
        return
    kind, picture, longest = preview if isinstance(preview, tuple) else ("JPEG", preview, 512)
    picture = as_picture(picture)
    if longest:
        picture.thumbnail((longest, longest))
    kind = "PNG" if str(kind).upper() == "PNG" else "JPEG"
    buffer = io.BytesIO()
    (picture.convert("RGB") if kind == "JPEG" else picture).save(buffer, kind)
    run.preview(buffer.getvalue(), f"image/{kind.lower()}")


def as_picture(picture: Any) -> Any:
    """A PIL image of a PIL image or of a tensor ((B,) H, W, C) in 0..1."""
    from PIL import Image

    if isinstance(picture, Image.Image):
        return picture.copy()
    pixels = picture[0] if picture.ndim == 4 else picture
    return Image.fromarray(pixels.detach().float().mul(255).round().clamp(0, 255).byte().cpu().numpy())
