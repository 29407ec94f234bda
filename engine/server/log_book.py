"""The last lines of the program's log."""

import logging
import shutil
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

KEPT = 300


class LogBook(logging.Handler):
    """Keeps the last lines, and hands each to those who listen."""

    def __init__(self, tell: Callable[[dict[str, Any]], None]) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        self.entries: deque[dict[str, str]] = deque(maxlen=KEPT)
        self.tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        when = datetime.fromtimestamp(record.created, UTC)
        entry = {"t": when.isoformat(), "m": self.format(record) + "\n"}
        self.entries.append(entry)
        self.tell({"entries": [entry], "size": size()})


def size() -> dict[str, int]:
    columns, rows = shutil.get_terminal_size((80, 24))
    return {"cols": columns, "rows": rows}
