"""What one client is still to be sent: bounded, and of messages that carry state only the newest."""

from collections.abc import Hashable

Frame = str | bytes
LAGGING = 32
"""With fewer frames than this waiting, the client keeps up and gets every one."""
MAX_FRAMES = 20_000
MAX_BYTES = 16 * 1024 * 1024


class Outbox:
    """Frames in order. ``put`` with a key replaces the waiting frame of that key once the client lags behind."""

    def __init__(self, max_frames: int = MAX_FRAMES, max_bytes: int = MAX_BYTES) -> None:
        self.max_frames, self.max_bytes = max_frames, max_bytes
        self.nbytes = 0
        self._frames: dict[Hashable, Frame] = {}
        self._newest: dict[Hashable, Hashable] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._frames)

    def put(self, frame: Frame, key: Hashable = None) -> bool:
        """False where the client is so far behind that it must be given up."""
        self._count += 1
        if key is not None:
            if len(self._frames) >= LAGGING and key in self._newest:
                self.nbytes -= len(self._frames.pop(self._newest[key], ""))
            self._newest[key] = self._count
        self._frames[self._count] = frame
        self.nbytes += len(frame)
        return len(self._frames) <= self.max_frames and self.nbytes <= self.max_bytes

    def take(self) -> list[Frame]:
        """All that waits."""
        frames = list(self._frames.values())
        self._frames.clear()
        self._newest.clear()
        self.nbytes = 0
        return frames
