"""``main.py packs``: which packs of nodes there are, and which may run."""

from __future__ import annotations

import argparse
import shlex
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
    isolated = parser.add_argument_group("trust: in a process and an environment of its own (stays so until --no-isolate)")
    isolated.add_argument("--isolate", action=argparse.BooleanOptionalAction, default=None, help="confine it, or no longer")
    isolated.add_argument("--allow-network", action="store_true", help="it may open connections")
    isolated.add_argument("--allow-subprocesses", action="store_true", help="it may start programs")
    isolated.add_argument("--read", action="append", type=Path, default=[], metavar="DIR", help="it may read files under DIR")
    isolated.add_argument("--write", action="append", type=Path, default=[], metavar="DIR", help="it may also write there")
    isolated.add_argument(
        "--scripts", action=argparse.BooleanOptionalAction, default=None, help="its scripts run in the editor's page, or not"
    )
    isolated.add_argument("--memory", type=float, metavar="GB", help="address space it may have (16)")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    from engine.packs.environment import RequirementsError
    from engine.packs.places import PackError
    from engine.packs.trust import LedgerError

    if arguments.action != "list" and not arguments.what:
        print(f"packs {arguments.action} needs the name of a pack", file=sys.stderr)
        return 2
    try:
        for line in carry_out(arguments, settings):
            print(told(line, settings))
    except (PackError, LedgerError, RequirementsError, OSError) as error:
        print(told(str(error), settings), file=sys.stderr)
        return 2
    return 0


def told(line: str, settings: Settings) -> str:
    """A line as printed: where it ends in a command, that is about the same folder as this one."""
    if settings.base_directory is None or "python main.py packs " not in line:
        return line
    return f"{line} --base-directory {shlex.quote(str(settings.base_directory))}"


def carry_out(said: argparse.Namespace, settings: Settings) -> list[str]:
    """Do what was said; what to print."""
    from engine.packs.environment import forget
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
            command = f"python main.py packs trust {pack.name}"
            return [*first, *summary(pack), f"Look at its files, then: {command}", f"or, confined: {command} --isolate"]
        case "trust":
            pack = find(said.what, directories)
            return trust(ledger, pack) if not isolated(said, ledger, pack) else isolate(said, ledger, pack)
        case "disable":
            pack = find(said.what, directories)
            ledger.disable(pack)
            return [f"{pack.name} no longer runs (from the next start)."]
        case "remove":
            pack = find(said.what, directories)
            if not said.yes and not asked(f"Delete {pack}?"):
                return ["Nothing was removed."]
            forget(pack, ledger.path.parent)
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


def isolated(said: argparse.Namespace, ledger: Ledger, pack: Path) -> bool:
    """Whether it is to be confined: as was said, else as it was; naming a permission says so too."""
    from engine.packs.places import PackError

    flags = said.allow_network or said.allow_subprocesses or said.read or said.write
    named = flags or said.memory is not None or said.scripts is not None
    if said.isolate is False and named:
        raise PackError("permissions are for isolated packs: without isolation a pack may do everything you may.")
    return bool(said.isolate or named) if said.isolate is not None or named else ledger.entry(pack).isolated


def isolate(said: argparse.Namespace, ledger: Ledger, pack: Path) -> list[str]:
    """Trust it in a process of its own, with what was granted, and make its environment."""
    from engine.packs.confinement import supported
    from engine.packs.environment import make
    from engine.packs.permissions import declared, granted, missing
    from engine.packs.places import PackError
    from engine.packs.trust import files_of

    if (why := supported()) is not None:
        raise PackError(f"{pack.name} cannot be isolated: {why}. Nothing has changed.")
    before = ledger.entry(pack)
    permissions = granted(said, before)
    scripts = said.scripts if said.scripts is not None else bool(said.isolate) or before.scripts
    made = make(pack, ledger.path.parent)
    ledger.trust(pack, isolated=True, permissions=permissions, scripts=scripts)
    lines = [f"Installed for it alone: {', '.join(made)}"] if made else []
    more = f"; besides: {permissions.words()}" if permissions.words() else ""
    lines.append(f"{pack.name} runs from the next start on, in a process of its own, until one of its files changes.")
    lines.append(f"It reads its own files, models and input, and writes output and temp{more}. Nothing else is open to it.")
    if any(file.suffix in (".js", ".mjs") for file in files_of(pack)):
        lines.append(told_of_scripts(pack, scripts))
    lacking = missing(declared(pack), permissions)
    if lacking:
        lines.append(f"It says it needs more. To allow that: python main.py packs trust {pack.name} {lacking}")
    return lines


def told_of_scripts(pack: Path, scripts: bool) -> str:
    command = f"python main.py packs trust {pack.name}"
    if not scripts:
        return f"Its scripts for the editor are left out. To have them in the page: {command} --scripts"
    return (
        "Its scripts for the editor run in the page, with the rights of whoever is logged in there: they are not confined. "
        f"To leave them out: {command} --no-scripts"
    )


def summary(pack: Path) -> list[str]:
    """What there is to look at, and what in it deserves a look."""
    from engine.packs.look import looks

    return [f"  {line}" for line in looks(pack)]


def needs(pack: Path) -> list[str]:
    """What it wants installed, which is for the user to do."""
    wanted = pack / "requirements.txt"
    if not wanted.is_file():
        return []
    return [f"It needs other packages: python -m pip install -r {wanted} (trust --isolate installs them for it alone)"]


def asked(question: str) -> bool:
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False
