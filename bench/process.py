"""Measured processes: started from a small parent, observed from outside, interrupted."""

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from bench.setting import NotPossible, Setting, build

__all__ = ["Load", "Process", "Usage", "attached_to", "attachments", "until"]

PATIENCE_S = 120.0
_INSIST_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a process used in total: CPU seconds, peak bytes, and its exit code."""

    code: int
    cpu_s: float
    peak_bytes: int


def until(
    condition: Callable[[], bool],
    what: str,
    *,
    pause_s: float = 0.01,
    patience_s: float = PATIENCE_S,
) -> None:
    """Wait for `condition`. Raises NotPossible, naming `what`, when it does not come."""
    end = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > end:
            raise NotPossible(f"{what} did not happen within {patience_s:g} s")
        time.sleep(pause_s)


def _environment() -> dict[str, str]:
    """A user's environment: bytecode is cached, which developers may have switched off."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


class Process:
    """A tool that runs on `cpu`. `output` and `errors` are the files it writes to. `room`: bytes
    allocated for the output beforehand, so that a tool does not pay for allocating pages of an
    in-memory file. `insist`: interrupt it until it ends."""

    def __init__(  # noqa: PLR0913  # what there is to say about a process
        self,
        setting: Setting,
        argv: Sequence[str],
        name: str,
        *,
        cpu: int,
        insist: bool = False,
        room: int = 0,
    ) -> None:
        self.name = name
        self.output = setting.directory / f"{name}.out"
        self.errors = setting.directory / f"{name}.err"
        self._insist = insist
        self._usage: Usage | None = None
        reading, writing = os.pipe()
        spawn = [str(build(setting, "spawn")), str(writing), str(cpu), *argv]
        self._out = os.open(self.output, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        if room:
            os.posix_fallocate(self._out, 0, room)
        with self.errors.open("wb") as err:
            self._spawn = subprocess.Popen(
                spawn,
                stdin=subprocess.DEVNULL,
                stdout=self._out,
                stderr=err,
                pass_fds=(writing,),
                env=_environment(),
            )
        os.close(writing)
        self._told: IO[str] = os.fdopen(reading)
        first = self._told.readline().split()
        if len(first) != 2:
            raise NotPossible(f"{name} cannot be started")
        self.pid, self.started_ns = int(first[0]), int(first[1])

    def __enter__(self) -> "Process":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._usage is None:
            self.finish()
        os.close(self._out)
        self.output.unlink()
        self.errors.unlink()

    def running(self) -> bool:
        """Whether it is still running."""
        return Path(f"/proc/{self.pid}/stat").exists()

    def cpu_s(self) -> float:
        """CPU seconds of all its threads so far (Documentation/scheduler/sched-stats.rst)."""
        total = 0
        for thread in Path(f"/proc/{self.pid}/task").iterdir():
            total += int((thread / "schedstat").read_text().split()[0])
        return total / 1e9

    def watch(self, condition: Callable[[], bool], what: str, *, pause_s: float = 0.01) -> None:
        """Wait for `condition`. Raises NotPossible with its messages if it ends first."""

        def met() -> bool:
            if condition():
                return True
            if self.running():
                return False
            raise NotPossible(f"{self.name} ended before {what}: {self.said()}")

        until(met, f"{self.name}: {what}", pause_s=pause_s)

    def written(self) -> int:
        """Bytes of output so far: the file offset is shared."""
        return os.lseek(self._out, 0, os.SEEK_CUR)

    def settle(self) -> None:
        """Wait until its output stops growing."""
        before = -1
        while (size := self.written()) != before:
            before = size
            time.sleep(0.4)

    def said(self) -> str:
        """The end of its standard error."""
        return self.errors.read_text(errors="replace")[-2000:].strip() or "nothing was said"

    def finish(self) -> Usage:
        """Interrupt it and return its usage."""
        self._interrupt()
        until(lambda: not self.running(), f"the end of {self.name}")
        last = self._told.readline().split()
        self._told.close()
        self._spawn.wait()
        os.ftruncate(self._out, self.written())
        if len(last) != 4:
            raise NotPossible(f"{self.name} was lost")
        code, user, system, peak = map(int, last)
        self._usage = Usage(code=code, cpu_s=(user + system) / 1e6, peak_bytes=peak << 10)
        return self._usage

    def _interrupt(self) -> None:
        """Once; again only for a tool that misses it: bpftrace does if it arrives between two
        waits."""
        self._signal(signal.SIGINT)
        if self._insist:
            with contextlib.suppress(NotPossible):
                until(lambda: not self.running(), "", patience_s=_INSIST_S)
            while self.running():
                self._signal(signal.SIGINT)
                time.sleep(0.05)

    def _signal(self, number: int) -> None:
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return


class Load:
    """native/load.c: parked at the start, released by `go`."""

    def __init__(self, setting: Setting, *words: object) -> None:
        argv = [str(build(setting, "load")), str(setting.load_cpu), *map(str, words)]
        self._popen = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._popen.stdout is not None
        self.pid = int(self._popen.stdout.readline().split()[1])

    def __enter__(self) -> "Load":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._popen.poll() is None:
            self._popen.kill()
        self._popen.communicate()

    def go(self) -> None:
        """Release it."""
        assert self._popen.stdin is not None
        self._popen.stdin.write("go\n")
        self._popen.stdin.flush()

    def result(self) -> list[float]:
        """Wait for its end; return the numbers that it printed."""
        assert self._popen.stdout is not None
        numbers = [float(word) for word in self._popen.stdout.read().split()]
        self._popen.wait()
        return numbers


# ---------------------------------------------------------------- seen from outside

_BPF_TASK_FD_QUERY = 20  # include/uapi/linux/bpf.h, enum bpf_cmd
_NR_BPF = {"x86_64": 321, "aarch64": 280}


class _Query(ctypes.Structure):
    """union bpf_attr, task_fd_query."""

    _fields_ = (
        ("pid", ctypes.c_uint32),
        ("fd", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("buf_len", ctypes.c_uint32),
        ("buf", ctypes.c_uint64),
        ("prog_id", ctypes.c_uint32),
        ("fd_type", ctypes.c_uint32),
        ("probe_offset", ctypes.c_uint64),
        ("probe_addr", ctypes.c_uint64),
    )


_libc = ctypes.CDLL(None, use_errno=True)


def attached_to(pid: int, event: str) -> bool:
    """Whether a descriptor of process `pid` holds a BPF program attached to tracepoint `event`."""
    return event in attachments(pid)


def attachments(pid: int) -> list[str]:
    """What the BPF programs of process `pid` are attached to by its perf events and raw
    tracepoints: a tracepoint's name, a kernel function, a file with probes in user code."""
    number = _NR_BPF.get(os.uname().machine)
    if number is None:
        raise NotPossible(f"bpf(2) is not known for {os.uname().machine}")
    try:
        descriptors = [int(one.name) for one in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return []
    name = ctypes.create_string_buffer(256)
    found = []
    for descriptor in descriptors:
        query = _Query(pid=pid, fd=descriptor, buf_len=256, buf=ctypes.addressof(name))
        done = _libc.syscall(number, _BPF_TASK_FD_QUERY, ctypes.byref(query), ctypes.sizeof(query))
        if done == 0:
            found.append(name.value.decode())
    return found
