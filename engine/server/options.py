"""What the server is told at its start."""

import ipaddress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from engine.folders import PROJECT, Folders

MEGABYTE = 1024 * 1024
Previews = Literal["none", "asked", "all"]
"""Who is sent pictures of the unfinished result: nobody, clients that say they know them, or all.

Older clients take any binary message for a result; they never saw a preview, since ComfyUI makes none by default.
"""


@dataclass(frozen=True, slots=True)
class Options:
    """``login`` None: demanded wherever the server listens beyond this machine. Sizes are in bytes."""

    folders: Folders = field(default_factory=Folders)
    hosts: tuple[str, ...] = ("127.0.0.1",)
    port: int = 8188
    tls_keyfile: Path | None = None
    tls_certfile: Path | None = None
    database_url: str | None = None
    login: bool | None = None
    multi_user: bool = False
    cors_origin: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    pack_roots: tuple[Path, ...] = ()
    front_end: Path = PROJECT / "web"
    max_upload: int = 100 * MEGABYTE
    private_downloads: bool = False
    """The server may fetch models from this machine and its network, too."""
    max_pixels: int = 256 * 1024 * 1024
    max_queue: int = 100_000
    max_history: int = 10_000
    history_days: float = 0.0
    temp_hours: float = 24.0
    previews: Previews = "asked"
    sharp_previews: bool = False
    describe: bool = True
    """Results say how they were made."""
    quiet: bool = False
    open_browser: bool = False
    compress: bool = False
    argv: tuple[str, ...] = ()
    features: dict[str, Any] = field(default_factory=dict)

    @property
    def loopback(self) -> bool:
        return all(is_loopback(host) for host in self.hosts)

    @property
    def login_needed(self) -> bool:
        return not self.loopback if self.login is None else self.login


@lru_cache(1024)
def is_loopback(host: str) -> bool:
    return host == "localhost" or (is_address(host) and ipaddress.ip_address(host.strip("[]")).is_loopback)


@lru_cache(1024)
def is_address(host: str) -> bool:
    """Whether this is an address and not a name."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
