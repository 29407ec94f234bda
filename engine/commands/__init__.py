"""What ``main.py`` can do, one command a file: ``add_arguments(parser)`` and ``run(arguments, settings) -> exit code``."""

COMMANDS = {
    "serve": "serve the editor and the API (what happens without a command)",
    "run": "run a workflow and print where its results are",
    "check": "say everything that is wrong with a workflow",
    "convert": "turn a workflow into the API's format or the editor's",
    "models": "inspect, hash, convert and merge model files",
    "packs": "which packs of nodes may run",
    "users": "who may use a server that others can reach",
}
