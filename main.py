"""Latent Loom: ``serve`` (the default), ``run WORKFLOW``, ``check WORKFLOW``. Flags become Settings for the command."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from engine.commands import COMMANDS
from engine.flags import Parser, add_settings, setting_flags

# OpenMP's waiting threads spin for a moment, then sleep. Its default is to spin for long: where another program wants a core too
# (the browser with the editor, say), small steps then take up to ten times as long.
SPINS = "1000"


def main(arguments: Sequence[str]) -> int:
    """Run one command; 0 done, 1 it failed, 2 what was asked makes no sense, 130 interrupted."""
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    words = list(arguments)
    name = words.pop(0) if words and not words[0].startswith("-") else "serve"
    if name not in COMMANDS:
        overview().error(f"unknown command {name!r}; commands are {', '.join(COMMANDS)}")
    if name == "serve" and words == arguments and {"-h", "--help"} & set(words):
        overview().print_help()
        return 0
    command = importlib.import_module(f"engine.commands.{name}")
    parser = Parser(prog=f"main.py {name}", description=COMMANDS[name])
    command.add_arguments(parser)
    add_settings(parser)
    found = parser.parse(words)
    from engine.settings import SettingsError, read_settings

    try:
        settings = read_settings(setting_flags(found), config=found.config)
        code: int = command.run(found, settings)
    except SettingsError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        return 130
    return code


def overview() -> Parser:
    """What ``--help`` shows when no command is named."""
    commands = "\n".join(f"  {name:<8} {about}" for name, about in COMMANDS.items())
    parser = Parser(prog="main.py", description=f"commands: {'; '.join(f'{n}: {about}' for n, about in COMMANDS.items())}")
    parser.usage = f"main.py [command] [flags]\n\ncommands:\n{commands}"
    parser.description = "Without a command it serves. `main.py COMMAND --help` tells more."
    add_settings(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
