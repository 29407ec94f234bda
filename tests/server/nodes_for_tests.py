"""Small nodes of every behaviour that the server has to tell of."""

import io
import time
from typing import Annotated, Any

from pydantic import Field

from engine.node import Folder, Run, Seed, node
from engine.signature import spec_of
from engine.spec import NodeSpec


@node("Number", category="test")
def number(value: int = 0) -> int:
    """A number."""
    return value


@node("Add", category="test")
def add(a: int = 0, b: int = 0) -> int:
    """The sum."""
    return a + b


@node("Show", category="test", output=True)
def show(value: Any, *, run: Run) -> None:
    """Shows a value."""
    run.emit_ui(text=[str(value)])


@node("Wait", category="test")
def wait(seconds: Annotated[float, Field(ge=0, le=60)] = 0.1, seed: Seed = 0, *, run: Run) -> int:
    """Takes its time, and says how far it is."""
    steps = max(1, round(seconds / 0.02))
    for i in range(steps):
        run.progress(i + 1, steps)
        time.sleep(seconds / steps)
    return seed


@node("Fail", category="test")
def fail(message: str = "on purpose") -> int:
    """Fails."""
    raise ValueError(message)


@node("Picture", category="test", output=True)
def picture(colour: str = "red", filename_prefix: str = "loom", value: Any = None, *, run: Run) -> None:
    """Saves a small picture of one colour."""
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(out, "PNG")
    run.emit_ui(images=[run.save(out.getvalue(), "png", prefix=filename_prefix).ui()])


@node("Glimpse", category="test")
def glimpse(frames: int = 2, *, run: Run) -> int:
    """Sends previews."""
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (4, 4), "blue").save(out, "JPEG")
    for i in range(frames):
        run.progress(i + 1, frames, "looking" if i else "")
        run.preview(out.getvalue())
    return frames


@node("Choice", category="test", output=True)
def choice(name: Annotated[str, Folder("checkpoints")], *, run: Run) -> None:
    """Takes a model's name."""
    run.emit_ui(text=[name])


@node("Odd", category="test", output=True)
def odd(*, run: Run) -> None:
    """Shows what JSON cannot say."""
    run.emit_ui(odd=[float("nan"), {1: (float("inf"),)}, object(), b"bytes"])


FUNCTIONS: tuple[Any, ...] = (number, add, show, wait, fail, picture, glimpse, choice, odd)
SPECS: dict[str, NodeSpec] = {spec.type: spec for spec in map(spec_of, FUNCTIONS)}
