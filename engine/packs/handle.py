"""Objects that stay in an isolated pack's process, seen from here."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.packs.isolation import Cell


def together(pack: str) -> str:
    """What to do where a value is in the wrong process."""
    return f"To let it run in the server's process, with your rights: python main.py packs trust {pack} --no-isolate"


class Handle:
    """An object that stays in a pack's process; it can be given back to that pack and to nobody else."""

    def __init__(self, cell: Cell, number: int, life: int) -> None:
        self.cell, self.number, self.life = cell, number, life
        weakref.finalize(self, cell.dropped.append, (life, number))

    def __getattr__(self, name: str) -> Any:
        pack = self.cell.name
        raise AttributeError(
            f"a node of {pack} made this value, and {pack} is isolated: it lives in that process and only nodes of {pack} can "
            f"use it (asked for: {name}). {together(pack)}"
        )
