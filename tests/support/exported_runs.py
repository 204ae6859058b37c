"""Runs whose counts and sizes are known, and their export: processes as users start them."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

__all__ = [
    "CALLS",
    "OFFSETS",
    "Export",
    "ExportEnd",
    "list_run_command",
    "read_result",
    "write_plan",
]

_PROBEPLAN = (sys.executable, "-m", "orchestrator.cli")
_WAIT_S = 60
#: The workload seeks to each of these offsets. What starts it seeks too, but not so far.
OFFSETS = tuple(10**12 + number**3 % 30_000_000 * (number % 7) * 10**6 for number in range(3000))
_SEEK = (
    "import os; file = os.open('/dev/zero', os.O_RDONLY)\n"
    f"for offset in {OFFSETS}: os.lseek(file, offset, os.SEEK_SET)\n"
)
CALLS = len(OFFSETS)
WORKLOAD = (sys.executable, "-c", _SEEK)
_PLAN = """\
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: seeks, summary: for tests}
limits: {duration: 60s, events: 100k, rate: 1000k/s}
every: 100ms
probes:
  seek:
    attach: syscall:lseek
    where: args.offset >= 1000000000000 and args.offset < 1000000000000000
    emit: {offset: args.offset}
    metrics:
      calls: {count: true, by: [comm]}
      offset: {histogram: args.offset, unit: B}
"""


@dataclass(frozen=True, slots=True)
class ExportEnd:
    """How an export ended, what it said, and its largest memory in KiB."""

    code: int
    said: str
    peak_kib: int

    @property
    def log_records_missing(self) -> int:
        """How many log records it says were not sent at its end."""
        found = re.search(r"([\d,]+) log records(?! that)", self.said)
        return int(found[1].replace(",", "")) if found else 0

    @property
    def log_records_dropped(self) -> int:
        """How many log records it says were dropped before."""
        found = re.search(r"([\d,]+) log records that", self.said)
        return int(found[1].replace(",", "")) if found else 0


def write_plan(folder: Path) -> Path:
    """A plan that counts lseek by comm and keeps its offsets, every 100 ms."""
    plan = folder / "seeks.yaml"
    plan.write_text(_PLAN)
    return plan


def list_run_command(plan: Path, *options: str) -> list[str]:
    """A run of the plan over the workload, to standard output."""
    return [*_PROBEPLAN, "run", str(plan), *options, "--", *WORKLOAD]


def read_result(folder: Path) -> dict[str, Any]:
    """How the run ended whose `--out` was this folder: `run` of its result."""
    run: dict[str, Any] = json.loads((folder / "result.json").read_text())["run"]
    return run


class Export:
    """`probeplan export --otlp` with these variables, which reads `stdin` unless `options` name a
    file. It is killed if the block ends before it does."""

    def __init__(self, environment: Mapping[str, str], *options: str) -> None:
        inherited = {key: text for key, text in os.environ.items() if not key.startswith("OTEL_")}
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the block
        self._process = subprocess.Popen(
            [*_PROBEPLAN, "export", "--otlp", "--interval", "100ms", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            env={**inherited, **environment},
        )
        assert self._process.stdin is not None
        self.stdin = self._process.stdin

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self.stdin.close()
        self._said.close()

    def terminate(self) -> None:
        """Asks it to end."""
        self._process.terminate()

    def wait_for_reader(self, fifo: Path) -> None:
        """Until it reads from this FIFO."""
        descriptors = Path(f"/proc/{self._process.pid}/fd")
        wait_until(lambda: any(_reads(link, fifo) for link in descriptors.iterdir()))

    def wait_until_said(self, text: str) -> None:
        """Until it has said this on standard error."""
        wait_until(lambda: text in self._read_said())

    def _read_said(self) -> str:
        said = self._said.fileno()
        return os.pread(said, os.fstat(said).st_size, 0).decode()

    def wait(self) -> ExportEnd:
        """Closes its input and waits for its end."""
        self.stdin.close()
        peak_kib = 0

        def has_ended() -> bool:
            nonlocal peak_kib
            peak_kib = max(peak_kib, self.read_peak_kib())
            return self._process.poll() is not None

        wait_until(has_ended)
        return ExportEnd(code=self._process.returncode, said=self._read_said(), peak_kib=peak_kib)

    def read_peak_kib(self) -> int:
        """Its largest memory so far, in KiB; 0: it has ended. (That of wait4 begins with the memory
        of the process that forked it.)"""
        found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{self._process.pid}/status").read_text())
        return int(found[1]) if found else 0


def wait_until(is_true: Callable[[], bool]) -> None:
    """Looks again and again until the condition holds."""
    deadline = time.monotonic() + _WAIT_S
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _reads(descriptor: Path, file: Path) -> bool:
    """Whether it is one of this file; a descriptor that was just closed is none."""
    try:
        return descriptor.readlink() == file
    except FileNotFoundError:
        return False
