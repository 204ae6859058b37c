"""The watchdog: a small process that outlives a run which is killed, and cleans up after it.

It is started by orchestrator.run.safety.guard before the run creates anything that would stay
behind, and so before `free_buffer` is opened, which has no effect while a child has it open too.
Standard input is a pipe from the run, descriptor 3 a pidfd of it (missing before Linux 5.3).
Lines in the pipe:

    until NS          the deadline, CLOCK_MONOTONIC in ns; 0: none
    stop PATH TEXT    a write to do at the deadline
    end               the run has cleaned up after itself

At the deadline it does the writes, a little later than the run itself would, so that a run which is
stopped (SIGSTOP) records nothing more. When the run is gone, it undoes what the journal of the run
lists. It starts with all signals blocked: what ends a process group or a terminal's session does
not end it.
"""

import fcntl
import os
import select
import sys
import time

from orchestrator.run.safety.undo import undo_journal

__all__ = ["main"]

PIPE, PIDFD = 0, 3
GRACE_NS = 10_000_000  # the run itself comes first, unless it cannot
LOCK_SECONDS, LOCK_PAUSE = 1.0, 0.01
LOOK_SECONDS = 0.2  # between looks at the run where there is no pidfd
NICE = -10
COMM = b"probeplan-watch"


def main(journal: str, tracefs: str, owner: str) -> None:
    """Watch the process `owner` ("PID STARTTIME") until it ends or is gone."""
    _settle_in()
    if not Watch(owner).ended_well():
        clean_up(journal, tracefs)
    os._exit(0)  # nothing to flush: saves the interpreter's own cleaning


def _settle_in() -> None:
    """Keep no file open and no directory in use, and take a name to be found by."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  # pathlib is 1 MB
        if int(name) > PIDFD:
            with _IgnoredErrors():
                os.close(int(name))
    os.chdir("/")
    with _IgnoredErrors():  # it mostly sleeps, but its work is urgent
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    with _IgnoredErrors(), open("/proc/self/comm", "wb") as comm:  # noqa: PTH123
        comm.write(COMM)


class _IgnoredErrors:
    """As `contextlib.suppress(OSError)`, whose module takes longer to import than all of this."""

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> bool:
        return kind is not None and issubclass(kind, OSError)


class Watch:
    """The watch over one run."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._poll = select.poll()
        self._poll.register(PIPE, select.POLLIN)
        self._pidfd = _is_open(PIDFD)
        if self._pidfd:
            self._poll.register(PIDFD, select.POLLIN)
        self._until = 0
        self._stops: list[tuple[str, str]] = []
        self._rest = b""

    def ended_well(self) -> bool:
        """Wait until the run reports that it has cleaned up (True), or is gone (False)."""
        while True:
            ready = {descriptor for descriptor, _ in self._poll.poll(self._patience_ms())}
            if PIPE in ready and self._read_pipe():
                return True
            if PIDFD in ready or (not self._pidfd and identify_process(self._owner) != self._owner):
                return False
            if self._until and time.monotonic_ns() >= self._until + GRACE_NS:
                self._until = 0
                self._stop()

    def _patience_ms(self) -> int | None:
        times = [] if self._pidfd else [LOOK_SECONDS]
        if self._until:
            times.append((self._until + GRACE_NS - time.monotonic_ns()) / 1e9)
        return max(0, int(min(times) * 1000) + 1) if times else None

    def _read_pipe(self) -> bool:
        """Obey the lines in the pipe; whether `end` was among them. The pipe closes when the run
        ends, which the pidfd reports as well."""
        received = os.read(PIPE, 65536)
        if not received:
            self._poll.unregister(PIPE)
        *lines, self._rest = (self._rest + received).split(b"\n")
        return any(self._obey(line.decode()) for line in lines)

    def _obey(self, line: str) -> bool:
        word, _, rest = line.partition(" ")
        if word == "until":
            self._until = int(rest)
        elif word == "stop":
            path, _, text = rest.partition(" ")
            self._stops.append((path, text))
        return word == "end"

    def _stop(self) -> None:
        for path, text in self._stops:
            with _IgnoredErrors():  # the run may be removing its instance at this moment
                _write(path, text)


def _write(path: str, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(handle, text.encode() + b"\n")
    finally:
        os.close(handle)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def identify_process(owner: str) -> str:
    """The process with the number in `owner` ("PID …") as it is now: "PID STARTTIME", or "" when it
    is gone or a zombie. proc(5), stat: field 3 is the state, field 22 the start time."""
    pid = owner.partition(" ")[0]
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123  # pathlib is 1 MB
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in (b"Z", b"X") else f"{pid} {fields[19].decode()}"


def clean_up(journal: str, tracefs: str) -> None:
    """Undo what the journal lists, unless another process has done it already."""
    try:
        file = os.open(journal, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return
    _lock(file)
    undo_journal(file, journal, tracefs)


def _lock(file: int) -> None:
    """Wait for the process that holds the journal: a `cleanup`, or the run's child before it
    becomes COMMAND. Not for long, since undoing twice does no harm."""
    deadline = time.monotonic() + LOCK_SECONDS
    while time.monotonic() < deadline:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(LOCK_PAUSE)
        else:
            return


if __name__ == "__main__":
    main(*sys.argv[1:4])
