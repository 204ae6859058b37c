"""An export that is fed with windows of a second, and what it takes."""

import json
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.setting import NotPossible, command
from orchestrator.cells.buckets import LOG

__all__ = ["CELLS", "ExportCost", "feed_export"]

#: Half of them are numbers, and half histograms with 40 buckets each.
CELLS = 1000
_BUCKETS = 40


class ExportCost(NamedTuple):
    """`cpu`: as a fraction of one CPU, from the first window on; `peak_mb`: of memory."""

    cpu: float
    peak_mb: float


def feed_export(
    options: Sequence[str],
    windows: int,
    *,
    env: Mapping[str, str],
    after_window: Callable[[int], None],
) -> ExportCost:
    """Run an export with these options on so many windows; `after_window` gets their numbers."""
    argv = [*command(), "export", *options]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env)
    assert process.stdin is not None
    begun = before = 0.0
    for number in range(windows):
        process.stdin.write(_make_window(number))
        process.stdin.flush()
        time.sleep(1)
        after_window(number)
        if number == 0:
            begun, before = time.monotonic(), _read_cpu_s(process.pid)
    took, cpu_s = time.monotonic() - begun, _read_cpu_s(process.pid) - before
    peak_mb = _read_peak_mb(process.pid)
    process.stdin.close()
    process.wait()
    return ExportCost(cpu=cpu_s / took, peak_mb=peak_mb)


def _make_window(number: int) -> bytes:
    window = {"start": "2026-11-23T02:15:07.1Z", "end": "2026-11-23T02:15:08.1Z"}
    common = {
        "ts": window["end"], "level": "info", "event": "metric.reported", "run_id": "r",
        "plan": "bench", "plan_sha256": "0", "host": "h", "kernel": "k", "probe": "p",
        "window": window, "total": False, "cells_omitted": 0, "sample": 1,
    }  # fmt: skip
    keys = [{"key": {"comm": f"task-{cell}"}, "other": False} for cell in range(CELLS // 2)]
    buckets = [[LOG.upper_edge(100 + 3 * step), 5 + number] for step in range(_BUCKETS)]
    counts = [{**key, "value": 3 + number} for key in keys]
    total = sum(count for _, count in buckets)
    histograms = [
        {**key, "count": total, "below": 0, "above": 0, "buckets": buckets} for key in keys
    ]
    records: list[dict[str, Any]] = [
        {**common, "metric": "calls", "kind": "count", "unit": "", "cells": counts},
        {
            **common, "metric": "took", "kind": "histogram", "unit": "ns", "layout": "log(16)",
            "cells": histograms,
        },
    ]  # fmt: skip
    return b"".join(json.dumps(one).encode() + b"\n" for one in records)


def _read_cpu_s(pid: int) -> float:
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((one / "schedstat").read_text().split()[0]) for one in threads) / 1e9


def _read_peak_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise NotPossible("the export has ended")
