"""Failed logins, so that nobody can try out passwords."""

import time
from collections import deque

ATTEMPTS, ATTEMPT_SECONDS = 5, 60.0
MAX_PLACES = 10_000


class Attempts:
    """Failed logins by place and name: after five in a minute the next must wait."""

    def __init__(self) -> None:
        self._failed: dict[str, deque[float]] = {}

    def wait(self, key: str) -> float:
        """Seconds until the next attempt may be made."""
        times = self._failed.get(key)
        if times is None or len(times) < ATTEMPTS:
            return 0.0
        return max(0.0, times[0] + ATTEMPT_SECONDS - time.monotonic())

    def note(self, key: str) -> None:
        if len(self._failed) >= MAX_PLACES:
            self._failed.clear()
        self._failed.setdefault(key, deque(maxlen=ATTEMPTS)).append(time.monotonic())

    def forget(self, key: str) -> None:
        self._failed.pop(key, None)
