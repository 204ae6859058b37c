"""A queue of lines between the reader of a log and the thread that sends them."""

from collections import deque
from collections.abc import Sequence
from threading import Lock

__all__ = ["LineQueue"]


class LineQueue:
    """Lines in the order of their arrival, bounded in number and in bytes. Putting one in never
    waits: where there is no room, the oldest ones are dropped and counted. For two threads."""

    def __init__(self, most_lines: int, most_bytes: int) -> None:
        self._most_lines, self._most_bytes = most_lines, most_bytes
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._dropped = 0
        self._lock = Lock()

    @property
    def dropped(self) -> int:
        """how many lines were dropped so far because it was full."""
        return self._dropped

    def __len__(self) -> int:
        return len(self._lines)

    def put(self, line: bytes) -> None:
        """Adds a line as the newest."""
        with self._lock:
            self._lines.append(line)
            self._bytes += len(line)
            self._make_room()

    def take(self, most: int) -> list[bytes]:
        """Removes the oldest lines, at most so many, and returns them."""
        with self._lock:
            taken = [self._lines.popleft() for _ in range(min(most, len(self._lines)))]
            self._bytes -= sum(map(len, taken))
        return taken

    def put_back(self, lines: Sequence[bytes]) -> None:
        """Adds lines again that were taken and could not be sent, as the oldest. If newer ones
        have filled the queue, they are the first to be dropped."""
        with self._lock:
            self._lines.extendleft(reversed(lines))
            self._bytes += sum(map(len, lines))
            self._make_room()

    def _make_room(self) -> None:
        while len(self._lines) > self._most_lines or self._bytes > self._most_bytes:
            self._bytes -= len(self._lines.popleft())
            self._dropped += 1
