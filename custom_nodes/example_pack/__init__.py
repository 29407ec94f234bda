"""An example to copy: three nodes of about ten lines. docs/packs.md tells the rest."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Interval

from engine.node import Multiline, Run, Slider, node
from engine.types import Image


@node("ExampleVignette", category="example", title="Vignette")
def vignette(image: Image, strength: Annotated[float, Interval(ge=0, le=1), Slider()] = 0.5) -> Image:
    """Darkens the corners of a picture."""
    import torch

    height, width = image.shape[1:3]
    y, x = torch.linspace(-1, 1, height)[:, None], torch.linspace(-1, 1, width)[None]
    return Image(image * (1 - strength * (x**2 + y**2) / 2)[None, :, :, None])


@node("ExampleCase", category="example", title="Change Case")
def change_case(text: Annotated[str, Multiline()], case: Literal["upper", "lower", "title"] = "upper") -> str:
    """The text in another case."""
    return {"upper": text.upper(), "lower": text.lower(), "title": text.title()}[case]


@node("ExampleCount", category="example", title="Count Slowly", output=True)
def count(to: Annotated[int, Interval(ge=1, le=1000)] = 10, *, run: Run) -> None:
    """Counts, tells its progress, can be stopped, and shows what it came to."""
    for i in range(to):
        run.progress(i + 1, to)
    run.emit_ui(text=[f"counted to {to}"])
