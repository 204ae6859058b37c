"""The run's side of its watchdog, which is started when something would outlive the run."""

import contextlib
import fcntl
import os
import signal
import sys
import time
from pathlib import Path

from orchestrator.run.safety.journal import Journal
from orchestrator.run.safety.watchdog import PIDFD, PIPE, identify_process

__all__ = ["Guard"]

_ROOT = Path(__file__).parents[3]
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1])\n"
    "from orchestrator.run.safety.watchdog import main; main(*sys.argv[2:])"
)
_BLOCKED = [number for number in signal.Signals if number not in (signal.SIGKILL, signal.SIGSTOP)]
_END_SECONDS, _PAUSE = 1.0, 0.001


class Guard:
    """The journal of a run, with a watchdog from its first entry on.

    A run can go on without a watchdog; `trouble` is then the reason why there is none (None: there
    is one).
    """

    def __init__(self, journal: Journal, tracefs: Path) -> None:
        self._journal, self._tracefs = journal, tracefs
        self._pid = 0
        self._pipe = -1
        self.trouble: str | None = None

    @property
    def pid(self) -> int:
        """The watchdog's process, 0 while there is none."""
        return self._pid

    def add(self, kind: str, what: str) -> None:
        """Write down that `what` is about to be created. Raises JournalError."""
        self.start()
        self._journal.add(kind, what)

    def start(self) -> None:
        """Start the watchdog, if there is none yet."""
        if not self._pid and self.trouble is None:
            self._spawn_watchdog()

    def write_at_deadline(self, path: str, text: str) -> None:
        """Have the watchdog write `text` to `path` at the deadline, whatever happens to us."""
        self._send(f"stop {path} {text}")

    def set_deadline(self, deadline_ns: int) -> None:
        """Set the deadline (CLOCK_MONOTONIC, ns); 0: none."""
        self._send(f"until {deadline_ns}")

    def dismiss(self) -> None:
        """The run has cleaned up after itself. Idempotent."""
        if not self._pid:
            return
        self._send("end")
        os.close(self._pipe)
        deadline = time.monotonic() + _END_SECONDS
        while not self._reaped():
            if time.monotonic() > deadline:  # it was stopped, perhaps
                os.kill(self._pid, signal.SIGKILL)
                os.waitpid(self._pid, 0)
                break
            time.sleep(_PAUSE)
        self._pid, self._pipe = 0, -1

    def _spawn_watchdog(self) -> None:
        """The pipe and the pidfd get high numbers first, away from those that they get there."""
        read, self._pipe = os.pipe()
        pipe, pidfd = _move_high(read), _move_high(_open_pidfd())
        try:
            self._pid = _spawn(pipe, pidfd, str(self._journal.path), str(self._tracefs))
            os.set_blocking(self._pipe, False)
        except (OSError, NotImplementedError) as error:
            os.close(self._pipe)
            self.trouble = f"no watchdog could be started ({error})"
        finally:
            os.close(pipe)
            if pidfd >= 0:
                os.close(pidfd)

    def _send(self, line: str) -> None:
        if not self._pid:
            return
        try:
            os.write(self._pipe, line.encode() + b"\n")
        except OSError as error:
            self.trouble = f"the watchdog is gone ({error.strerror})"

    def _reaped(self) -> bool:
        with contextlib.suppress(ChildProcessError):  # a program that embeds us has reaped it
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid and status and self.trouble is None:
                code = os.waitstatus_to_exitcode(status)
                how = f"by signal {-code}" if code < 0 else f"with status {code}"
                self.trouble = f"the watchdog ended {how}"
            return bool(pid)
        return True


def _open_pidfd() -> int:
    """A descriptor of this process; -1 before Linux 5.3, which has none (pidfd_open(2))."""
    try:
        return os.pidfd_open(os.getpid())
    except OSError:
        return -1


def _move_high(descriptor: int) -> int:
    if descriptor < 0:
        return descriptor
    try:
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    finally:
        os.close(descriptor)


def _spawn(pipe: int, pidfd: int, journal: str, tracefs: str) -> int:
    """Start it in a new session, with all signals blocked and none of our descriptors."""
    null = os.devnull
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_DUP2, pipe, PIPE),
        (os.POSIX_SPAWN_OPEN, 1, null, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, null, os.O_WRONLY, 0),
    ]
    if pidfd >= 0:
        actions.append((os.POSIX_SPAWN_DUP2, pidfd, PIDFD))
    else:
        actions.append((os.POSIX_SPAWN_OPEN, PIDFD, null, os.O_WRONLY, 0))
        actions.append((os.POSIX_SPAWN_CLOSE, PIDFD))
    owner = identify_process(f"{os.getpid()} ")
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-I", "-S", "-c", _PROGRAM, str(_ROOT), journal, tracefs, owner],
        {},
        file_actions=actions,
        setsid=True,
        setsigmask=_BLOCKED,
    )
