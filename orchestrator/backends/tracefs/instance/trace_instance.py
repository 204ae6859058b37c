"""A private tracing instance: created by a list of writes, read page by page, and removed."""

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import field
from pathlib import Path

from orchestrator.backends.tracefs.design.writes import RunNames, Write
from orchestrator.kernel.abi.dynamic_events import (
    DefinitionError,
    define_events,
    remove_events,
    require_tracefs,
)
from orchestrator.values import dataclass

__all__ = ["CpuStats", "TraceInstance", "WriteRefused"]

BUSY_SECONDS = 3.0  # the longest that our reader, or disabling an event, keeps it busy
BUSY_PAUSE = 0.01
_PAGE_KB = 4  # of the smallest pages


class WriteRefused(Exception):
    """The kernel refused a write: the step, the errno, and the text of its error log."""

    def __init__(self, step: Write, code: int, why: str) -> None:
        self.step, self.code, self.why = step, code, why
        super().__init__(f"cannot write {step.text!r} to {step.path}: {why}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuStats:
    """Events of one CPU's buffer, from per_cpu/*/stats: `dropped` did not fit (overwrite=0),
    `overrun` were overwritten, `entries` wait to be read, `read` have been read."""

    entries: int
    overrun: int
    commit_overrun: int
    dropped: int
    read: int


@dataclass(slots=True)
class TraceInstance:
    """The instance of one run. `tracefs` is where tracefs is mounted. `journal` is called before
    anything is created and `unjournal` after it is removed. `own` are threads of this process,
    which hist triggers exclude."""

    tracefs: Path
    names: RunNames
    journal: Callable[[str, str], None]
    unjournal: Callable[[str, str], None]
    own: tuple[str, ...] = ()
    _undo: list[Write] = field(default_factory=list)
    _free: int = -1
    _pipes: dict[int, int] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """The instance's directory."""
        return self.tracefs / self.names.directory

    # ---------------------------------------------------------------- creating

    def perform_writes(self, steps: Iterable[Write]) -> None:
        """Do the writes in order. Raises WriteRefused; `close` undoes the writes that were done."""
        for step in steps:
            try:
                self._perform_write(step)
            except DefinitionError as refused:
                raise WriteRefused(step, refused.errno, refused.why) from None
            except OSError as refused:
                code = refused.errno or 0
                if step.optional and code == errno.ENOENT:
                    continue
                raise WriteRefused(step, code, self._explain_refusal(step, code)) from None

    def _perform_write(self, step: Write) -> None:
        if step.action == "define" and step.event is not None:
            self._undo.append(step)
            define_events(
                [step.event], lambda name: self.journal("event", name), tracefs=self.tracefs
            )
            return
        if step.action == "mkdir":
            self.journal("instance", self.names.instance)
            self._undo.append(step)
            (self.tracefs / step.path).mkdir()
            return
        if step.size and self._has_size(step):
            return
        self._write_file(step.path, step.text, append=step.action == "add")
        if step.undo is not None:
            self._undo.append(step)

    def _has_size(self, step: Write) -> bool:
        """Whether the buffers are that large: the kernel rounds up to pages (6.18 says 1410 where
        1408 was written), and says X where CPUs differ."""
        now = (self.tracefs / step.path).read_text().strip()
        return now.isdecimal() and 0 <= int(now) - int(step.text) < _PAGE_KB

    def _write_file(self, path: str, text: str, *, append: bool = False) -> None:
        flags = os.O_WRONLY | os.O_CLOEXEC | (os.O_APPEND if append else os.O_TRUNC)
        handle = os.open(self.tracefs / path, flags)
        try:
            os.write(handle, text.encode() + b"\n")
        finally:
            os.close(handle)

    def _explain_refusal(self, step: Write, code: int) -> str:
        """The instance's error log says where a filter or trigger is wrong (trace.c,
        tracing_log_err): "location: error: TEXT", "  Command: …", and a caret below it."""
        plain = os.strerror(code)
        if not step.path.endswith(("/filter", "/trigger")):
            return plain
        try:
            lines = (self.path / "error_log").read_text(errors="replace").splitlines()
        except OSError:
            return plain
        starts = [i for i, line in enumerate(lines) if ": error: " in line]
        if not starts:
            return plain
        return "\n".join(lines[starts[-1] :]).partition("error: ")[2] or plain

    def hold_buffer(self) -> None:
        """Keep `free_buffer` open. When its last holder closes it, however that ends, the kernel
        stops this instance's tracing (disable_on_free) and frees the buffer. A process forked
        from now on holds it too."""
        self._free = os.open(self.path / "free_buffer", os.O_WRONLY | os.O_CLOEXEC)

    # ---------------------------------------------------------------- running

    def switch_recording(self, on: bool) -> None:
        """Start or stop recording events."""
        self._write_file(f"{self.names.directory}/tracing_on", "1" if on else "0")

    def clear_buffer(self) -> None:
        """Discard the events in the buffers."""
        os.close(os.open(self.path / "trace", os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC))

    def open_pipes(self) -> dict[int, int]:
        """A descriptor for each CPU's raw pages, by CPU number."""
        if not self._pipes:
            for cpu in sorted(self._cpu_numbers()):
                file = self.path / f"per_cpu/cpu{cpu}/trace_pipe_raw"
                self._pipes[cpu] = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        return self._pipes

    def _cpu_numbers(self) -> Iterable[int]:
        names = os.listdir(self.path / "per_cpu")  # noqa: PTH208  # names are all we need
        return (int(name[3:]) for name in names if name.startswith("cpu"))

    def read_format(self, category: str, event: str) -> str:
        """The text of an event's `format` file. Raises OSError."""
        return (self.tracefs / "events" / category / event / "format").read_text()

    def read_event_file(self, category: str, event: str, name: str) -> str:
        """The text of a file of an event in this instance. Raises OSError."""
        return (self.path / "events" / category / event / name).read_text(errors="replace")

    def read_stats(self) -> list[CpuStats]:
        """The counters of each CPU's buffer."""
        return [
            _parse_stats((self.path / f"per_cpu/cpu{cpu}/stats").read_text())
            for cpu in sorted(self._cpu_numbers())
        ]

    # ---------------------------------------------------------------- removing

    def close(self) -> None:
        """Undo everything in reverse; what no longer exists is no error. Raises OSError when
        something could not be removed, after everything else has been tried."""
        for handle in self._pipes.values():
            os.close(handle)
        self._pipes = {}
        if self._free >= 0:
            os.close(self._free)
            self._free = -1
        failed: OSError | None = None
        while self._undo:
            step = self._undo.pop()
            try:
                self._take_back(step)
            except OSError as error:
                failed = error
        if failed is not None:
            raise failed

    def _take_back(self, step: Write) -> None:
        if step.action == "mkdir":
            require_tracefs(self.tracefs)
            _retry_busy((self.tracefs / step.path).rmdir)
            self.unjournal("instance", self.names.instance)
        elif step.event is not None:
            remove_events([step.event.full_name], tracefs=self.tracefs)
            self.unjournal("event", step.event.full_name)
        elif step.undo is not None:
            with contextlib.suppress(FileNotFoundError):
                self._write_file(step.path, step.undo, append=step.action == "add")


def _retry_busy(remove_it: Callable[[], None]) -> None:
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return remove_it()
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
        time.sleep(BUSY_PAUSE)


def _parse_stats(text: str) -> CpuStats:
    """Lines "NAME: VALUE" (trace.c, tracing_stats_read); a missing name is 0."""
    values: dict[str, int] = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if value.strip().isdigit():
            values[name.strip()] = int(value)
    return CpuStats(
        entries=values.get("entries", 0),
        overrun=values.get("overrun", 0),
        commit_overrun=values.get("commit overrun", 0),
        dropped=values.get("dropped events", 0),
        read=values.get("read events", 0),
    )


def sum_stats(stats: Sequence[CpuStats], name: str) -> int:
    """The sum of one counter over all CPUs."""
    return sum(getattr(cpu_stats, name) for cpu_stats in stats)
