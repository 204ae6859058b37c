"""A launcher: the processes of a check are its process's descendants, and end with it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from orchestrator.check.processes.messages import receive_message, send_message
from orchestrator.check.processes.settings import ProcessSettings
from orchestrator.kernel.abi import ptrace
from orchestrator.values import dataclass

__all__ = ["CannotStart", "Ended", "Launcher", "LauncherGone", "StartedProcess"]

_ROOT = Path(__file__).parents[3]
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1])\n"
    "from orchestrator.check.processes.launcher_process import main; main(*sys.argv[2:])"
)
_END_SECONDS = 15.0
_TAIL_BYTES = 4096


class CannotStart(Exception):
    """A program could not be executed; the text says why."""


class LauncherGone(Exception):
    """The launcher's process was killed: by the kernel that had no memory left, perhaps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a process ended: `status` is its exit code, or the number of a signal below zero. Times
    and memory are its own with those of the children that it has waited for. `left`: (pid, comm)
    of descendants that still run."""

    status: int
    user_ns: int
    sys_ns: int
    maxrss_bytes: int | None
    left: tuple[tuple[int, str], ...]


class StartedProcess:
    """A process of a launcher. `pidfd` can be read once it has ended."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)

    def send(self, number: int) -> None:
        """Send it a signal; nothing happens where it has ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    def close(self) -> None:
        """Close the descriptor. Idempotent."""
        if self.pidfd >= 0:
            os.close(self.pidfd)
        self.pidfd = -1


class Launcher:
    """A process that starts others, while entered. `scratch`: a folder that it removes at the end,
    also if we are killed. Raises OSError where it cannot be started."""

    def __init__(self, scratch: Path | None = None) -> None:
        self._scratch = "" if scratch is None else str(scratch)
        self._output = os.open(tempfile.gettempdir(), os.O_TMPFILE | os.O_RDWR)

    def __enter__(self) -> Self:
        self._channel, theirs = socket.socketpair()
        with theirs:
            given = (theirs.fileno(), self._output)
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", "-c", _PROGRAM, str(_ROOT)),
                    *(*map(str, given), self._scratch),
                ],
                pass_fds=given,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env={},
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._channel.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:  # a descendant cannot be killed
            self._process.kill()
            self._process.wait()
        os.close(self._output)

    @property
    def pid(self) -> int:
        """The launcher's process."""
        return self._process.pid

    def start(self, settings: ProcessSettings) -> StartedProcess:
        """Start a program. Raises CannotStart."""
        self._clear_output()
        process = StartedProcess(self._ask("park", settings))
        if trouble := self._ask("release", process.pid):
            raise self._fail(process, trouble)
        return process

    def start_stopped(self, settings: ProcessSettings) -> StartedProcess:
        """Start a program that is stopped before its first instruction, until
        `let_go`. Raises CannotStart, also where it cannot be traced."""
        self._clear_output()
        process = StartedProcess(self._ask("park", settings))
        try:
            ptrace.seize(process.pid)
        except OSError as error:
            self.end_all()
            raise CannotStart(
                f"{settings.argv[0]!r} cannot be stopped at its start: ptrace: {error.strerror}"
            ) from None
        trouble = self._ask("release", process.pid)
        if not ptrace.stop_after_exec(process.pid) or trouble:
            raise self._fail(process, trouble or "it was killed while it started")
        return process

    def time_before(self, process: StartedProcess) -> int:
        """The CPU time (ns) that a process which is stopped at its start has used to get there; 0
        where the kernel does not count it. Source: fs/proc/base.c, proc_pid_schedstat."""
        try:
            return int(Path(f"/proc/{process.pid}/schedstat").read_bytes().split()[0])
        except (OSError, ValueError):
            return 0

    def let_go(self, process: StartedProcess) -> None:
        """Let a process run that was started stopped, once the launcher's own process sleeps."""
        ptrace.detach(process.pid)

    def is_asleep(self) -> bool:
        """Whether the launcher's process waits for the next request (proc(5), state S)."""
        stat = Path(f"/proc/{self.pid}/stat").read_bytes()
        return stat.rpartition(b")")[2].split()[0] == b"S"

    def reap(self, process: StartedProcess) -> Ended:
        """How a process that has ended did so."""
        fields = self._ask("reap", process.pid)
        process.close()
        return Ended(**fields | {"left": tuple((pid, comm) for pid, comm in fields["left"])})

    def end_all(self) -> bool:
        """Kill all that was started and all that it started; False where something remains."""
        return bool(self._ask("end", None))

    def read_output(self) -> bytes:
        """What the last program has written so far."""
        return os.pread(self._output, os.fstat(self._output).st_size, 0)

    def tail_output(self) -> str:
        """The end of that, for people."""
        size = os.fstat(self._output).st_size
        start = max(0, size - _TAIL_BYTES)
        return os.pread(self._output, size - start, start).decode(errors="replace")

    def _clear_output(self) -> None:
        os.ftruncate(self._output, 0)
        os.lseek(self._output, 0, os.SEEK_SET)

    def _fail(self, process: StartedProcess, trouble: str) -> CannotStart:
        process.close()
        self.end_all()
        return CannotStart(trouble)

    def _ask(self, name: str, argument: Any) -> Any:
        try:
            send_message(self._channel, [name, argument])
            return receive_message(self._channel)
        except (EOFError, OSError):
            message = f"the process {self.pid}, which starts the workload's, is gone"
            raise LauncherGone(message) from None
