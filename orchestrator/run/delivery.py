"""The output after the probes are detached: what still waits for its reader is written, and given
up once the reader has stopped reading.

Nothing is held up by that but the end of this process. A slow reader gets everything, however long
it takes, as long as it goes on reading.
"""

import errno
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from orchestrator.run.signals import Signals

__all__ = ["HeldRecords", "WaitingOutput", "deliver_rest"]

#: How long a reader may take nothing; less after a signal, which asks for an end.
_PATIENCE_S, _SIGNALLED_S = 10.0, 2.0
_SAID_AFTER_S = 1.0
_PAUSE_S = 0.05
#: What takes nothing, by the errno that stands for it.
_SILENT: Mapping[int, str] = {
    errno.EAGAIN: "the reader of the output has stopped reading",
    errno.ETIMEDOUT: "the file system of the output does not answer",
}


class WaitingOutput(Protocol):
    """What delivering needs of an output: RunOutput or a Sink."""

    @property
    def congested(self) -> bool:
        """Whether lines wait for the reader."""

    @property
    def silence(self) -> int:
        """The errno that stands for an output which takes nothing."""

    def push(self, patience_s: float) -> bool:
        """Write what waits, for at most `patience_s`; whether any was taken."""

    def give_up(self) -> None:
        """Count what waits as lost."""


class HeldRecords(Protocol):
    """What delivering needs of the stream of records."""

    def write_held(self) -> None:
        """Write held records, as long as the output takes them."""


def deliver_rest(
    output: WaitingOutput,
    signals: Signals,
    notify: Callable[[str], None],
    records: HeldRecords | None = None,
) -> None:
    """Write what waits for the reader of the output, also the held `records`. Given up, and counted
    as lost, when the reader takes nothing for ten seconds, or two after a signal."""
    taken_at, said = time.monotonic(), False
    while True:
        if records is not None:
            records.write_held()
        if not output.congested:
            return
        if output.push(_PAUSE_S):
            taken_at = time.monotonic()
        silent_s = time.monotonic() - taken_at
        if silent_s > (_PATIENCE_S if signals.received is None else _SIGNALLED_S):
            output.give_up()
        elif silent_s > _SAID_AFTER_S and not said:
            said = True
            notify(
                f"everything is detached; {_SILENT[output.silence]}, and is waited for: "
                f"{_PATIENCE_S:g} s at most, less after Ctrl-C"
            )
