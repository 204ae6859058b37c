"""Errors as users see them: the exit code and the text of each. One place, so that run.finished and
the process agree."""

import errno
import os
import resource

from orchestrator.output.result import ResultDirectoryError
from orchestrator.output.sink import OutputLost
from orchestrator.plan.findings import HostError, PlanError
from orchestrator.values import dataclass

__all__ = ["ErrorReport", "report_of"]

_OF_THE_HOST = ("/sys/", "/proc/", "/dev/")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorReport:
    """What to report of an error. `internal`: it is a fault of this program; `bare`: the text has
    its place in front already."""

    exit_code: int
    text: str
    internal: bool = False
    bare: bool = False


def report_of(error: BaseException) -> ErrorReport:
    """The exit code (2 plan or usage, 3 host, 4 output, 6 internal, 130 interrupted) and the text
    for `error`."""
    match error:
        case PlanError():
            return ErrorReport(exit_code=2, text=str(error), bare=True)
        case HostError():
            return ErrorReport(exit_code=3, text=str(error), bare=True)
        case KeyboardInterrupt():
            return ErrorReport(exit_code=130, text="interrupted", bare=True)
        case ResultDirectoryError():
            return ErrorReport(exit_code=2, text=str(error))
        case OutputLost():
            return ErrorReport(exit_code=4, text=f"writing the output failed: {error}")
    if scarce := _scarce_resource(error):
        return ErrorReport(exit_code=3, text=scarce)
    match error:
        case OSError(errno=int() as code, filename=None) if code in _FULL:
            return ErrorReport(
                exit_code=2, text=f"writing to standard output failed: {error.strerror}"
            )
        case OSError(filename=str() as name, strerror=str() as reason):
            of_host = name.startswith(_OF_THE_HOST)
            return ErrorReport(exit_code=3 if of_host else 2, text=f"{name!r}: {reason}")
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return ErrorReport(exit_code=6, text=f"internal error: {text}", internal=True)


def _scarce_resource(error: BaseException) -> str:
    """What this process or the host has too little of; "" where that is not the reason. The loader
    of shared objects and the starter of threads report it by their texts alone."""
    code = getattr(error, "errno", None)
    text = str(error)
    if code in (errno.EMFILE, errno.ENFILE) or _ends_with(text, errno.EMFILE, errno.ENFILE):
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return f"too many open files: this process may open {most:,}; raise it with `ulimit -n`"
    if isinstance(error, MemoryError) or code == errno.ENOMEM or _ends_with(text, errno.ENOMEM):
        return f"there is not enough memory{_memory_limit()}"
    if code == errno.EAGAIN or (isinstance(error, RuntimeError) and "start new thread" in text):
        return (
            "no further process or thread could be started: raise the limit (`ulimit -u`, or "
            "pids.max of the cgroup)"
        )
    return ""


def _ends_with(text: str, *codes: int) -> bool:
    return text.endswith(tuple(os.strerror(code) for code in codes))


def _memory_limit() -> str:
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    if most == resource.RLIM_INFINITY:
        return ": free some, or raise memory.max of the cgroup"
    return f": this process may use {most >> 20:,} MiB of address space; raise it with `ulimit -v`"
