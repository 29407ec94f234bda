"""What a sampling node tells the user while it works."""

from __future__ import annotations

from collections.abc import Callable

from engine.node import Run

Draw = Callable[[], bytes | None]


def reporting(run: Run) -> Callable[[int, int, Draw], None]:
    """A sampler's ``report``: progress at every step, and a preview as often as somebody can see one."""

    def report(done: int, total: int, draw: Draw) -> None:
        run.progress(done, total)
        if run.wants_preview() and (picture := draw()):
            run.preview(picture)

    return report
