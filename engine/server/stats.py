"""What the machine is and what the server can: ``/system_stats`` and ``/features``, answered before anything heavy is loaded."""

import importlib.metadata
import os
import sys
from functools import cache
from typing import Any

from aiohttp import web

from engine.server.bodies import Answer, json_answer
from engine.server.site import Site, site_of

COMPATIBLE_WITH = "0.3.64"
FRONTEND = "1.27.10"


class System(Answer):
    os: str
    ram_total: int
    ram_free: int
    comfyui_version: str
    required_frontend_version: str
    installed_templates_version: str
    required_templates_version: str
    python_version: str
    pytorch_version: str
    embedded_python: bool
    argv: list[str]


class Device(Answer):
    name: str
    type: str
    index: int | None
    vram_total: int
    vram_free: int
    torch_vram_total: int
    torch_vram_free: int


class SystemStats(Answer):
    system: System
    devices: list[Device]


async def system_stats(request: web.Request) -> web.Response:
    """The machine, the versions, the devices."""
    site = site_of(request)
    total, free = memory()
    system: dict[str, Any] = {
        "os": sys.platform,
        "ram_total": total,
        "ram_free": free,
        "comfyui_version": COMPATIBLE_WITH,
        "required_frontend_version": FRONTEND,
        "installed_templates_version": "",
        "required_templates_version": "",
        "python_version": sys.version,
        "pytorch_version": version_of("torch"),
        "embedded_python": False,
        "argv": list(site.options.argv),
        "comfy_package_versions": [],
        "deploy_environment": "local",
    }
    return json_answer({"system": system, "devices": devices(total, free)})


async def get_features(request: web.Request) -> web.Response:
    """What the server can, so that a client need not guess."""
    return json_answer(features(site_of(request)))


def features(site: Site) -> dict[str, Any]:
    return {
        "supports_preview_metadata": True,
        "supports_model_type_tags": True,
        "max_upload_size": site.options.max_upload,
        "extension": {"manager": {"supports_v4": False}},
        "node_replacements": True,
        "assets": True,
        "jobs": True,
        **site.options.features,
    }


@cache
def version_of(package: str) -> str:
    """A package's version, read from its metadata: importing it would take seconds."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def memory() -> tuple[int, int]:
    """The machine's memory in bytes: all of it, and what is free or can be freed."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            found = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
        return found["MemTotal"], found.get("MemAvailable", found["MemFree"])
    except (OSError, KeyError, ValueError, IndexError):
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
        return pages, pages


def devices(total: int, free: int) -> list[dict[str, Any]]:
    """Every CUDA device if torch is loaded and has any, else the processor."""
    torch = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)
    found = []
    for index in range(cuda.device_count() if cuda is not None and cuda.is_available() else 0):
        assert cuda is not None
        free_there, total_there = cuda.mem_get_info(index)
        reserved = cuda.memory_reserved(index)
        spare = reserved - cuda.memory_allocated(index)
        name = f"cuda:{index} {cuda.get_device_name(index)}"
        found.append(device(name, "cuda", index, total_there, free_there + spare, reserved, spare))
    return found or [device("cpu", "cpu", None, total, free, total, free)]


def device(name: str, kind: str, index: int | None, total: int, free: int, torch_total: int, torch_free: int) -> dict[str, Any]:
    return {
        "name": name, "type": kind, "index": index, "vram_total": total, "vram_free": free,
        "torch_vram_total": torch_total, "torch_vram_free": torch_free,
    }  # fmt: skip
