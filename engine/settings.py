"""Everything a user can set: flags, then environment variables LOOM_NAME, then keys of loom.toml, the first one counting.

A plain dataclass, so that ``--help`` loads nothing; pydantic checks the values when there are some.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from engine.cache import Cache
    from engine.diffusion.residency import Residency
    from engine.folders import Folders

PREFIX = "LOOM_"
CONFIG = "loom.toml"
EVERYWHERE = "0.0.0.0,::"
GIGABYTE = 2**30
MEGABYTE = 2**20


class SettingsError(ValueError):
    """A setting that is unknown or has no such value; the message says where it was made."""


def option(default: Any, help: str, *, metavar: str = "", alone: Any = None, many: bool = False) -> Any:
    """A setting. ``alone`` is the value of the flag without one, ``many`` says that it takes several."""
    return field(default=default, metadata={"help": help, "metavar": metavar, "alone": alone, "many": many})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Names and meanings are ComfyUI's where it has them."""

    # Where things are
    base_directory: Path | None = option(None, "where models/, custom_nodes/, input/ ... are", metavar="DIR")
    models_directory: Path | None = option(None, "where models are (base/models)", metavar="DIR")
    output_directory: Path | None = option(None, "where results go (base/output)", metavar="DIR")
    input_directory: Path | None = option(None, "where pictures to load are (base/input)", metavar="DIR")
    temp_directory: Path | None = option(None, "where previews go (base/temp)", metavar="DIR")
    user_directory: Path | None = option(None, "where settings, jobs and workflows are kept (base/user)", metavar="DIR")
    extra_model_paths_config: tuple[Path, ...] = option(
        (), "more model folders: extra_model_paths.yaml", metavar="FILE", many=True
    )

    # The server
    listen: str = option("127.0.0.1", "addresses to listen on; without one, all", metavar="IP", alone=EVERYWHERE)
    port: int = option(8188, "port to listen on", metavar="N")
    tls_keyfile: Path | None = option(None, "serve https with this key", metavar="FILE")
    tls_certfile: Path | None = option(None, "serve https with this certificate", metavar="FILE")
    enable_cors_header: str | None = option(None, "let pages of this origin (or any) call the API", metavar="ORIGIN", alone="*")
    allowed_hosts: tuple[str, ...] = option((), "host names to answer to besides addresses", metavar="NAME", many=True)
    enable_compress_response_body: bool = option(False, "compress answers, for those far away")
    feature_flag: tuple[str, ...] = option((), "tell clients NAME=VALUE in /features", metavar="NAME=VALUE", many=True)
    max_upload_size: float = option(100.0, "largest upload in MB", metavar="MB")
    private_downloads: bool = option(False, "let the server fetch models from this machine and its network, too")
    max_prompt_size: float = option(50.0, "largest workflow in MB", metavar="MB")
    multi_user: bool = option(False, "keep workflows and settings by user")
    login: bool | None = option(None, "demand a login (by default, when others can reach the server)")
    front_end: Literal["loom", "comfy"] = option("loom", "which editor to serve")
    front_end_root: Path | None = option(None, "serve the editor in this folder", metavar="DIR")
    auto_launch: bool = option(False, "open the editor in a browser")
    dont_print_server: bool = option(False, "print less")
    quick_test_for_ci: bool = option(False, "load everything, then stop")
    verbose: str = option("INFO", "what to log: DEBUG, INFO, WARNING, ERROR", metavar="LEVEL", alone="DEBUG")
    log_stdout: bool = option(False, "log to standard output")

    # Jobs
    database_url: str | None = option(None, "where jobs are kept (SQLite in the user folder)", metavar="URL")
    max_queue: int = option(100_000, "jobs that may wait", metavar="N")
    max_history: int = option(10_000, "finished jobs that are kept", metavar="N")
    history_days: float = option(0.0, "days that finished jobs are kept (0: no limit)", metavar="DAYS")
    temp_hours: float = option(24.0, "hours that previews are kept", metavar="HOURS")
    executor: Literal["local", "ray"] = option("local", "where jobs run")
    preview_method: Literal["auto", "latent2rgb", "taesd", "none"] = option("auto", "how to show unfinished pictures")
    disable_metadata: bool = option(False, "write no workflow into results")

    # Results that are kept to be used again
    cache_ram: tuple[float, ...] = option((), "GB of results to keep in memory (a quarter of it)", metavar="GB", many=True)
    cache_lru: int | None = option(None, "keep at most this many results", metavar="N")
    cache_none: bool = option(False, "keep no results")
    cache_classic: bool = option(False, "accepted for ComfyUI's sake; results are kept by worth")
    cache_directory: Path | None = option(None, "keep dear results on disk, here", metavar="DIR")
    cache_disk: float = option(10.0, "GB of results to keep on disk", metavar="GB")

    # The machine
    cpu: bool = option(False, "use no graphics card")
    compile: bool = option(False, "compile networks: a slow first picture, faster ones after it")

    # Packs
    disable_all_custom_nodes: bool = option(False, "load no packs")
    whitelist_custom_nodes: tuple[str, ...] = option((), "load these packs although all are disabled", metavar="NAME", many=True)
    trust_all_packs: bool = option(False, "run packs that nobody has trusted: only for packs you have read")

    def folders(self) -> Folders:
        """Where files are found and written."""
        from engine.extra_paths import extra_paths
        from engine.folders import PROJECT, Folders

        base = self.base_directory or PROJECT
        first, extra, _ = extra_paths(base, self.extra_model_paths_config)
        return Folders(
            base=base, models=self.models_directory, input=self.input_directory, output=self.output_directory,
            temp=self.temp_directory, user=self.user_directory, first=first, extra=extra,
        )  # fmt: skip

    def packs(self) -> list[Path]:
        """The directories that packs are in."""
        from engine.extra_paths import extra_paths
        from engine.folders import PROJECT

        base = self.base_directory or PROJECT
        return [base / "custom_nodes", *extra_paths(base, self.extra_model_paths_config)[2]]

    def pack_names(self) -> tuple[str, ...] | None:
        """The only packs to load; None for all."""
        return self.whitelist_custom_nodes if self.disable_all_custom_nodes else None

    def cache(self, directory: Path | None = None) -> Cache:
        """The result cache; its disk tier is in ``--cache-directory``, else in ``directory``, else there is none."""
        from engine.cache import Cache

        if self.cache_none:
            return Cache(max_bytes=0)
        kept = int(self.cache_ram[0] * GIGABYTE) if self.cache_ram else physical_memory() // 4
        where = self.cache_directory or directory
        disk = None
        if where is not None and self.cache_disk > 0:
            from engine.disk import Disk

            disk = Disk(where, int(self.cache_disk * GIGABYTE))
        return Cache(max_bytes=kept, max_entries=self.cache_lru or None, disk=disk)

    def residency(self) -> Callable[[], Residency]:
        """The holder of loaded networks, made at the first call, which is when torch is loaded; later calls give the same one."""
        from engine.run import once

        def make() -> Residency:
            from engine.diffusion.fast import prepare_compiled
            from engine.diffusion.precision import steady_allocator
            from engine.diffusion.residency import Residency

            steady_allocator()
            return Residency("cpu" if self.cpu else None, prepare=prepare_compiled if self.compile else None)

        return once(make)


def read_settings(
    flags: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None, config: Path | None = None
) -> Settings:
    """Flags before the environment before the file: ``config``, else loom.toml in the base directory."""
    from engine.folders import PROJECT

    known = {field.name: field for field in dataclasses.fields(Settings)}
    environment = os.environ if environment is None else environment
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    set_outside = {}
    for variable, text in environment.items():
        if variable.startswith(PREFIX):
            name = _known(variable.removeprefix(PREFIX).lower(), known, f"environment variable {variable}")
            set_outside[name] = _split(text) if known[name].metadata["many"] else text
    base = given.get("base_directory") or environment.get(f"{PREFIX}BASE_DIRECTORY") or PROJECT
    written = _read_config(config or Path(base) / CONFIG, known, needed=config is not None)
    return _checked({**written, **set_outside, **given})


def physical_memory() -> int:
    """Bytes of memory in the machine; 8 GB where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 8 * GIGABYTE


def _read_config(path: Path, known: Mapping[str, Any], *, needed: bool) -> dict[str, Any]:
    import tomllib

    if not path.is_file():
        if needed:
            raise SettingsError(f"there is no settings file {str(path)!r}")
        return {}
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path.name}: {error}") from None
    return {_known(key.replace("-", "_"), known, f"{path.name}: {key}"): value for key, value in data.items()}


def _known(name: str, known: Mapping[str, Any], where: str) -> str:
    if name not in known:
        from engine.folders import nearest

        near = nearest(name, list(known), 1)
        raise SettingsError(f"{where}: no such setting{f'; did you mean {near[0]}?' if near else '.'}")
    return name


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _checked(values: dict[str, Any]) -> Settings:
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(Settings).validate_python(values)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}, got {fault['input']!r}" for fault in error.errors()]
        raise SettingsError("; ".join(faults)) from None
