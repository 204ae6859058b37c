"""Runs whose counts and sizes are known, and their export: processes as users start them."""

import sys
from pathlib import Path

__all__ = [
    "CALLS",
    "OFFSETS",
    "WORKLOAD",
    "list_run_command",
    "write_plan",
]

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


def write_plan(folder: Path) -> Path:
    """A plan that counts lseek by comm and keeps its offsets, every 100 ms."""
    plan = folder / "seeks.yaml"
    plan.write_text(_PLAN)
    return plan


def list_run_command(plan: Path, *options: str) -> list[str]:
    """A run of the plan over the workload."""
    return [*_PROBEPLAN, "run", str(plan), *options, "--", *WORKLOAD]


_PROBEPLAN = (sys.executable, "-m", "orchestrator.cli")
