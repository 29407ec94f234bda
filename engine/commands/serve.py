"""``main.py serve``: the editor and the API."""

from __future__ import annotations

import argparse

from engine.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The settings are all there is."""


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    from engine.server.app import serve

    return serve(settings)
