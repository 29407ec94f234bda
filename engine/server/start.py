"""Settings made into what the server needs: its options, and the engine that it loads behind the socket."""

import asyncio
import importlib.util
import json
import logging
import sys
from collections import ChainMap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.folders import PROJECT
from engine.server.options import MEGABYTE, Options, Previews
from engine.server.runtime import Engine
from engine.settings import Settings, SettingsError

PREVIEWS: dict[str, Previews] = {"none": "none", "auto": "asked"}
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def options_of(settings: Settings) -> Options:
    folders = settings.folders()
    return Options(
        folders=folders,
        hosts=tuple(host.strip() for host in settings.listen.split(",") if host.strip()),
        port=settings.port,
        tls_keyfile=settings.tls_keyfile,
        tls_certfile=settings.tls_certfile,
        database_url=settings.database_url,
        login=settings.login,
        multi_user=settings.multi_user,
        cors_origin=settings.enable_cors_header,
        allowed_hosts=tuple(name.lower() for name in settings.allowed_hosts),
        pack_roots=tuple(settings.packs()),
        front_end=front_end(settings),
        max_upload=int(settings.max_upload_size * MEGABYTE),
        private_downloads=settings.private_downloads,
        max_queue=settings.max_queue,
        max_history=settings.max_history,
        history_days=settings.history_days,
        temp_hours=settings.temp_hours,
        previews=PREVIEWS.get(settings.preview_method, "all"),
        sharp_previews=settings.preview_method == "taesd",
        describe=not settings.disable_metadata,
        quiet=settings.dont_print_server,
        open_browser=settings.auto_launch,
        compress=settings.enable_compress_response_body,
        features=features(settings.feature_flag),
        argv=tuple(sys.argv),
    )


def features(flags: Sequence[str]) -> dict[str, Any]:
    """``name=value`` as what ``/features`` tells: JSON where the value is some, else text; true for a name alone."""
    found: dict[str, Any] = {}
    for flag in flags:
        name, said, value = flag.partition("=")
        try:
            found[name] = json.loads(value) if said else True
        except ValueError:
            found[name] = value
    return found


def front_end(settings: Settings) -> Path:
    """The editor's folder: the one that was named, ComfyUI's if its package is installed and wanted, else ours."""
    if settings.front_end_root is not None:
        if not settings.front_end_root.is_dir():
            raise SettingsError(f"--front-end-root: there is no folder {str(settings.front_end_root)!r}")
        return settings.front_end_root
    if settings.front_end == "comfy":
        found = importlib.util.find_spec("comfyui_frontend_package")
        if found is None or not found.submodule_search_locations:
            raise SettingsError("--front-end comfy: pip install comfyui-frontend-package first")
        return Path(found.submodule_search_locations[0]) / "static"
    return PROJECT / "web"


def engine_of(settings: Settings) -> Engine:
    """Read the node types and make an executor; called on the worker's loop, which is the executor's home."""
    from engine.executors.local import LocalExecutor
    from engine.packs.loading import load_nodes

    residency = settings.residency()
    registry, guests = load_nodes(settings, residency)
    results = settings.cache(settings.folders().work("user") / "cache")
    executor = LocalExecutor(registry.specs, cache=results, home=asyncio.get_running_loop())

    def free(models: bool, all_results: bool) -> None:
        if models and "engine.diffusion.residency" in sys.modules:
            residency().free()
        if all_results:
            results.clear()

    return Engine(
        registry.specs, executor.run, free, failures=list(registry.failures), residency=residency, close=executor.close,
        absent=registry.whose,
        web_folders=ChainMap(guests.web_folders, registry.web_folders) if guests else registry.web_folders,
        replacements=guests.replacements if guests else {}, guests=guests,
    )  # fmt: skip


def set_up_logging(settings: Settings) -> None:
    """Log lines to the terminal, at the level that was asked for."""
    level = logging.getLevelNamesMapping().get(settings.verbose.upper())
    if level is None:
        raise SettingsError(f"--verbose: expected DEBUG, INFO, WARNING or ERROR, but got {settings.verbose!r}")
    logging.basicConfig(level=logging.WARNING, format=LOG_FORMAT, stream=sys.stdout if settings.log_stdout else sys.stderr)
    logging.getLogger("engine").setLevel(level)
