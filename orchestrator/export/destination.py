"""What an export gives its series to."""

from typing import Protocol

from orchestrator.export.lines import LogLine
from orchestrator.export.snapshot import Snapshot

__all__ = ["Destination"]


class Destination(Protocol):
    """A way out of the process. None of the methods may wait for another program or for a disk,
    except `close`, which is bounded: the log is not read meanwhile. `wants_events`: `observe` gets
    lines of events too."""

    wants_events: bool

    def observe(self, line: LogLine) -> None:
        """A line was read, of whatever kind."""

    def publish(self, snapshot: Snapshot) -> None:
        """The series as they are now: each interval, if records came, and once at the end."""

    def close(self) -> None:
        """Nothing follows: send or write what is left. Raises OSError where the last snapshot did
        not arrive."""
