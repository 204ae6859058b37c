"""QEMU's process: its console, its monitor and its end."""

import os
import re
import select
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from types import TracebackType
from typing import Any, Self

from orchestrator.lab.console import describe_loss, read_console
from orchestrator.lab.errors import GuestLost, LabError
from orchestrator.lab.machine_monitor import MachineMonitor
from orchestrator.values import dataclass

__all__ = ["MachineCancelled", "MachineProcess", "Patience"]

_STARTS = b"probeplan-machine: program starts"
_LOOK_S, _PAUSE_S = 0.25, 0.01


class MachineCancelled(LabError):
    """The caller did not want to wait for the machine any longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a machine is waited for: seconds of this host, and what asks to end it before."""

    timeout_s: float
    is_cancelled: Callable[[], bool] = lambda: False


@dataclass(slots=True)
class MachineProcess:
    """QEMU while entered, and not for longer. Its console goes into `console`; `boot_seconds`:
    until the machine's program started, None before. `inherited`: descriptors that it gets."""

    command: Sequence[str]
    inherited: Sequence[int]
    patience: Patience
    monitor: MachineMonitor | None = None
    boot_seconds: float | None = None
    is_late: bool = False
    _console: bytearray = field(default_factory=bytearray)
    _start: float = field(default_factory=time.monotonic)
    _process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        options = () if self.monitor is None else self.monitor.options
        given = () if self.monitor is None else (self.monitor.theirs,)
        self._process = subprocess.Popen(
            [*self.command, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(*self.inherited, *given),
        )
        if self.monitor is not None:
            self.monitor.close_theirs()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        self._process.kill()
        with self._process:
            pass

    @property
    def pid(self) -> int:
        """The process's number."""
        assert self._process is not None
        return self._process.pid

    @property
    def console(self) -> str:
        """What the machine, and QEMU, have printed so far."""
        return read_console(self._console)

    @property
    def wall_seconds(self) -> float:
        """Since the start, of this host's time."""
        return time.monotonic() - self._start

    def run_to_end(self) -> None:
        """Read the console until QEMU has ended; `is_late` where it did not within its time. Raises
        MachineCancelled."""
        while self._read_console():
            pass

    def run_to_stop(self) -> bool:
        """Until the machine stops itself; False where it ended before, or its time was over. Raises
        MachineCancelled."""
        assert self.monitor is not None
        while not self.monitor.has_event("STOP"):
            if not self._read_console(self.monitor.fileno()):
                return False
        self._keep_printed()
        return True

    def ask(self, name: str, arguments: Mapping[str, Any], descriptor: int | None = None) -> Any:
        """A request to QEMU. Raises GuestLost where it is gone or does not answer, LabError where
        it refuses."""
        assert self.monitor is not None
        left_s = max(_LOOK_S, self.patience.timeout_s - self.wall_seconds)
        try:
            return self.monitor.ask(name, arguments, left_s, descriptor)
        except (OSError, EOFError) as error:
            while self._read_console():  # what it said in the end
                pass
            raise GuestLost(
                f"QEMU gave no answer to {name!r}: {error or 'it has ended'}", self.console
            ) from None

    def pause(self) -> None:
        """Wait for a moment. Raises MachineCancelled, and GuestLost once its time is over."""
        self._require_patience()
        if self.wall_seconds > self.patience.timeout_s:
            raise GuestLost(f"no answer within {self.patience.timeout_s:g} s", self.console)
        time.sleep(_PAUSE_S)

    def _read_console(self, *others: int) -> bool:
        """Wait until there is something on the console, which is kept, or `others` can be read;
        False at its end."""
        assert self._process is not None
        assert self._process.stdout is not None  # for the type checker: we asked for a pipe
        console = self._process.stdout.fileno()
        while (left_s := self.patience.timeout_s - self.wall_seconds) > 0:
            self._require_patience()
            ready = select.select([console, *others], [], [], min(_LOOK_S, left_s))[0]
            if console in ready:
                return self._keep(os.read(console, 65536))
            if ready:
                return True
        self.is_late = True
        return False

    def _keep_printed(self) -> None:
        """Keep what is on the console by now."""
        assert self._process is not None
        assert self._process.stdout is not None
        console = self._process.stdout.fileno()
        while select.select([console], [], [], 0)[0] and self._keep(os.read(console, 65536)):
            pass

    def _keep(self, chunk: bytes) -> bool:
        self._console += chunk
        if self.boot_seconds is None and _STARTS in self._console:
            self.boot_seconds = self.wall_seconds
        return bool(chunk)

    def _require_patience(self) -> None:
        if self.patience.is_cancelled():
            raise MachineCancelled("the machine was ended before it gave a result")

    def explain_loss(self, given: bytes) -> GuestLost:
        """Why there is no result; `given`: what there is instead."""
        return GuestLost(self._describe_loss(given), self.console)

    def _describe_loss(self, given: bytes) -> str:
        has_started = self.boot_seconds is not None
        stage = "with its program" if has_started else "before its program started"
        return describe_loss(
            self.console,
            stage=stage,
            is_late=self.is_late,
            timeout_s=self.patience.timeout_s,
            wall_seconds=self.wall_seconds,
            said=self._describe_program(given if has_started else None),
        )

    def _describe_program(self, given: bytes | None) -> str:
        """What the machine's first process says of its program; "" where it says nothing."""
        stopped = re.search(r"probeplan-machine: (failed: .*|program ended with \d+)", self.console)
        if stopped is None:
            return ""
        damaged = "" if given is None else " and a damaged result" if given else " and no result"
        return f"{stopped[1]}{damaged}"
