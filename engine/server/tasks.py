"""Work the server does for somebody beside the queue: files on their way here."""

import asyncio
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

AT_ONCE, REMEMBERED = 2, 100


@dataclass(eq=False)
class Download:
    """One file on its way. ``status``: queued, running, completed, failed or cancelled."""

    url: str
    path: Path
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "queued"
    downloaded: int = 0
    total: int | None = None
    error: str | None = None
    asset: dict[str, Any] | None = None
    task: "asyncio.Task[None] | None" = None

    def told(self) -> dict[str, Any]:
        return {
            "id": self.id, "type": "download", "status": self.status, "source_url": self.url, "filename": self.path.name,
            "downloaded": self.downloaded, "total": self.total, "error": self.error, "asset": self.asset,
        }  # fmt: skip


class Downloads:
    """Those under way, and the last hundred that ended. They do not outlive the server; a half file is never left."""

    def __init__(self) -> None:
        self.known: dict[str, Download] = {}
        self.places = asyncio.Semaphore(AT_ONCE)

    def add(self, download: Download) -> None:
        ended = [one.id for one in self.known.values() if one.status not in ("queued", "running")]
        for id in ended[: max(0, len(self.known) - REMEMBERED)]:
            del self.known[id]
        self.known[download.id] = download

    async def close(self) -> None:
        tasks = [one.task for one in self.known.values() if one.task is not None and not one.task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
