"""The node types of this program and of the packs that may run, as the server and the commands load them."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

from engine.packs.environment import ready
from engine.packs.trust import Ledger, LedgerError
from engine.registry import Failure, Registry, load, load_pack, pack_paths
from engine.settings import Settings, SettingsError
from engine.spec import NodeSpec

log = logging.getLogger(__name__)
FILE = "packs.json"
REFUSALS = {
    "new": "it is not trusted yet and does not run. Look at its files, then: python main.py packs trust {name}",
    "changed": "its files have changed since it was trusted: it does not run. Look, then: python main.py packs trust {name}",
    "disabled": "it is disabled. To let it run: python main.py packs trust {name}",
}


def load_nodes(settings: Settings, residency: Callable[[], Any] | None = None) -> tuple[Registry, Any]:
    """Every node type, and what foreign packs bring to a server (None if there are no such packs).

    A pack runs when its user has trusted it as it is; packs in a folder that was named in extra_model_paths are.
    """
    directories = settings.packs()
    scripts: dict[str, Path] = {}
    read = reader(settings, _foreign(settings, residency), scripts)
    registry = load(packs=directories, only=settings.pack_names(), refuse=refusal(settings), read=read)
    registry.web_folders = scripts
    names = {f"{directory.name}.{path.stem}" for directory in directories for path in pack_paths(directory)}
    for name in names & registry.seconds.keys():
        log.info("%s: %.2f s", name, registry.seconds[name])
    comfy = sys.modules.get("engine.comfy.host")
    if comfy is None:
        return registry, None
    registry.specs = importlib.import_module("engine.comfy.additions").extended(registry.specs)
    comfy.host().specs = registry.specs
    return registry, importlib.import_module("engine.comfy.guests").Guests(comfy.host())


def refusal(settings: Settings) -> Callable[[Path], str | None]:
    """Says of a pack why it is not to run, if it is not."""
    try:
        ledger = Ledger.read(ledger_path(settings))
    except LedgerError as error:
        raise SettingsError(str(error)) from None
    named = [directory.resolve() for directory in settings.packs()[1:]]

    def refuse(path: Path) -> str | None:
        entry = ledger.entry(path)
        if not entry.disabled and (settings.trust_all_packs or path.parent.resolve() in named):
            return None
        state = ledger.state(path)
        return None if state == "trusted" else REFUSALS[state].format(name=path.name)

    return refuse


def reader(
    settings: Settings, foreign: Callable[[Path], Any], scripts: dict[str, Path]
) -> Callable[[Path], Iterable[NodeSpec | Failure]]:
    """Gives the node types of a pack: imported into this process, or from a process of its own where it is to be isolated.

    ``scripts`` is given the editor's scripts of isolated packs.
    """
    ledger = Ledger.read(ledger_path(settings))

    def read(path: Path) -> Iterable[NodeSpec | Failure]:
        entry = ledger.entry(path)
        if not entry.isolated:
            return load_pack(path, foreign)
        isolation = importlib.import_module("engine.packs.isolation")
        environment = ready(path, settings.folders().work("user"))
        cell = isolation.Cell(path, settings.folders(), entry.permissions, environment)
        specs: list[NodeSpec | Failure] = cell.specs()
        for name, folder in cell.web_folders.items() if entry.scripts else ():
            if scripts.setdefault(name, folder) != folder:
                log.warning("%s: its scripts are left out, another pack's are called %s too", path.name, name)
        return specs

    return read


def standing(settings: Settings) -> Callable[[Path], str]:
    """Says in a word or two whether a pack runs, and why."""
    ledger, refuse = Ledger.read(ledger_path(settings)), refusal(settings)

    def state(path: Path) -> str:
        if refuse(path) is not None:
            return ledger.state(path)
        entry = ledger.entry(path)
        if entry.isolated:
            return ", ".join(filter(None, ["isolated", entry.permissions.words(), "" if entry.scripts else "no scripts"]))
        if ledger.state(path) == "trusted":
            return "trusted"
        return "runs: all trusted" if settings.trust_all_packs else "runs: named folder"

    return state


def ledger_path(settings: Settings) -> Path:
    """Where trust is recorded."""
    return settings.folders().work("user") / FILE


def _foreign(settings: Settings, residency: Callable[[], Any] | None) -> Callable[[Path], Any]:
    """What turns a ComfyUI pack into node types; asked only if there is one."""

    def specs_of_pack(path: Path) -> Any:
        comfy = importlib.import_module("engine.comfy")
        host = importlib.import_module("engine.comfy.host").host()
        if not host.options:
            host.options = {field.name: getattr(settings, field.name) for field in fields(settings)}
            host.folders = settings.folders()
            host.residency = residency
        return comfy.specs_of_pack(path)

    return specs_of_pack
