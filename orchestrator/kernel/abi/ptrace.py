"""Stopping a process right after it has executed a program, and before it ends, by ptrace(2).

The process is seized while it waits somewhere before execve(2). It stops once the new program is
in place, and then once more on its way back to user space, after the system call and everything
that the kernel does for it: its next event is the program's first. Let go there, it is as if it had
never been traced. Source: ptrace(2), PTRACE_SEIZE, PTRACE_O_TRACEEXEC, PTRACE_INTERRUPT.
"""

import contextlib
import ctypes
import os
import signal
from typing import Literal, NamedTuple

__all__ = ["TraceStop", "detach", "follow", "go_on", "interrupt", "next_stop", "seize"]
__all__ += ["stop_after_exec"]

# include/uapi/linux/ptrace.h
_CONT, _DETACH, _SETOPTIONS, _GETEVENTMSG = 7, 17, 0x4200, 0x4201
_SEIZE, _INTERRUPT, _LISTEN = 0x4206, 0x4207, 0x4208
_O_TRACEFORK, _O_TRACEVFORK, _O_TRACECLONE, _O_TRACEEXEC, _O_TRACEEXIT = 2, 4, 8, 0x10, 0x40
_O_EXITKILL = 0x100000
_EVENTS_BIRTH, _EVENT_EXEC, _EVENT_EXIT, _EVENT_STOP = (1, 2, 3), 4, 6, 128
_STOPPING = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
_WALL = 0x40000000  # include/uapi/linux/wait.h


def seize(pid: int) -> None:
    """Trace `pid`, which goes on; it is killed if we end before it is detached. Raises OSError
    (EPERM: not allowed to)."""
    _call(_SEIZE, pid, _O_TRACEEXEC | _O_EXITKILL)


def stop_after_exec(pid: int) -> bool:
    """Wait until a seized process has executed a program and is about to run it, and leave it
    stopped there; False if it ended instead. Stops for signals are passed."""
    while True:
        _, status = os.waitpid(pid, _WALL)
        if not os.WIFSTOPPED(status):
            return False
        event = status >> 16
        if event == _EVENT_EXEC:
            _call(_INTERRUPT, pid, 0)
            _call(_CONT, pid, 0)
        elif event == _EVENT_STOP and os.WSTOPSIG(status) == signal.SIGTRAP:
            return True
        else:
            _call(_CONT, pid, 0 if event else os.WSTOPSIG(status))


def detach(pid: int) -> None:
    """Let go of a stopped process, which goes on."""
    _call(_DETACH, pid, 0)


class TraceStop(NamedTuple):
    """Why a followed task stopped. started: the task `child` was started, which is followed too;
    exiting: it is about to end; gone: it has ended, and is no longer traced; signal: it is about to
    get the signal `number`; stopped: that signal has stopped it; other: nothing of these."""

    why: Literal["started", "exiting", "gone", "signal", "stopped", "other"]
    child: int = 0
    number: int = 0


def follow(pid: int) -> None:
    """Let a seized process that is stopped go on; from now on it and all that it starts stop when
    they start something, and before they end. They are killed if we end before them."""
    births = _O_TRACEFORK | _O_TRACEVFORK | _O_TRACECLONE
    _call(_SETOPTIONS, pid, births | _O_TRACEEXIT | _O_EXITKILL)
    _call(_CONT, pid, 0)


def next_stop(pid: int) -> TraceStop | None:
    """The stop of a followed task in which it is; None: it runs."""
    try:
        found, status = os.waitpid(pid, _WALL | os.WNOHANG)
    except ChildProcessError:
        return TraceStop("gone")
    if not found:
        return None
    if not os.WIFSTOPPED(status):
        return TraceStop("gone")
    event, number = status >> 16, os.WSTOPSIG(status)
    if event in _EVENTS_BIRTH:
        return TraceStop("started", child=_read_message(pid))
    if event == _EVENT_EXIT:
        return TraceStop("exiting")
    if event == _EVENT_STOP:
        return TraceStop("stopped" if number in _STOPPING else "other")
    return TraceStop("other") if event else TraceStop("signal", number=number)


def go_on(pid: int, stop: TraceStop) -> None:
    """Let a task go on from such a stop as if it were not traced. One that was killed meanwhile is
    no error."""
    request = _LISTEN if stop.why == "stopped" else _CONT
    with contextlib.suppress(ProcessLookupError):
        _call(request, pid, stop.number)


def interrupt(pid: int) -> None:
    """Have a followed task stop soon. Raises ProcessLookupError if it is gone."""
    _call(_INTERRUPT, pid, 0)


def _read_message(pid: int) -> int:
    """The number that goes with the event; 0 where the task was killed meanwhile."""
    message = ctypes.c_ulong(0)
    with contextlib.suppress(ProcessLookupError):
        _call(_GETEVENTMSG, pid, ctypes.addressof(message))
    return message.value


def _call(request: int, pid: int, data: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    pointer = ctypes.c_void_p
    if libc.ptrace(ctypes.c_long(request), ctypes.c_int(pid), pointer(0), pointer(data)) == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
