"""Assets."""

from pathlib import Path
from typing import Any

from engine.server.access import User
from engine.server.refusal import Refusal
from engine.server.site import Site


async def path_of_hash(site: Site, user: User, name: str) -> Path:
    raise Refusal(404)


async def register_upload(site: Site, user: User, path: Path, kind: str, data: bytes) -> dict[str, Any] | None:
    return None
