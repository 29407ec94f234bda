"""``main.py packs``: which packs of nodes there are, and which may run."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from engine.settings import Settings

if TYPE_CHECKING:
    from engine.packs.trust import Ledger

ACTIONS = ("list", "add", "trust", "disable", "remove", "new")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action",
        choices=ACTIONS,
        help="list; add FOLDER|FILE|ZIP|GIT-ADDRESS; trust NAME as it is now; disable NAME; remove NAME; new NAME",
    )
    parser.add_argument("what", nargs="?", help="a pack's name, or where to get it")
    parser.add_argument("--yes", action="store_true", help="add: trust it at once; remove: do not ask")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    from engine.packs.places import PackError
    from engine.packs.trust import LedgerError

    if arguments.action != "list" and not arguments.what:
        print(f"packs {arguments.action} needs the name of a pack", file=sys.stderr)
        return 2
    try:
        for line in carry_out(arguments, settings):
            print(line)
    except (PackError, LedgerError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def carry_out(said: argparse.Namespace, settings: Settings) -> list[str]:
    """Do what was said; what to print."""
    from engine.packs.loading import ledger_path
    from engine.packs.places import fetch, find, remove
    from engine.packs.template import make
    from engine.packs.trust import Ledger

    ledger, directories = Ledger.read(ledger_path(settings)), settings.packs()
    match said.action:
        case "list":
            return listed(settings)
        case "add":
            pack = fetch(said.what, directories[0])
            first = [f"Added {pack.name} to {directories[0]}. Nothing of it has run.", *needs(pack)]
            if said.yes:
                return first + trust(ledger, pack, source=said.what)
            return [*first, *summary(pack), f"Look at its files, then: python main.py packs trust {pack.name}"]
        case "trust":
            return trust(ledger, find(said.what, directories))
        case "disable":
            pack = find(said.what, directories)
            ledger.disable(pack)
            return [f"{pack.name} no longer runs (from the next start)."]
        case "remove":
            pack = find(said.what, directories)
            if not said.yes and not asked(f"Delete {pack}?"):
                return ["Nothing was removed."]
            remove(pack, directories)
            ledger.forget(pack)
            return [f"Removed {pack.name}."]
    pack = make(said.what, directories[0])
    return [*trust(ledger, pack, source="new"), f"Its node is in {pack / '__init__.py'}; start the server to see it."]


def listed(settings: Settings) -> list[str]:
    """One line for each pack: name, state, where it is."""
    from engine.packs.loading import standing
    from engine.packs.places import every_pack

    packs = every_pack(settings.packs())
    states = standing(settings)
    width = max((len(path.name) for path in packs), default=0)
    lines = [f"{path.name:<{width}}  {states(path):<18}  {path.parent}" for path in packs]
    return lines or [f"There are no packs in {', '.join(map(str, settings.packs()))}."]


def trust(ledger: Ledger, pack: Path, source: str = "") -> list[str]:
    ledger.trust(pack, source=source)
    return [f"{pack.name} runs from the next start on, until one of its files changes."]


def summary(pack: Path) -> list[str]:
    """What there is to look at, and what in it deserves a look."""
    from engine.packs.look import looks

    return [f"  {line}" for line in looks(pack)]


def needs(pack: Path) -> list[str]:
    """What it wants installed, which is for the user to do."""
    wanted = pack / "requirements.txt"
    if not wanted.is_file():
        return []
    return [f"It needs other packages: python -m pip install -r {wanted}"]


def asked(question: str) -> bool:
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False
