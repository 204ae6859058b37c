"""`-- COMMAND`: a child that is parked before exec, so that it is traced from its first
instruction.

The child stays in our process group: Ctrl-C at the terminal reaches both. While it runs, its
orphans become our children (prctl(2), PR_SET_CHILD_SUBREAPER), so that descendants which outlive it
are found.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from orchestrator.binaries.programs import find_program
from orchestrator.output.text import text_from_kernel
from orchestrator.plan.findings import PlanError, of_command_line
from orchestrator.run.report.outcome import CommandResult
from orchestrator.run.signals import Signals

__all__ = ["Command", "park_command"]

_PR_SET_CHILD_SUBREAPER = 36  # include/uapi/linux/prctl.h
_GRACE_S, _PAUSE_S = 2.0, 0.02


def park_command(argv: Sequence[str], *, stdout: int | None = None) -> "Command":
    """Fork a child that waits for `release` before it executes COMMAND. `stdout`: the descriptor
    that becomes its standard output (None: ours). Raises PlanError when there is no such
    program."""
    if find_program(argv[0]) is None:
        raise _cannot_start(argv[0], "there is no such program, or it is not executable")
    gate_read, gate_write = os.pipe()
    errno_read, errno_write = os.pipe()
    _reap_orphans(True)
    strangers = frozenset(_read_children())
    pid = os.fork()
    if pid == 0:
        os.close(gate_write)
        _exec_command(argv, stdout, gate_read, errno_write)
    os.close(gate_read)
    os.close(errno_write)
    return Command(tuple(argv), pid, gate_write, errno_read, strangers)


def _exec_command(argv: Sequence[str], stdout: int | None, gate: int, errno_pipe: int) -> NoReturn:
    """In the child: wait at the gate, then exec; send the errno if that fails."""
    try:
        _close_our_descriptors(gate, errno_pipe, 1 if stdout is None else stdout)
        # Before the gate: a Ctrl-C while parked ends the child, and nothing of ours is undone here.
        # SIGPIPE and SIGXFSZ are ignored by Python alone.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup means the command too
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
        if not os.read(gate, 1):  # the parent is gone, or gave up
            os._exit(0)
        if stdout is not None:
            os.dup2(stdout, 1)
        os.execvp(argv[0], list(argv))  # noqa: S606  # the command that the user asked us to run
    except OSError as error:
        os.write(errno_pipe, str(error.errno or 0).encode())
    finally:
        os._exit(127)


def _close_our_descriptors(*kept: int) -> None:
    """Close what exec would: a fork that holds the journal's lock would look like a live run."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  # names are all we need
        with contextlib.suppress(OSError):  # the list's own descriptor is closed already
            if int(name) not in kept and not os.get_inheritable(int(name)):
                os.close(int(name))


class Command:
    """The child. Probes can have `pid` as their target before its first instruction."""

    def __init__(
        self, argv: tuple[str, ...], pid: int, gate: int, errno_pipe: int, strangers: frozenset[int]
    ) -> None:
        self.argv, self.pid = argv, pid
        self._gate, self._errno_pipe, self._strangers = gate, errno_pipe, strangers
        self._status: int | None = None
        self._ended_by_us = False
        self._released = False

    def release(self) -> None:
        """Let it run. Raises PlanError if the kernel cannot execute it."""
        with contextlib.suppress(BrokenPipeError):  # a signal ended it while it was parked
            os.write(self._gate, b"x")
        self._released = True
        if code := os.read(self._errno_pipe, 16):  # closed by a successful exec
            os.waitpid(self.pid, 0)
            self._status = 0
            raise _cannot_start(self.argv[0], os.strerror(int(code)))

    @property
    def was_released(self) -> bool:
        """Whether it was let run: a child that is still parked has not begun."""
        return self._released

    def has_ended(self) -> bool:
        """Whether it has ended. Does not block."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = status if pid else None
        return self._status is not None

    def wait_for_result(self, signals: Signals) -> CommandResult:
        """Wait until it has ended and return how.

        It is the user's work: the end of the run does not end it. Only a signal that ends us is
        passed on, and then it has two seconds.
        """
        if not self._released:
            self._let_go()
        while not self.has_ended() and signals.received is None:
            time.sleep(_PAUSE_S)
        if not self.has_ended() and signals.received is not None:
            self._pass_on(signals.received)
        left = tuple(_still_running(_read_children() - self._strangers))
        _reap_orphans(False)
        return self._result_with(left)

    def _let_go(self) -> None:
        """End a child that is still parked."""
        os.close(self._gate)
        self._gate = -1
        if self._status is None:
            _, self._status = os.waitpid(self.pid, 0)

    def _pass_on(self, received: signal.Signals) -> None:
        self._ended_by_us = True
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, received)
        deadline = time.monotonic() + _GRACE_S
        while not self.has_ended() and time.monotonic() < deadline:
            time.sleep(_PAUSE_S)

    def close(self) -> None:
        """Close the descriptors. Idempotent; a child that is still parked ends."""
        for descriptor in (self._gate, self._errno_pipe):
            if descriptor >= 0:
                os.close(descriptor)
        self._gate = self._errno_pipe = -1

    def _result_with(self, left: tuple[tuple[int, str], ...]) -> CommandResult:
        result = CommandResult(
            argv=self.argv, pid=self.pid, ended_by_us=self._ended_by_us, left=left
        )
        if self._status is None or not self._released:
            return result
        code = os.waitstatus_to_exitcode(self._status)
        return CommandResult(
            argv=self.argv,
            pid=self.pid,
            status=code if code >= 0 else None,
            signal=signal.Signals(-code).name if code < 0 else None,
            ended_by_us=self._ended_by_us,
            left=left,
        )


def _read_children() -> frozenset[int]:
    """Our children and adopted orphans. None are found without CONFIG_PROC_CHILDREN."""
    pids: set[int] = set()
    for children in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):  # a thread that has just ended
            pids.update(map(int, children.read_text().split()))
    return frozenset(pids)


def _still_running(pids: Iterable[int]) -> Iterator[tuple[int, str]]:
    """(pid, comm) of those that are not dead (proc(5): the state follows the last bracket)."""
    for pid in sorted(pids):
        with contextlib.suppress(OSError):
            head, _, rest = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")
            if rest.split()[0] not in (b"Z", b"X"):
                yield pid, text_from_kernel(head.partition(b"(")[2])


def _reap_orphans(wanted: bool) -> None:
    import ctypes  # 5 ms that only a run with a command pays

    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(wanted), 0, 0, 0)


def _cannot_start(program: str, why: str) -> PlanError:
    message = f"the command {program!r} cannot be started: {why}"
    hint = "name a program on PATH, or give its path, after `--`"
    return PlanError([of_command_line(message, hint)])
