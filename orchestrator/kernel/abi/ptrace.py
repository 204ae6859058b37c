"""Stopping a process right after it has executed a program, by ptrace(2).

The process is seized while it waits somewhere before execve(2). It stops once the new program is
in place, and then once more on its way back to user space, after the system call and everything
that the kernel does for it: its next event is the program's first. Let go there, it is as if it had
never been traced. Source: ptrace(2), PTRACE_SEIZE, PTRACE_O_TRACEEXEC, PTRACE_INTERRUPT.
"""

import ctypes
import os
import signal

__all__ = ["detach", "seize", "stop_after_exec"]

# include/uapi/linux/ptrace.h
_CONT, _DETACH, _SEIZE, _INTERRUPT = 7, 17, 0x4206, 0x4207
_O_TRACEEXEC, _O_EXITKILL = 0x10, 0x100000
_EVENT_EXEC, _EVENT_STOP = 4, 128
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


def _call(request: int, pid: int, data: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    pointer = ctypes.c_void_p
    if libc.ptrace(ctypes.c_long(request), ctypes.c_int(pid), pointer(0), pointer(data)) == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
