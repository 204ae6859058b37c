"""The process that starts a workload's processes and is their parent, also of their orphans.

It sleeps in one system call while a command runs, so that it adds nothing to what is counted of its
descendants. When the check is gone, however that happened, it ends all of them, removes the scratch
folder, and ends.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from orchestrator.check.processes.messages import receive_message, send_message
from orchestrator.check.processes.settings import ProcessSettings
from orchestrator.check.processes.tree import find_descendants, name_of

__all__ = ["main"]

# include/uapi/linux/prctl.h, include/uapi/linux/personality.h
_PR_SET_CHILD_SUBREAPER, _PR_SET_THP_DISABLE = 36, 41
_ADDR_NO_RANDOMIZE, _ASK = 0x0040000, 0xFFFFFFFF
_UMASK = 0o022
_GROWTH = 1 << 20  # of a child, from fork to exec
_PAUSE_S, _PATIENCE_S = 0.002, 10.0


def main(channel: str, output: str, scratch: str) -> NoReturn:
    """Serve requests that come on the descriptor `channel`; `output`: the descriptor that becomes
    the output of what is started; `scratch`: the folder to remove at the end ("": none)."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    for given in (channel, output):
        os.set_inheritable(int(given), False)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with socket.socket(fileno=int(channel)) as requests:
        _Launching(requests, int(output), libc).serve()
    end_descendants()
    if scratch:
        _remove_folder(scratch)
    os._exit(0)


class _Launching:
    """The requests, by their names; each is answered by one message."""

    def __init__(self, requests: socket.socket, output: int, libc: ctypes.CDLL) -> None:
        self._requests, self._output, self._libc = requests, output, libc
        #: By process that waits to be released: the gate and the pipe with its trouble.
        self._parked: dict[int, tuple[int, int]] = {}

    def serve(self) -> None:
        """Answer until the other side is gone."""
        answers: dict[str, Callable[[Any], Any]] = {
            "park": self._park,
            "release": self._release,
            "reap": _reap,
            "end": _end_all,
        }
        with contextlib.suppress(EOFError, OSError):
            while True:
                name, argument = receive_message(self._requests)
                send_message(self._requests, answers[name](argument))

    def _park(self, settings: list[Any]) -> int:
        """Fork a process that waits to be released; returns its number."""
        gate_read, gate_write = os.pipe()
        trouble_read, trouble_write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(gate_write)
            self._become(ProcessSettings(*settings), gate_read, trouble_write)
        os.close(gate_read)
        os.close(trouble_write)
        self._parked[pid] = (gate_write, trouble_read)
        return pid

    def _release(self, pid: int) -> str:
        """Let a parked process execute its program; returns why it could not, "" if it did."""
        gate, trouble = self._parked.pop(pid)
        with contextlib.suppress(BrokenPipeError):  # it was killed meanwhile
            os.write(gate, b"x")
        os.close(gate)
        with os.fdopen(trouble, "rb") as pipe:
            return pipe.read().decode()

    def _become(self, settings: ProcessSettings, gate: int, trouble: int) -> NoReturn:
        """In the child: wait at the gate, take on the settings, execute the program."""
        step = "it was not released"
        try:
            if os.read(gate, 1):
                for step, take in self._steps(settings):  # noqa: B007  # named in the trouble
                    take()
        except OSError as error:
            os.write(trouble, f"{step}: {os.strerror(error.errno or 0)}".encode())
        finally:
            os._exit(127)

    def _steps(self, settings: ProcessSettings) -> Iterator[tuple[str, Any]]:
        program, cpu = settings.program, settings.cpu
        yield "a separate session", os.setsid
        yield "signals", _reset_signals
        if cpu is not None:
            yield f"cpu {cpu}", lambda: os.sched_setaffinity(0, {cpu})
        if settings.steady:
            yield "personality(ADDR_NO_RANDOMIZE)", self._fix_addresses
            yield "prctl(PR_SET_THP_DISABLE)", self._forbid_huge_pages
        yield f"user {settings.uid}", lambda: _become_user(settings)
        yield f"cwd {settings.cwd!r}", lambda: os.chdir(settings.cwd)
        yield f"stdin {settings.stdin!r}", lambda: self._connect(settings.stdin)
        yield repr(program), lambda: os.execve(program, settings.argv, settings.env)  # noqa: S606

    def _fix_addresses(self) -> None:
        now = self._libc.personality(ctypes.c_ulong(_ASK))
        self._libc.personality(ctypes.c_ulong(now | _ADDR_NO_RANDOMIZE))

    def _forbid_huge_pages(self) -> None:
        """Kernels without huge pages refuse it: there is nothing to forbid."""
        self._libc.prctl(_PR_SET_THP_DISABLE, 1, 0, 0, 0)

    def _connect(self, stdin: str) -> None:
        os.umask(_UMASK)
        os.dup2(os.open(stdin, os.O_RDONLY), 0)
        os.dup2(self._output, 1)
        os.dup2(self._output, 2)


def _reset_signals() -> None:
    """Python ignores SIGPIPE and SIGXFSZ, and this process those that a terminal sends."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):  # those of the C library
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _become_user(settings: ProcessSettings) -> None:
    if (os.getuid(), os.getgid()) == (settings.uid, settings.gid):
        return
    os.setgroups(settings.groups)
    os.setresgid(settings.gid, settings.gid, settings.gid)
    os.setresuid(settings.uid, settings.uid, settings.uid)


# ---------------------------------------------------------------- ending


def _remove_folder(path: str) -> None:
    """Processes of another launcher may be writing there until they are killed, too."""
    deadline = time.monotonic() + _PATIENCE_S
    while os.path.lexists(path) and time.monotonic() < deadline:
        shutil.rmtree(path, ignore_errors=True)
        time.sleep(_PAUSE_S)


def _reap(pid: int) -> dict[str, Any]:
    """How a process that has ended did so, and what it and the children that it has waited for
    used; `left`: (pid, comm) of descendants of ours that still run. The largest memory is also
    that from before exec (fs/exec.c, exec_mmap), which was a copy of ours."""
    _, status, used = os.wait4(pid, 0)
    peak = used.ru_maxrss * 1024
    return {
        "status": os.waitstatus_to_exitcode(status),
        "user_ns": round(used.ru_utime * 1e9),
        "sys_ns": round(used.ru_stime * 1e9),
        "maxrss_bytes": peak if peak > _read_peak() + _GROWTH else None,
        "left": _list_left(),
    }


def _read_peak() -> int:
    """The most memory (bytes) that this process has had since it was executed (proc(5), VmHWM);
    getrusage(2) also has what the one that started it had."""
    with open("/proc/self/status", "rb") as file:  # noqa: PTH123  # without pathlib
        lines = [line.split() for line in file if line.startswith(b"VmHWM:")]
    return int(lines[0][1]) * 1024 if lines else 0


def _list_left() -> list[tuple[int, str]]:
    """Orphans are our children: without a child there is no descendant."""
    if _has_no_child():
        return []
    return [(pid, name_of(pid)) for pid in find_descendants(os.getpid())]


def _end_all(_: object) -> bool:
    return end_descendants()


def end_descendants() -> bool:
    """Kill all descendants, also those that they start meanwhile; whether all are gone."""
    deadline = time.monotonic() + _PATIENCE_S
    while not _has_no_child():
        for pid in find_descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE_S)
    return True


def _has_no_child() -> bool:
    """Whether we have no child, once those that are dead are forgotten."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return True
    return False
